"""Checkpoint files to networks and back: safe reading, canonical keys, configuration from shapes, strict loading."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hatcli.atomic import replacing
from hatcli.errors import WeightsError
from hatcli.network.attention import cross_attention_index, self_attention_index
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT

CONFIG_KEY = "hat_config"  # in a safetensors file's metadata: HATConfig as JSON
WRAPPERS = ("params_ema", "params-ema", "params", "state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "netG.", "model.", "net.")
INDEX_KEYS = ("relative_position_index_SA", "relative_position_index_OCA")
HEADER_LIMIT = 16 << 20  # bytes; HAT-L's header has 0.2 MB
SUM_TOLERANCE = 1 << 20  # bytes a zip's members may claim beyond the file itself: PyTorch stores them uncompressed
EXPORT_HINT = "save its state dict again with torch.save, or convert it where you trust it"


class NotHATError(WeightsError):
    """Weights, but of another architecture."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: the configuration, every tensor under its official key, and the file's own metadata."""

    config: HATConfig
    state: dict[str, Tensor]
    metadata: dict[str, str]


def read(path: Path) -> Checkpoint:
    """Read a HAT checkpoint, .safetensors or .pth, whatever its name says.

    A .pth is opened with PyTorch's `weights_only` unpickler and never in any other way.

    Raises:
        WeightsError: not there, not weights, damaged, unsafe, or not a HAT.
    """
    tensors, metadata = _read(path)
    state = canonical(tensors, name=path.name)
    written = metadata.get(CONFIG_KEY)  # by this project; it may be a shape that cannot be inferred
    config = infer_config(state, name=path.name) if written is None else HATConfig.from_json(written)
    return Checkpoint(config=config, state=_complete(state, config, name=path.name), metadata=metadata)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint of whatever network, under the keys they have there; opened as `read` does.

    Raises:
        WeightsError: not there, not weights, damaged or unsafe.
    """
    return unwrapped(_read(path)[0], name=path.name)


def _read(path: Path) -> tuple[Any, dict[str, str]]:
    """A file's content and its metadata."""
    return _read_safetensors(path) if sniff(path) == "safetensors" else (_read_pickle(path), {})


def load(path: Path) -> HAT:
    """A network ready for inference: float32, on the CPU, in eval mode.

    Raises:
        WeightsError: see `read`.
    """
    return build(read(path))


def build(checkpoint: Checkpoint) -> HAT:
    """The network of a checkpoint, strictly loaded; its tensors are used as they are, not copied."""
    with torch.device("meta"):
        model = HAT(checkpoint.config)
    state = {key: value.float() if value.is_floating_point() else value for key, value in checkpoint.state.items()}
    model.load_state_dict(state, strict=True, assign=True)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval().requires_grad_(False)


def write(path: Path, *, config: HATConfig, state: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file with the configuration in its metadata, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    with replacing(path) as file:
        file.write(save(tensors, {"format": "pt", **(metadata or {}), CONFIG_KEY: config.to_json()}))


def sniff(path: Path) -> str:
    """`safetensors` or `pickle`, by content.

    Raises:
        WeightsError: the file is missing, empty, or something else altogether.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except IsADirectoryError:
        raise WeightsError(f"{path} is a folder, not a checkpoint") from None
    except FileNotFoundError:
        raise WeightsError(f"there is no file {path}", hint="`hat models` lists the models that can be named") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None
    text = head.lstrip().lower()
    if not head:
        raise WeightsError(f"{path.name} is empty", hint="download it again")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(f"{path.name} is a web page, not weights", hint="download the file itself, not its page")
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path.name} is a git-lfs pointer, not weights", hint="run `git lfs pull`, or download it")
    if len(head) > 9 and int.from_bytes(head[:8], "little") > 0 and head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"PK\x03\x04") or head[:1] == b"\x80":
        return "pickle"
    raise WeightsError(f"{path.name} is not a checkpoint", hint="HAT weights are .safetensors or .pth files")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    size = path.stat().st_size
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > HEADER_LIMIT:
        raise WeightsError(f"{path.name} claims a header of {header} bytes", hint="it is damaged or hostile")
    if header + 8 > size:
        raise WeightsError(f"{path.name} is cut off inside its header", hint="download it again")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise WeightsError(f"{path.name} is damaged: {_one_line(error)}", hint="download it again") from None


def _read_pickle(path: Path) -> Any:
    import pickle

    if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) < (2, 10):
        raise WeightsError(
            f"opening .pth files is not safe with PyTorch {torch.__version__}", hint="pip install 'torch>=2.10'"
        )
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > path.stat().st_size + SUM_TOLERANCE:
            raise WeightsError(f"{path.name} is a compressed archive, not a checkpoint", hint="unpack it first")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path.name} holds more than tensors (or is damaged) and was not opened", hint=EXPORT_HINT
        ) from None
    except Exception as error:  # a damaged pickle or zip raises nearly anything
        raise WeightsError(f"{path.name} is damaged: {_one_line(error)}", hint="download it again") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def canonical(tensors: Any, *, name: str = "the checkpoint") -> dict[str, Tensor]:
    """Tensors under their official keys: wrappers such as `params_ema` opened, prefixes such as `module.` taken off.

    Raises:
        WeightsError: there is no state dict inside.
    """
    state = unwrapped(tensors, name=name)
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def unwrapped(tensors: Any, *, name: str = "the checkpoint") -> dict[str, Tensor]:
    """Tensors under the keys they were saved with, out of wrappers such as `params_ema`.

    Raises:
        WeightsError: there is no state dict inside.
    """
    for _ in range(3):  # wrappers inside wrappers
        if not isinstance(tensors, dict):
            raise WeightsError(f"{name} holds a {type(tensors).__name__}, not a state dict", hint=EXPORT_HINT)
        inner = next((tensors[key] for key in WRAPPERS if isinstance(tensors.get(key), dict)), None)
        if inner is None:
            break
        tensors = inner
    state = {str(key): value for key, value in tensors.items() if isinstance(value, Tensor)}
    if not state:
        raise WeightsError(f"{name} holds no tensors", hint="HAT weights are .safetensors or .pth files")
    return state


def infer_config(state: dict[str, Tensor], *, name: str = "the checkpoint") -> HATConfig:
    """The configuration a state dict's shapes tell; alpha, range and mean, which they do not, are the official ones.

    Raises:
        WeightsError: the tensors are not a HAT's.
    """
    group = "layers.0.residual_group."
    needed = [
        "conv_first.weight",
        "conv_last.weight",
        "conv_after_body.weight",
        "conv_before_upsample.0.weight",
        "layers.0.conv.weight",
        f"{group}blocks.0.attn.relative_position_bias_table",
        f"{group}blocks.0.conv_block.cab.0.weight",
        f"{group}blocks.0.conv_block.cab.3.attention.1.weight",
        f"{group}blocks.0.mlp.fc1.weight",
        f"{group}overlap_attn.relative_position_bias_table",
    ]
    if missing := [key for key in needed if key not in state]:
        raise NotHATError(
            f"{name} is not a HAT checkpoint{_guess(state)}: it has no {missing[0]}",
            hint="HAT weights only; `hat models` lists known ones",
        )
    if "absolute_pos_embed" in state:
        raise WeightsError(f"{name} uses absolute position embeddings, which no public HAT has")
    try:
        dim, channels = state["conv_first.weight"].shape[:2]
        if channels != 3:
            raise WeightsError(f"{name} takes {channels} channels; only RGB networks can be used")
        window = (math.isqrt(state[f"{group}blocks.0.attn.relative_position_bias_table"].shape[0]) + 1) // 2
        overlap = math.isqrt(state[f"{group}overlap_attn.relative_position_bias_table"].shape[0]) - window + 1
        depths = _depths(state)
        heads = tuple(
            state[f"layers.{i}.residual_group.overlap_attn.relative_position_bias_table"].shape[1]
            for i in range(len(depths))
        )
        return HATConfig(
            upscale=_upscale(state),
            embed_dim=dim,
            depths=depths,
            num_heads=heads,
            window_size=window,
            overlap_ratio=_overlap_ratio(window, overlap),
            compress_ratio=_divisor(dim, state[f"{group}blocks.0.conv_block.cab.0.weight"].shape[0]),
            squeeze_factor=_divisor(dim, state[f"{group}blocks.0.conv_block.cab.3.attention.1.weight"].shape[0]),
            mlp_ratio=state[f"{group}blocks.0.mlp.fc1.weight"].shape[0] / dim,
            num_feat=state["conv_last.weight"].shape[1],
            qkv_bias=f"{group}blocks.0.attn.qkv.bias" in state,
        )
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise WeightsError(f"{name} is not a whole HAT checkpoint: {_one_line(error)}") from None


def _guess(state: dict[str, Tensor]) -> str:
    """Which other architecture the keys look like, as a clause."""
    keys = " ".join(state)
    signs = {
        "an ESRGAN": ("RDB1.conv1", "rdb1.conv1", "model.1.sub"),
        "a SwinIR": ("residual_group.blocks.0.attn.qkv",),
        "a Real-ESRGAN compact network": ("body.0.weight",),
        "an RCAN or EDSR": ("body.0.body",),
    }
    found = next((family for family, patterns in signs.items() if any(p in keys for p in patterns)), None)
    return f" (it looks like {found})" if found else ""


def _depths(state: dict[str, Tensor]) -> tuple[int, ...]:
    blocks: dict[int, int] = {}
    for key in state:
        parts = key.split(".")
        if parts[0] == "layers" and "blocks" in parts:
            group = int(parts[1])
            blocks[group] = max(blocks.get(group, 0), int(parts[parts.index("blocks") + 1]) + 1)
    return tuple(blocks[i] for i in range(len(blocks)))


def _upscale(state: dict[str, Tensor]) -> int:
    scale, place = 1, 0
    while (weight := state.get(f"upsample.{place}.weight")) is not None:
        scale *= math.isqrt(weight.shape[0] // weight.shape[1])
        place += 2
    return scale


def _overlap_ratio(window: int, overlap: int) -> float:
    """The ratio whose product with `window`, cut to an integer, is the overlap."""
    ratio = (overlap - window) / window
    return ratio if int(ratio * window) == overlap - window else ratio + 0.5 / window


def _divisor(dim: int, part: int) -> int:
    """A ratio with `dim // ratio == part`; several may serve, and all make the same network."""
    ratio: int | None = next((ratio for ratio in (dim // part, *range(1, dim + 1)) if dim // ratio == part), None)
    if ratio is None:
        raise ValueError(f"no ratio compresses {dim} channels to {part}")
    return ratio


def _complete(state: dict[str, Tensor], config: HATConfig, *, name: str) -> dict[str, Tensor]:
    """The state with the position indices filled in if they were stripped, every key and shape checked."""
    expected_index = {
        INDEX_KEYS[0]: self_attention_index(config.window_size),
        INDEX_KEYS[1]: cross_attention_index(config.window_size, config.overlap_window),
    }
    state = {**expected_index, **state}
    for key, index in expected_index.items():
        if state[key].shape != index.shape or not torch.equal(state[key].long(), index):
            raise WeightsError(f"{name} has other position indices than HAT ({key})")
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in HAT(config).state_dict().items()}
    if missing := sorted(set(shapes) - set(state)):
        raise WeightsError(f"{name} lacks {len(missing)} tensors, {missing[0]} first", hint="download it again")
    if unknown := sorted(set(state) - set(shapes)):
        raise WeightsError(f"{name} has {len(unknown)} tensors no HAT has, {unknown[0]} first")
    for key, shape in shapes.items():
        if state[key].shape != shape:
            raise WeightsError(f"{name}: {key} is {list(state[key].shape)} where {list(shape)} is needed")
        if state[key].is_floating_point() and not bool(torch.isfinite(state[key]).all()):
            raise WeightsError(f"{name}: {key} holds values that are not finite", hint="download it again")
    return {key: state[key] for key in shapes}
