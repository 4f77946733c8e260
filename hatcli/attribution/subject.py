"""One network and one picture under study: runs it window by window, says how far it is, and returns what it found."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image as Pillow
from torch import Tensor

from hatcli.attribution import maps
from hatcli.attribution.differentiable import Differentiable
from hatcli.attribution.features import FEATURES_HINT, as_gray, blocking_index, feature_maps
from hatcli.attribution.findings import Finding
from hatcli.attribution.lam import Attribution, BlurPath, KeptBytes, StepsDone, Window, attribute
from hatcli.errors import HatError, InputError, MemoryLimitError, WeightsError
from hatcli.image.picture import from_tensor
from hatcli.progress import mapped
from hatcli.upscaling.device import free_memory
from hatcli.upscaling.memory import is_out_of_memory

CPU_BATCH_BYTES = 1 << 30  # larger batches are no faster there
PROBE_SIDES = (16, 32)  # input pixels; whole windows of every published model
BACKWARD = 1.5  # of what is kept, at the worst instant of the way back; 1.4 measured with HAT
MEMORY_HINT = "attribute a crop: 64 x 64 pixels in the paper"


@dataclass(frozen=True)
class Subject:
    """A network by the name it is shown under, and a picture `[3, h, w]` in the network's precision.

    Attributes:
        scale: the network's factor.
        path: what is integrated along.
    """

    name: str
    network: Differentiable
    image: Tensor
    scale: int
    device: torch.device
    path: BlurPath

    def study(self, window: Window, more: Sequence[Window], *, features: bool) -> Generator[StepsDone, None, Finding]:
        """Yields the steps done over all windows, and returns what is shown and said of this network.

        Args:
            more: windows whose mean index is wanted too.
            features: look at the maps after each group as well.

        Raises:
            HatError: see `attribute`; MemoryLimitError where the picture is too large.
        """
        self.refuse_too_large()
        total = self.path.steps * (1 + len(more))
        result = yield from self._attribution(window, 0, total)
        indices = []
        for number, other in enumerate(more, start=1):
            try:
                found = yield from self._attribution(other, number * self.path.steps, total)
            except InputError:  # a flat window has no index; how many had one is said
                continue
            indices.append(found.diffusion_index)
        return Finding(
            name=self.name,
            attribution=result,
            density=maps.density(result.saliency.numpy()),
            other_indices=tuple(indices),
            groups=tuple(self._groups()) if features else None,
            picture=Pillow.fromarray(from_tensor(self.image, bits=8)),
            scale=self.scale,
        )

    def refuse_too_large(self) -> None:
        """Measure what small crops take before a large picture is begun: running out of memory ends a process.

        Raises:
            MemoryLimitError: the whole picture, run a step at a time, will not fit.
        """
        height, width = self.image.shape[1:]
        small, large = PROBE_SIDES
        if min(height, width) < large or height * width <= 4 * large**2:
            return
        less, more = self._kept_bytes(small), self._kept_bytes(large)
        growth = (more - less) / (large**2 - small**2)  # bytes a pixel; the rest is tables of one size
        wanted = BACKWARD * (more + growth * (height * width - large**2))
        free = free_memory(self.device)
        if wanted > free:
            raise MemoryLimitError(
                f"{self.name} needs about {wanted / 2**30:.1f} GiB to attribute {width} x {height} pixels, "
                f"and {free / 2**30:.1f} GiB are free",
                hint=MEMORY_HINT,
            )

    def _kept_bytes(self, side: int) -> int:
        """What a run on a crop keeps for its gradients."""
        crop = self.image[:, :side, :side].to(self.device)[None].requires_grad_()
        kept = KeptBytes()
        with torch.enable_grad(), kept:
            self.network.call(crop)
        return kept.bytes

    def _attribution(self, window: Window, before: int, total: int) -> Generator[StepsDone, None, Attribution]:
        """One window; `before` of the `total` steps are done already."""
        budget = free_memory(self.device) // 2
        if self.device.type == "cpu":
            budget = min(budget, CPU_BATCH_BYTES)
        running = attribute(
            self.network.call,
            self.image,
            window,
            path=self.path,
            batch=None if self.network.foreign is None else 1,
            budget=budget,
            device=self.device,
        )
        try:
            return (yield from mapped(running, lambda one: StepsDone(before + one.done, total)))
        except HatError:
            raise
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Exception:
        """What a failure inside the network means, or the failure itself where that is a bug."""
        if is_out_of_memory(error):
            return MemoryLimitError(f"out of memory attributing with {self.name}", hint=MEMORY_HINT)
        if self.network.foreign is not None and isinstance(error, RuntimeError):
            said = " ".join(str(error).split())[:160]
            return WeightsError(
                f"{self.name} ({self.network.foreign}) cannot be attributed: {said}",
                hint="use --precision fp32" if self.image.dtype == torch.float64 else None,
            )
        return error

    def _groups(self) -> list[tuple[Pillow.Image, float | None]]:
        """Each group's map and its blocking index in dB, None where it has none."""
        if not self.network.groups:
            return []
        side = self.network.window
        found: list[tuple[Pillow.Image, float | None]] = []
        for entry in feature_maps(self.network, self.image.to(self.device)):
            try:
                index = blocking_index(entry, window=side) if side is not None else None
            except ValueError:  # one window, or a constant map
                index = None
            found.append(
                (Pillow.fromarray(as_gray(entry)), index if index is not None and math.isfinite(index) else None)
            )
        return found


def without_groups(subjects: Sequence[Subject]) -> list[str]:
    """Names of those that have no feature maps to show.

    Raises:
        WeightsError: none has any.
    """
    names = [subject.name for subject in subjects if not subject.network.groups]
    if len(names) == len(subjects):
        raise WeightsError(f"{', '.join(names)}: no groups whose maps could be shown", hint=FEATURES_HINT)
    return names
