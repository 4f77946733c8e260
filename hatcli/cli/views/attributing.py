"""One network and one picture under study by `hat attribute`: runs it window by window and says how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image as Pillow
from torch import Tensor, nn

from hatcli.attribution import maps
from hatcli.attribution.features import as_gray, blocking_index, feature_maps
from hatcli.attribution.lam import Attribution, KeptBytes, Path, Progress, Window, attribute
from hatcli.attribution.networks import groups, window_side, with_gradients
from hatcli.attribution.page import Section
from hatcli.attribution.regions import confidence
from hatcli.cli.shared.console import show
from hatcli.errors import HatError, InputError, MemoryLimitError, WeightsError
from hatcli.image.picture import from_tensor
from hatcli.models.zoo import Foreign
from hatcli.upscaling.device import free_memory
from hatcli.upscaling.memory import is_out_of_memory

if TYPE_CHECKING:
    from hatcli.cli.shared.console import Bars, Console

CPU_BATCH_BYTES = 1 << 30  # larger batches are no faster there
PROBE_SIDES = (16, 32)  # input pixels; whole windows of every published model
BACKWARD = 1.5  # of what is kept, at the worst instant of the way back; 1.4 measured with HAT
MEMORY_HINT = "attribute a crop: 64 x 64 pixels in the paper"


class Subject:
    """A network and a picture `[3, h, w]` in the network's precision."""

    def __init__(
        self, name: str, network: nn.Module, image: Tensor, scale: int, device: torch.device, path: Path
    ) -> None:
        self.name, self.network, self.image, self.scale = name, network, image, scale
        self.device, self.path = device, path
        self.call = with_gradients(network)

    @property
    def has_groups(self) -> bool:
        return bool(groups(self.network))

    def look(
        self, chosen: Window, more: list[Window], *, features: bool, console: Console, bars: Bars
    ) -> tuple[Section, dict[str, Any]]:
        """All that is shown and said of this network."""
        self.refuse_too_large()
        result = self.attribution(chosen, console, bars)
        facts: dict[str, Any] = {"diffusion_index": result.diffusion_index, "gini": result.gini}
        notes: list[str] = []
        indices = []
        for window in more:
            try:
                indices.append(self.attribution(window, console, bars).diffusion_index)
            except InputError:  # a flat window has no index; how many had one is said
                continue
        if indices:
            mean, half = confidence(indices)
            facts["regions"] = {"count": len(indices), "mean": mean, "half_width_95": half, "values": indices}
            notes.append(f"over {len(indices)} windows{mean_text(facts)}")
        pictures = self.pictures(result)
        if features and self.has_groups:
            found = self.features()
            facts["blocking_index_db"] = [index for _, index in found]
            for number, (picture, index) in enumerate(found, start=1):
                pictures[f"group {number}" + ("" if index is None else f": blocking {decibels(index)}")] = picture
        elif features:
            notes.append("no groups whose maps could be shown")
        return Section(self.name, result.diffusion_index, tuple(notes), pictures), facts

    def refuse_too_large(self) -> None:
        """Measure what small crops take before a large picture is begun: running out of memory ends a process.

        Raises:
            MemoryLimitError: the whole picture, run a step at a time, will not fit.
        """
        height, width = self.image.shape[1:]
        small, large = PROBE_SIDES
        if min(height, width) < large or height * width <= 4 * large**2:
            return
        less, more = self.kept_bytes(small), self.kept_bytes(large)
        growth = (more - less) / (large**2 - small**2)  # bytes a pixel; the rest is tables of one size
        wanted = BACKWARD * (more + growth * (height * width - large**2))
        free = free_memory(self.device)
        if wanted > free:
            raise MemoryLimitError(
                f"{self.name} needs about {wanted / 2**30:.1f} GiB to attribute {width} x {height} pixels, "
                f"and {free / 2**30:.1f} GiB are free",
                hint=MEMORY_HINT,
            )

    def kept_bytes(self, side: int) -> int:
        """What a run on a crop keeps for its gradients."""
        crop = self.image[:, :side, :side].to(self.device)[None].requires_grad_()
        kept = KeptBytes()
        with torch.enable_grad(), kept:
            self.call(crop)
        return kept.bytes

    def attribution(self, window: Window, console: Console, bars: Bars) -> Attribution:
        """One window, with progress shown."""
        bars.picture(self.name)
        budget = free_memory(self.device) // 2
        if self.device.type == "cpu":
            budget = min(budget, CPU_BATCH_BYTES)
        batch = 1 if isinstance(self.network, Foreign) else None  # others promise results for one picture only
        running: Generator[Progress, None, Attribution] = attribute(
            self.call, self.image, window, path=self.path, batch=batch, budget=budget, device=self.device
        )
        started = time.monotonic()
        while True:
            try:
                progress = next(running)
            except StopIteration as finished:
                bars.finished()
                result: Attribution = finished.value
                return result
            except HatError:
                bars.finished()
                raise
            except Exception as error:
                raise self.explained(error) from error
            share = progress.done / progress.total
            bars.tiles(share, 1, 1)
            left = (time.monotonic() - started) * (1 / share - 1)
            console.detail(f"{show(self.name)}: step {progress.done} of {progress.total}, {left:.0f} s left")

    def explained(self, error: Exception) -> Exception:
        """What a failure inside the network means, or the failure itself where that is a bug."""
        if is_out_of_memory(error):
            return MemoryLimitError(f"out of memory attributing with {self.name}", hint=MEMORY_HINT)
        if isinstance(self.network, Foreign) and isinstance(error, RuntimeError):
            said = " ".join(str(error).split())[:160]
            return WeightsError(
                f"{self.name} ({self.network.architecture}) cannot be attributed: {said}",
                hint="use --precision fp32" if self.image.dtype == torch.float64 else None,
            )
        return error

    def pictures(self, result: Attribution) -> dict[str, Pillow.Image]:
        """Caption to picture: where the window is, saliency, density, both over the picture."""
        window, saliency = result.window, result.saliency.numpy()
        small = Pillow.fromarray(from_tensor(self.image, bits=8))
        large = small.resize((small.width * self.scale, small.height * self.scale), Pillow.Resampling.BICUBIC)
        marked = maps.outlined(large, top=window.top, left=window.left, side=window.side)
        salient = maps.enlarged(maps.reds(saliency), self.scale)
        dense = maps.enlarged(maps.reds(maps.density(saliency)), self.scale, smooth=True)
        return {
            "window": marked,
            "saliency": salient,
            "density": dense,
            "overlay": maps.outlined(maps.overlay(dense, large), top=window.top, left=window.left, side=window.side),
        }

    def features(self) -> list[tuple[Pillow.Image, float | None]]:
        """Each group's map and its blocking index in dB, None where it has none."""
        side = window_side(self.network)
        found: list[tuple[Pillow.Image, float | None]] = []
        for entry in feature_maps(self.network, self.image.to(self.device)):
            try:
                index = blocking_index(entry, window=side) if side is not None else None
            except ValueError:  # one window, or a constant map
                index = None
            picture = Pillow.fromarray(as_gray(entry))
            found.append((picture, index if index is not None and math.isfinite(index) else None))
        return found


def decibels(value: float) -> str:
    """`+1.23 dB` or `−1.23 dB`, never broken in two."""
    return f"{value:+.2f}\N{NO-BREAK SPACE}dB".replace("-", "\N{MINUS SIGN}")


def mean_text(facts: dict[str, Any]) -> str:
    """`, mean 12.3 ± 1.2 (95 %)` where many windows were looked at."""
    if "regions" not in facts:
        return ""
    found = facts["regions"]
    half = "" if found["half_width_95"] is None else f" ± {found['half_width_95']:.2f} (95 %)"
    return f", mean {found['mean']:.2f}{half}"
