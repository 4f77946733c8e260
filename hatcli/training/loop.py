"""The training loop: L1, Adam, a cosine to zero, averaged weights; resumable at any instant."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from hatcli.atomic import replacing
from hatcli.errors import UsageError, WeightsError
from hatcli.network.hat import HAT
from hatcli.training.data import Pair, PatchSampler
from hatcli.training.recipe import Recipe

BETAS = (0.9, 0.99)  # of Adam, as the HAT authors train


@dataclass(frozen=True)
class TrainingProgress:
    """Where a run is; yielded after every step.

    Attributes:
        step: optimiser steps done, over all sessions of the run.
        done: share of the run, 0..1.
        loss: mean absolute error of the step's batch, in 0..1.
        seconds: training time so far, over all sessions.
        psnr: validation PSNR in dB, on the steps that validated, else None.
    """

    step: int
    done: float
    loss: float
    seconds: float
    psnr: float | None


class TrainingState:
    """Everything a run needs to go on: network, averaged network, optimiser, sampler, counters."""

    def __init__(self, model: HAT, recipe: Recipe, pairs: list[Pair]) -> None:
        self.model, self.recipe = model, recipe
        self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, betas=BETAS)
        self.sampler = PatchSampler(pairs, batch=recipe.batch, patch=recipe.patch, seed=recipe.seed)
        self.step = 0
        self.seconds = 0.0

    def save(self, path: Path) -> None:
        """Write the state atomically."""
        state = {
            "recipe": dataclasses.asdict(self.recipe),
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": repr(self.sampler.random.bit_generator.state),
            "torch": torch.get_rng_state(),
            "step": self.step,
            "seconds": self.seconds,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            torch.save(state, file)

    def load(self, path: Path) -> None:
        """Continue from a saved state.

        Raises:
            WeightsError: the file is not a training state.
            UsageError: it was made with another recipe.
        """
        import ast

        try:
            state: dict[str, Any] = torch.load(path, weights_only=True)
            recipe = Recipe(**state["recipe"])
        except Exception as error:  # whatever an unpickler finds in a damaged file
            raise WeightsError(f"{path.name} is not a training state: {type(error).__name__}") from error
        if dataclasses.replace(recipe, minutes=0, steps=1) != dataclasses.replace(self.recipe, minutes=0, steps=1):
            raise UsageError(
                f"{path.name} was made with other settings", hint="use the same settings, or another folder"
            )
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sampler.random.bit_generator.state = ast.literal_eval(state["sampler"])
        torch.set_rng_state(state["torch"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def train(state: TrainingState, validation: list[Pair], *, state_file: Path) -> Generator[TrainingProgress, None, None]:
    """Run until the recipe's end, yielding after every step; the state is saved at every validation and at the end.

    Raises:
        WeightsError: the loss is no longer finite; the last saved state stays.
    """
    recipe = state.recipe
    began, before = time.monotonic(), state.seconds
    validated = state.seconds
    state.model.train()
    while (done := recipe.progress(state.step, state.seconds)) < 1:
        rate = recipe.learning_rate * min(1.0, (state.step + 1) / recipe.warmup) * (1 + math.cos(math.pi * done)) / 2
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        low, high = state.sampler.next()
        loss = F.l1_loss(state.model(low), high)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise WeightsError(f"the loss is {value} at step {state.step}", hint="train with a smaller learning rate")
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.step += 1
        _average(state)
        state.seconds = before + time.monotonic() - began
        psnr = None
        if state.seconds - validated > 60 * recipe.validate_minutes or recipe.progress(state.step, state.seconds) >= 1:
            psnr = mean_psnr(state.averaged, validation) if validation else None
            validated = state.seconds
            state.save(state_file)
        yield TrainingProgress(
            step=state.step,
            done=recipe.progress(state.step, state.seconds),
            loss=value,
            seconds=state.seconds,
            psnr=psnr,
        )


@torch.no_grad()
def _average(state: TrainingState) -> None:
    """Exponential moving average of the weights, faster in the first steps so that the start is forgotten."""
    decay = min(state.recipe.ema, (1 + state.step) / (10 + state.step))
    own = dict(state.model.named_parameters())
    for name, averaged in state.averaged.named_parameters():
        averaged.lerp_(own[name], 1 - decay)


@torch.no_grad()
def mean_psnr(model: HAT, pairs: list[Pair]) -> float:
    """Mean PSNR in dB on BT.601 luma of rounded outputs, border of the scale cropped, as the papers compute it."""
    total = 0.0
    for pair in pairs:
        low = torch.from_numpy(pair.low).permute(2, 0, 1)[None].float().div(255)
        output = model(low)[0].clamp(0, 1).mul(255).round().permute(1, 2, 0).double().numpy()
        crop = model.config.upscale
        weights = np.array([65.481, 128.553, 24.966]) / 255
        difference = ((output - pair.high) @ weights)[crop:-crop, crop:-crop]
        total += 10 * math.log10(255**2 / max(float((difference**2).mean()), 1e-10))
    return total / len(pairs)
