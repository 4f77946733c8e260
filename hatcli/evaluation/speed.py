"""How fast and how hungry a network is here, against what the machine itself can do, measured side by side."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import torch
from torch import Tensor

from hatcli.engine import Network
from hatcli.progress import drive, within
from hatcli.upscaling.device import exact_products, has_bf16

MATRIX = 2048  # side of the matrices whose product is taken for the machine's limit
STREAM = 64 << 20  # bytes copied to measure memory bandwidth
SAMPLING = 0.02  # seconds between two looks at the process's memory where the kernel keeps no high-water mark


@dataclass(frozen=True)
class Limits:
    """What the device reached in this run: matrix products in GFLOP/s, copying in GB/s (read and written).

    `bf16` is None where the hardware does not multiply it: emulation says nothing and takes minutes.
    """

    fp32: float
    bf16: float | None
    bandwidth: float


@dataclass(frozen=True)
class Timing:
    """One network at one size.

    Attributes:
        name: of the network and its precision.
        side: of the square input, in pixels.
        seconds: median of the runs.
        gflops: achieved GFLOP/s; None where the work is not known.
        share: `gflops` as a share of the limit measured in the same run and precision.
        peak: bytes beyond what was in use before, at the worst instant.
        ratio: the reference's median time over this one's; None without a reference.
    """

    name: str
    side: int
    seconds: float
    gflops: float | None
    share: float | None
    peak: int
    ratio: float | None = None

    @property
    def megapixels_per_second(self) -> float:
        """Input megapixels a second."""
        return self.side**2 / 1e6 / self.seconds


@dataclass(frozen=True)
class Contestant:
    """A network to time: what it is called, how it runs, its work an input pixel (None: unknown), its precision."""

    name: str
    run: Callable[[Tensor], Tensor]
    multiply_adds: float | None
    dtype: torch.dtype


def measure_limits(device: torch.device) -> Limits:
    """Matrix products in both precisions and a plain copy; the best of a few tries each."""
    source = torch.ones(STREAM // 4, device=device)
    target = torch.empty_like(source)
    copying = min(_seconds(lambda: target.copy_(source), device) for _ in range(5))
    bf16 = product_rate(device, torch.bfloat16) if has_bf16(device) else None
    return Limits(fp32=product_rate(device, torch.float32), bf16=bf16, bandwidth=2 * STREAM / copying / 1e9)


def product_rate(device: torch.device, dtype: torch.dtype, *, side: int = MATRIX) -> float:
    """GFLOP/s of a product of square matrices."""
    left, right = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / min(_seconds(lambda: left @ right, device) for _ in range(5)) / 1e9


def compete(contestants: list[Contestant], side: int, *, device: torch.device, repeats: int) -> Iterator[str | Timing]:
    """Time contestants on one random square picture, taking turns; the first one is what ratios refer to, if it is
    called `reference`.

    Yields a contestant's name before each of its runs, then one `Timing` a contestant.
    """
    image = torch.rand(1, 3, side, side, device=device)
    seconds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    peaks: dict[str, int] = dict.fromkeys(seconds, 0)
    shares: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for _ in range(repeats):
        for contestant in contestants:
            yield contestant.name
            limits = measure_limits(device)  # each time: machines grow faster and slower within minutes
            with PeakMemory(device) as peak:
                took = _seconds(partial(contestant.run, image), device)
            seconds[contestant.name].append(took)
            peaks[contestant.name] = max(peaks[contestant.name], peak.bytes)
            limit = limits.bf16 if contestant.dtype == torch.bfloat16 else limits.fp32
            if contestant.multiply_adds is not None and limit is not None:
                shares[contestant.name].append(2 * contestant.multiply_adds * side**2 / took / 1e9 / limit)
    base = seconds.get("reference")
    for contestant in contestants:
        middle = statistics.median(seconds[contestant.name])
        work = contestant.multiply_adds
        yield Timing(
            name=contestant.name,
            side=side,
            seconds=middle,
            gflops=None if work is None else 2 * work * side**2 / middle / 1e9,
            share=statistics.median(shares[contestant.name]) if shares[contestant.name] else None,
            peak=peaks[contestant.name],
            ratio=statistics.median(base) / middle if base else None,
        )


def inference(network: Network) -> Callable[[Tensor], Tensor]:
    """A network as a plain function without gradients; fp32 is fp32 on cards too."""
    return lambda image: drive(within(network.steps(image), exact_products))


class PeakMemory:
    """The most memory a block of code takes beyond what was in use when it began, in `bytes`.

    On CUDA by the allocator's own count, on Linux by the kernel's high-water mark (`VmHWM`, man 5 proc), which costs
    nothing while the code runs; elsewhere by looking at the process again and again.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.bytes = device, 0
        self._watcher: threading.Thread | None = None
        self._stop = threading.Event()

    def __enter__(self) -> PeakMemory:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
            return self
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        if not _forget_high_water():
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device) - self._before
        elif self._watcher is not None:
            self._stop.set()
            self._watcher.join()
        else:
            self.bytes = max(0, _high_water() - self._before)

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, self._process.memory_info().rss - self._before)
            if self._stop.wait(SAMPLING):
                return


def _high_water() -> int:
    """The most bytes this process has held since its mark was last set back."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise OSError("the kernel keeps no high-water mark")


def _forget_high_water() -> bool:
    """Sets the kernel's high-water mark back to what is in use now; False where there is none or it may not be set."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        _high_water()
    except OSError:
        return False
    return True


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
