"""A file of weights to named tensors, safely: nothing in it runs, and nothing is made that it does not hold itself.

Knows no network: which tensors a HAT needs is the checkpoint's concern.
"""

from __future__ import annotations

import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hatcli.errors import WeightsError

WRAPPERS = ("params_ema", "params-ema", "params", "state_dict", "model_state_dict", "model", "net")
HEADER_LIMIT = 16 << 20  # bytes; HAT-L's header has 0.2 MB
SUM_TOLERANCE = 1 << 20  # bytes a zip's members may claim beyond the file itself: PyTorch stores them uncompressed
SHARED_STORAGE = 4  # times the file's size that its tensors may take: several may be views of one
LONGEST_SIDE = 1 << 28  # of a tensor; one without a single number may claim any
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)  # what weights may be stored as
FLOATS_HINT = "weights are floats of 16, 32 or 64 bits"
EXPORT_HINT = "save its state dict again with torch.save, or convert it where you trust it"
AGAIN_HINT = "download it again"


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file of weights, .safetensors or .pth, under the keys they have there, and its metadata.

    A .pth is opened with PyTorch's `weights_only` unpickler and never in any other way; wrappers such as `params_ema`
    are taken off.

    Raises:
        WeightsError: not there, not weights, damaged, unsafe, or tensors that claim more than the file holds.
    """
    tensors, metadata = _read_safetensors(path) if sniff(path) == "safetensors" else (_read_pickle(path), {})
    state = unwrapped(tensors, name=path.name)
    check_stored(state, size=path.stat().st_size, name=path.name)
    return state, metadata


def sniff(path: Path) -> str:
    """`safetensors` or `pickle`, by content.

    Raises:
        WeightsError: the file is missing, empty, or something else altogether.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise WeightsError(f"{path} is a folder, not a checkpoint", hint="name the .safetensors or .pth file in it")
        if not stat.S_ISREG(mode):
            raise WeightsError(f"{path} is not a plain file", hint="save the weights to a file first")
        with open(path, "rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise WeightsError(f"there is no file {path}", hint="`hat models` lists the models that can be named") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise WeightsError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="check that it is there and may be read",
        ) from None
    text = head.lstrip().lower()
    if not head:
        raise WeightsError(f"{path.name} is empty", hint=AGAIN_HINT)
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
    from safetensors import safe_open

    size = path.stat().st_size
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > HEADER_LIMIT:
        raise WeightsError(f"{path.name} claims a header of {header} bytes", hint="it is damaged or hostile")
    if header + 8 > size:
        raise WeightsError(f"{path.name} is cut off inside its header", hint=AGAIN_HINT)
    try:
        with safe_open(path, framework="pt") as file:
            # Copied: what the library gives is the file itself, mapped, and would change with it while it is in use.
            return {key: file.get_tensor(key).clone() for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except Exception as error:  # a damaged header raises nearly anything
        raise WeightsError(f"{path.name} is damaged: {one_line(error)}", hint=AGAIN_HINT) from None


def _read_pickle(path: Path) -> Any:
    import pickle

    if tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) < (2, 10):
        raise WeightsError(
            f"opening .pth files is not safe with PyTorch {torch.__version__}", hint="pip install 'torch>=2.10'"
        )
    try:
        claimed = _claimed_by_members(path)
        if claimed > path.stat().st_size + SUM_TOLERANCE:
            raise WeightsError(f"{path.name} is a compressed archive, not a checkpoint", hint="unpack it first")
        check_sums(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it holds is looked at below, kind by kind
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path.name} holds more than tensors (or is damaged) and was not opened", hint=EXPORT_HINT
        ) from None
    except Exception as error:  # a damaged pickle or zip raises nearly anything
        raise WeightsError(f"{path.name} is damaged: {one_line(error)}", hint=AGAIN_HINT) from None


def _claimed_by_members(path: Path) -> int:
    """Bytes that a zip's directory promises; 0 of what is no zip."""
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


def check_sums(path: Path) -> None:
    """Look at the checksums of a file of `torch.save`, which PyTorch does not: a bad bit would be a wrong weight.

    Raises:
        zipfile.BadZipFile: one is wrong.
    """
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            if file.read(4) == b"PK\x03\x04":
                raise zipfile.BadZipFile("it ends too early")
        return  # as before PyTorch 1.6
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


def unwrapped(tensors: Any, *, name: str) -> dict[str, Tensor]:
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


def check_stored(state: dict[str, Tensor], *, size: int, name: str) -> None:
    """Every tensor is a plain one whose numbers all stand in the file of `size` bytes.

    Raises:
        WeightsError: one is sparse, quantised, without data, of an odd kind of number, or repeats what is stored to
            claim far more of it.
    """
    total = 0
    for key, value in state.items():
        if value.layout != torch.strided or value.is_meta or value.is_quantized or value.is_nested:
            raise WeightsError(f"{name}: {shown(key)} is not a plain tensor", hint=EXPORT_HINT)
        if value.dtype not in FLOATS and (value.is_floating_point() or value.is_complex()):
            raise WeightsError(f"{name}: {shown(key)} holds {kind(value)} numbers", hint=FLOATS_HINT)
        taken = value.numel() * value.element_size()
        total += taken
        repeats = taken > value.untyped_storage().nbytes()
        if repeats or max(value.shape, default=1) > LONGEST_SIDE or total > SHARED_STORAGE * size:
            claimed = " x ".join(map(str, value.shape)) or "one number"
            raise WeightsError(f"{name}: {shown(key)} claims {claimed}, more than the file holds", hint=EXPORT_HINT)


def is_finite(value: Tensor) -> bool:
    """Whether every number is finite, in float32 too; true of whole numbers."""
    return not value.is_floating_point() or bool(torch.isfinite(value.float()).all())


def kind(value: Tensor) -> str:
    """The kind of its numbers for people: `int8`."""
    return str(value.dtype).removeprefix("torch.")


def shown(key: str) -> str:
    """A key from a file as it may stand in a message."""
    short = key if len(key) <= 80 else f"{key[:77]}..."
    return short if short.isprintable() else ascii(short)


def one_line(error: Exception) -> str:
    """What an error says, short, without line breaks."""
    return " ".join(str(error).split())[:160] or type(error).__name__
