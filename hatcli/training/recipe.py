"""What a training run is: every number that decides its result."""

from __future__ import annotations

from dataclasses import dataclass

from hatcli.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """The settings of one run, kept in its state and in the metadata of its weights.

    Attributes:
        preset: shape of the network, see `network.config.preset`.
        scale: factor to train for.
        minutes: wall-clock budget; the schedule is fitted to it. 0: `steps` alone decide.
        steps: optimiser steps; 0: `minutes` alone decide.
        batch: patches a step.
        patch: side of a low-resolution patch, in pixels.
        learning_rate: peak; falls to zero along a cosine.
        warmup: steps over which the learning rate rises from zero.
        ema: decay of the averaged weights, the ones that are written.
        seed: of the patches and of new weights.
        validate_minutes: minutes between validations and saved states.
    """

    preset: str = "hat-t"
    scale: int = 4
    minutes: float = 0.0
    steps: int = 0
    batch: int = 8
    patch: int = 32
    learning_rate: float = 2e-3
    warmup: int = 50
    ema: float = 0.998
    seed: int = 0
    validate_minutes: float = 2.0

    def __post_init__(self) -> None:
        if self.minutes <= 0 and self.steps <= 0:
            raise UsageError("a training run needs an end", hint="give --minutes or --steps")
        if self.batch < 1 or self.patch < 8:
            raise UsageError("a batch needs at least 1 patch of at least 8 pixels")

    def progress(self, step: int, seconds: float) -> float:
        """How far a run is, 0..1: whichever limit is nearer."""
        by_time = seconds / (60 * self.minutes) if self.minutes > 0 else 0.0
        by_steps = step / self.steps if self.steps > 0 else 0.0
        return min(1.0, max(by_time, by_steps))
