"""Which device and precision to run in, and why; how much memory is free there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from hatcli.errors import UsageError
from hatcli.upscaling import containers

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
LEAST_GAIN = 1.5  # times as fast as fp32 that bf16 must be for `auto` to take it
LEAST_DECIBELS = 60.0  # PSNR of its 8-bit results against those of fp32


@dataclass(frozen=True)
class Narrow:
    """What bf16 gives on a kind of device: how many times as fast as fp32 it is, and how near its results are."""

    gain: float
    decibels: float


# Decibels: HAT-T x4, the least of three pictures; the same on a card, whose feature maps and sums are float32 as
# well. Gains: HAT on two cores with AVX-512 bf16 (1.2 to 1.5); of cards nobody lent one, so the least that their
# makers give for exact fp32 against bf16 products (82 against 165 TFLOP/s on a GeForce RTX 4090, 19 against 312 on an
# A100).
BF16 = {"cpu": Narrow(gain=1.35, decibels=65.0), "cuda": Narrow(gain=2.0, decibels=65.0)}


@dataclass(frozen=True)
class DeviceChoice:
    """A device and a floating-point type, and one sentence on why.

    Attributes:
        device: where the network runs.
        dtype: what its weights and feature maps are for pictures of 8 bits a sample; pictures enter and leave as
            float32 all the same.
        why: for people, such as `no CUDA device was found`.
        room: bytes of the device's memory that this process may plan with, as others share it; None: all that is free.
    """

    device: torch.device
    dtype: torch.dtype
    why: str
    room: int | None = None

    def dtype_for(self, bits: int) -> torch.dtype:
        """The type for pictures of so many bits a sample: bf16 has 8."""
        return self.dtype if bits <= 8 else torch.float32

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
    if not has_bf16(place):
        return DeviceChoice(place, torch.float32, why)
    dtype, because = _automatic(BF16[place.type])
    return DeviceChoice(place, dtype, f"{why}; {because}")


def _automatic(narrow: Narrow) -> tuple[torch.dtype, str]:
    """The precision `auto` takes on a device that multiplies bf16 in hardware, and why."""
    if narrow.decibels < LEAST_DECIBELS:
        return (
            torch.float32,
            f"bf16 is only within {narrow.decibels:g} dB of fp32; --precision bf16 takes it all the same",
        )
    if narrow.gain < LEAST_GAIN:
        return torch.float32, f"bf16 is only {narrow.gain:g} times as fast; --precision bf16 takes it all the same"
    return torch.bfloat16, f"bf16 is {narrow.gain:g} times as fast or more; 16-bit pictures run in fp32"


@contextmanager
def exact_products() -> Iterator[None]:
    """Within it, float32 convolutions and matrix products on CUDA are computed in float32; after it, as before.

    PyTorch's default rounds a convolution's inputs to TF32's 10 bits, and a program may have asked for that in products
    too. There is an old and a new way to say so, and PyTorch refuses to read one where they contradict: both are set.
    """
    product: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    places = (product, cudnn.conv, cudnn.rnn)
    before = [place.fp32_precision for place in places]
    old_ways = {place: allowed for place in (product, cudnn) if (allowed := _allows_tf32(place)) is not None}
    product.allow_tf32 = cudnn.allow_tf32 = False
    for place in places:
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        for switch, allowed in old_ways.items():
            switch.allow_tf32 = allowed
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


def _allows_tf32(switch: Any) -> bool | None:
    """PyTorch's older flag; None where it says something else than the newer one."""
    try:
        return bool(switch.allow_tf32)
    except RuntimeError:
        return None


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
    allowed = containers.free_memory()
    return free if allowed is None else min(free, allowed)
