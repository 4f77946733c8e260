"""Checkpoint files to networks and back: canonical keys, configuration from shapes, strict loading."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hatcli.atomic import replacing
from hatcli.errors import WeightsError
from hatcli.network import weights_file
from hatcli.network.attention import cross_attention_index, self_attention_index
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT
from hatcli.network.weights_file import AGAIN_HINT, FLOATS, FLOATS_HINT, is_finite, kind, one_line, shown

CONFIG_KEY = "hat_config"  # in a safetensors file's metadata: HATConfig as JSON
AVERAGED, TRAINED = ("params_ema.", "params-ema."), "params."  # two networks of one training: the averaged one is meant
PREFIXES = ("module.", "_orig_mod.", "netG.", "net_g.", "generator.", "model.", "net.", *AVERAGED, TRAINED)
MOST_PREFIXES = 4  # in front of each other
COUNTER = "n_averaged"  # beside weights that PyTorch's AveragedModel holds
INDEX_KEYS = ("relative_position_index_SA", "relative_position_index_OCA")
WHOLE_NUMBERS = (torch.int64, torch.int32, torch.int16)  # what position indices may be stored as


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

    Raises:
        WeightsError: not there, not weights, damaged, unsafe, or not a HAT.
    """
    tensors, metadata = weights_file.read(path)
    state = canonical(tensors)
    written = metadata.get(CONFIG_KEY)  # by this project; it may be a shape that cannot be inferred
    config = infer_config(state, name=path.name) if written is None else HATConfig.from_json(written)
    return Checkpoint(config=config, state=_complete(state, config, name=path.name), metadata=metadata)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint of whatever network, under the keys they have there; opened as `read` does.

    Raises:
        WeightsError: not there, not weights, damaged or unsafe.
    """
    return weights_file.read(path)[0]


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
    """Write a safetensors file with the configuration in its metadata, atomically; the same content, the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    data = save(tensors, {"format": "pt", **(metadata or {}), CONFIG_KEY: config.to_json()})
    header_end = 8 + int.from_bytes(data[:8], "little")
    with replacing(path) as file:
        file.write(_header_in_order(data[8:header_end]))
        file.write(memoryview(data)[header_end:])


def _header_in_order(header: bytes) -> bytes:
    """A safetensors header with its metadata sorted, its length before it: the library's order is random."""
    values = json.loads(header)
    values["__metadata__"] = dict(sorted(values["__metadata__"].items()))
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text


def canonical(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under their official keys: prefixes such as `module.` taken off, of two networks the averaged one."""
    state = {key: value for key, value in state.items() if key != COUNTER}
    for _ in range(MOST_PREFIXES):
        if all(key.startswith((*AVERAGED, TRAINED)) for key in state):
            state = {key: value for key, value in state.items() if key.startswith(AVERAGED)} or state
        found = next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in state)), None)
        if found is None:
            break
        state = {key.removeprefix(found): value for key, value in state.items()}
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
        raise WeightsError(
            f"{name} uses absolute position embeddings, which no public HAT has",
            hint="train or convert it without them",
        )
    try:
        dim, channels = state["conv_first.weight"].shape[:2]
        if channels != 3:
            raise WeightsError(
                f"{name} takes {channels} channels; only RGB networks can be used",
                hint="`hat models` lists weights that work",
            )
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
        raise WeightsError(f"{name} is not a whole HAT checkpoint: {one_line(error)}", hint=AGAIN_HINT) from None


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
    """Blocks of each residual group, counted from the keys: a key may name any number, but not stand for the others."""
    blocks: dict[int, set[int]] = {}
    for key in state:
        parts = key.split(".")
        if parts[0] == "layers" and "blocks" in parts:
            blocks.setdefault(int(parts[1]), set()).add(int(parts[parts.index("blocks") + 1]))
    if blocks and max(blocks) + 1 != len(blocks):
        raise ValueError(f"it has {len(blocks)} residual groups, one of them numbered {max(blocks)}")
    for group, numbers in blocks.items():
        if max(numbers) + 1 != len(numbers):
            raise ValueError(f"layers.{group} has {len(numbers)} blocks, one of them numbered {max(numbers)}")
    return tuple(len(blocks[i]) for i in range(len(blocks)))


def _upscale(state: dict[str, Tensor]) -> int:
    scale, stage = 1, 0
    while (weight := state.get(f"upsample.{stage}.weight")) is not None:
        scale *= math.isqrt(weight.shape[0] // weight.shape[1])
        stage += 2
    return scale


def _overlap_ratio(window: int, overlap: int) -> float:
    """The ratio whose product with `window`, cut to an integer, is the overlap."""
    ratio = (overlap - window) / window
    return ratio if int(ratio * window) == overlap - window else ratio + 0.5 / window


def _divisor(dim: int, part: int) -> int:
    """The largest ratio with `dim // ratio == part`; several may serve, and all make the same network."""
    ratio = dim // part
    if dim // ratio != part:
        raise ValueError(f"no ratio compresses {dim} channels to {part}")
    return ratio


def _complete(state: dict[str, Tensor], config: HATConfig, *, name: str) -> dict[str, Tensor]:
    """The state with the position indices filled in if they were stripped, every key, shape and type checked.

    What is cheap comes first: nothing is built that has the wrong size.
    """
    try:
        depths = _depths(state)
    except (KeyError, IndexError, ValueError) as error:
        raise WeightsError(f"{name} is not a whole HAT checkpoint: {one_line(error)}", hint=AGAIN_HINT) from None
    if depths != config.depths:
        raise WeightsError(
            f"{name} has {sum(depths)} blocks where its configuration says {sum(config.depths)}", hint=AGAIN_HINT
        )
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in HAT(config).state_dict().items()}
    if missing := sorted(set(shapes) - set(state) - set(INDEX_KEYS)):
        raise WeightsError(f"{name} lacks {len(missing)} tensors, {missing[0]} first", hint=AGAIN_HINT)
    if unknown := sorted(set(state) - set(shapes)):
        raise WeightsError(
            f"{name} has {len(unknown)} tensors no HAT has, {shown(unknown[0])} first",
            hint="save the network's own weights alone",
        )
    for key in sorted(set(shapes) - set(INDEX_KEYS)):
        _check_weight(key, state[key], shapes[key], name=name)
    indices = {
        INDEX_KEYS[0]: self_attention_index(config.window_size),
        INDEX_KEYS[1]: cross_attention_index(config.window_size, config.overlap_window),
    }
    for key, index in indices.items():
        stored = state.get(key, index)
        if stored.shape != index.shape or stored.dtype not in WHOLE_NUMBERS or not torch.equal(stored.long(), index):
            raise WeightsError(f"{name} has other position indices than HAT ({key})", hint=AGAIN_HINT)
    return {key: indices[key] if key in indices else state[key] for key in shapes}


def _check_weight(key: str, value: Tensor, shape: torch.Size, *, name: str) -> None:
    if value.shape != shape:
        raise WeightsError(f"{name}: {key} is {list(value.shape)} where {list(shape)} is needed", hint=AGAIN_HINT)
    if value.dtype not in FLOATS:
        raise WeightsError(f"{name}: {key} holds {kind(value)} numbers", hint=FLOATS_HINT)
    if not is_finite(value):
        raise WeightsError(f"{name}: {key} holds values that are not finite", hint=AGAIN_HINT)
