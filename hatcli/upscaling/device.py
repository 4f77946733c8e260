"""Which device and precision to run in, and why; how much memory is free there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from hatcli.errors import UsageError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class DeviceChoice:
    """A device and a floating-point type, and one sentence on why.

    Attributes:
        device: where the network runs.
        dtype: what its weights and feature maps are; pictures enter and leave as float32 all the same.
        why: for people, such as `no CUDA device was found`.
    """

    device: torch.device
    dtype: torch.dtype
    why: str

    @property
    def precision(self) -> str:
        """`fp32` or `bf16`."""
        return next(name for name, dtype in PRECISIONS.items() if dtype == self.dtype)


def choose(device: str = "auto", precision: str = "auto") -> DeviceChoice:
    """Turn what the user asked for into a device and a precision.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: `auto`, `fp32` or `bf16`. Never fp16: HAT's feature maps exceed its range.

    Raises:
        UsageError: the device is not there or not known, or it lacks the precision.
    """
    if precision not in ("auto", *PRECISIONS):
        raise UsageError(f"there is no precision {precision!r}", hint="use auto, fp32 or bf16")
    place, why = _place(device)
    if precision != "auto":
        return DeviceChoice(place, PRECISIONS[precision], why)
    if has_bf16(place):
        return DeviceChoice(place, torch.bfloat16, f"{why}; it computes bf16 in hardware")
    return DeviceChoice(place, torch.float32, why)


def _place(device: str) -> tuple[torch.device, str]:
    name = device.lower()
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0"), f"{torch.cuda.get_device_name(0)} is the fastest device here"
        if torch.backends.mps.is_available():
            return torch.device("mps"), "Apple's GPU is the fastest device here"
        return torch.device("cpu"), why_no_cuda()
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and (kind != "cuda" or not number.isdecimal())):
        raise UsageError(f"there is no device {device!r}", hint="use auto, cpu, cuda, cuda:1 or mps")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(f"{device} cannot be used: {why_no_cuda()}", hint="use --device cpu, or see `hat doctor`")
        if int(number or 0) >= torch.cuda.device_count():
            raise UsageError(
                f"there is no {device}: {torch.cuda.device_count()} CUDA devices were found",
                hint="devices are counted from cuda:0",
            )
        return torch.device("cuda", int(number or 0)), "as asked for"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("mps cannot be used: this is not a Mac with an Apple GPU", hint="use --device cpu")
    return torch.device(kind), "as asked for"


def why_no_cuda() -> str:
    """Why the CPU is used, in words that say what to change."""
    if torch.version.cuda is None and torch.version.hip is None:
        return "this PyTorch was built without CUDA"
    return "PyTorch found no CUDA device"


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 natively; emulation is slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, probe)()) for probe in probes if hasattr(torch.cpu, probe))
    return False


def free_memory(device: torch.device) -> int:
    """Bytes that can be taken without swapping: of the card, or of this machine and its container."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    free = int(psutil.virtual_memory().available)
    limit, used = (_cgroup(name) for name in ("memory.max", "memory.current"))
    return min(free, max(limit - used, 0)) if limit is not None and used is not None else free


def _cgroup(name: str) -> int | None:
    """A number of this container's memory controller, where there is one."""
    try:
        text = (Path("/sys/fs/cgroup") / name).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
