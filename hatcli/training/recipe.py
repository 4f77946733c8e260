"""What a training run is: every number that decides its result, and the shape of network they ask for."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from hatcli.errors import UsageError, WeightsError
from hatcli.network.config import HATConfig, preset
from hatcli.training.degradations import DEGRADATIONS
from hatcli.training.losses import LOSSES

NETWORK_FIELDS = (  # of HATConfig, that a recipe may set instead of its preset
    "embed_dim", "depths", "num_heads", "window_size", "overlap_ratio", "compress_ratio", "squeeze_factor",
    "conv_scale", "num_feat", "cab", "channel_attention", "ocab",
)  # fmt: skip
SCALES = (2, 3, 4)  # that can be learnt: the published ones
CHOICES = {
    "optimizer": ("adam", "muon"),
    "schedule": ("cosine", "multistep"),
    "precision": ("fp32", "bf16"),
    "initial": ("bilinear", "random"),
    "degradation": tuple(DEGRADATIONS),
    "loss": tuple(LOSSES),
}


@dataclass(frozen=True)
class Recipe:
    """The settings of one run, kept in its state and in the metadata of its weights.

    Attributes:
        preset: shape of the network, see `network.config.preset`; the fields from `embed_dim` to `ocab`, where they are
            not None, change it.
        scale: factor to train for.
        minutes: wall-clock budget; the schedule is fitted to it. 0: `steps` alone decide.
        steps: optimiser steps; 0: `minutes` alone decide.
        batch: patches a step, over all processes.
        patch: side of a low-resolution patch, in pixels.
        learning_rate: the peak.
        schedule: "cosine" falls to zero, "multistep" is multiplied by `decay` at each milestone.
        milestones: shares of the run, 0..1, rising.
        decay: factor of the learning rate at a milestone.
        warmup: steps over which the learning rate rises from zero; 0 for none.
        optimizer: "adam" for all weights, or "muon" for the matrices of the body and Adam for the rest.
        matrix_rate: factor on the learning rate for those matrices; "muon" alone reads it.
        betas: of Adam.
        clip: largest norm of the gradient; 0 leaves it as it is.
        ema: decay of the averaged weights, the ones that are written.
        precision: "fp32", or "bf16" (autocast: weights and loss stay fp32).
        checkpointing: compute a group's activations again in the backward pass instead of keeping them.
        initial: "bilinear", see `training.start`, or "random", PyTorch's own.
        needs_start: whether a run makes sense only from weights that are there.
        fresh: names (or their beginnings) of tensors that are not taken from those weights.
        degradation: "none" (bicubic alone), "photo" or "real-world", see `training.degradations`.
        drop_path: stochastic depth of the last block; None for the preset's.
        candidates: places drawn for each patch, of which the one with the most detail is taken; 1 draws just one.
        detail_share: the share of patches, 0..1, whose place is chosen so; the others are anywhere.
        loss: "l1", "l2" or "charbonnier", see `training.losses`.
        seed: of the patches and of new weights.
    """

    preset: str = "hat-t"
    scale: int = 4
    minutes: float = 0.0
    steps: int = 0
    batch: int = 8
    patch: int = 32
    learning_rate: float = 1.5e-3
    schedule: str = "cosine"
    milestones: tuple[float, ...] = ()
    decay: float = 0.5
    warmup: int = 50
    optimizer: str = "adam"
    matrix_rate: float = 2.0
    betas: tuple[float, ...] = (0.9, 0.99)
    clip: float = 0.0
    ema: float = 0.998
    precision: str = "fp32"
    checkpointing: bool = False
    initial: str = "bilinear"
    needs_start: bool = False
    fresh: tuple[str, ...] = ()
    degradation: str = "none"
    candidates: int = 1
    detail_share: float = 1.0
    loss: str = "l1"
    seed: int = 0
    drop_path: float | None = None
    embed_dim: int | None = None
    depths: tuple[int, ...] | None = None
    num_heads: tuple[int, ...] | None = None
    window_size: int | None = None
    overlap_ratio: float | None = None
    compress_ratio: int | None = None
    squeeze_factor: int | None = None
    conv_scale: float | None = None
    num_feat: int | None = None
    cab: bool | None = None
    channel_attention: bool | None = None
    ocab: bool | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.minutes):
            raise UsageError(f"{self.minutes:g} minutes are no time budget", hint="try --minutes 60")
        if self.minutes <= 0 and self.steps <= 0:
            raise UsageError("a training run needs an end", hint="give --minutes or --steps")
        if self.batch < 1 or self.patch < 8:
            raise UsageError("a batch needs at least 1 patch of at least 8 pixels", hint="try --batch 8 --patch 32")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(f"there is no {name} {getattr(self, name)!r}", hint=f"use {', '.join(known)}")
        rising = list(self.milestones) == sorted(self.milestones) and all(0 <= share <= 1 for share in self.milestones)
        problems = {
            f"scale {self.scale} is not one of {', '.join(map(str, SCALES))}": self.scale not in SCALES,
            "learning_rate is not above 0": not self.learning_rate > 0,
            "matrix_rate is not above 0": not self.matrix_rate > 0,
            "candidates is below 1": self.candidates < 1,
            "detail_share is not 0 to 1": not 0 <= self.detail_share <= 1,
            "ema is not 0 or more and below 1": not 0 <= self.ema < 1,
            "betas are not two numbers of 0 or more and below 1": len(self.betas) != 2
            or not all(0 <= beta < 1 for beta in self.betas),
            "milestones are not rising shares of the run, 0 to 1": not rising,
            "a multistep schedule has no milestones": self.schedule == "multistep" and not self.milestones,
            "decay is not above 0 and at most 1": not 0 < self.decay <= 1,
            "drop_path is not 0 or more and below 1": self.drop_path is not None and not 0 <= self.drop_path < 1,
            "warmup, clip or seed is below 0": self.warmup < 0 or self.clip < 0 or self.seed < 0,
        }
        for problem, found in problems.items():
            if found:
                raise UsageError(f"this recipe cannot be trained: {problem}")
        self.network()

    def network(self) -> HATConfig:
        """The shape to train: the preset with this recipe's changes.

        Raises:
            UsageError: no such network can be built.
        """
        try:
            base = preset(self.preset, upscale=self.scale)
            changes: dict[str, Any] = {name: getattr(self, name) for name in NETWORK_FIELDS}
            if self.depths is not None and self.num_heads is None:
                changes["num_heads"] = (base.num_heads[0],) * len(self.depths)
            changes["drop_path_rate"] = self.drop_path
            return dataclasses.replace(base, **{name: value for name, value in changes.items() if value is not None})
        except WeightsError as error:
            raise UsageError(error.message, hint="change what the recipe says of the network") from None

    def progress(self, step: int, seconds: float) -> float:
        """How far a run is, 0..1: whichever limit is nearer."""
        by_time = seconds / (60 * self.minutes) if self.minutes > 0 else 0.0
        by_steps = step / self.steps if self.steps > 0 else 0.0
        return min(1.0, max(by_time, by_steps))

    def goes_on_from(self, other: Recipe) -> bool:
        """Whether a run of `other` may go on with this recipe: all but the end is the same."""
        return dataclasses.replace(other, minutes=self.minutes, steps=self.steps) == self
