"""The training loop: L1, a schedule, averaged weights; resumable at every saved state, bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from hatcli.engine.workers import torch_threads
from hatcli.training.data import AnyPair
from hatcli.training.learners import learner
from hatcli.training.recipe import Recipe
from hatcli.training.schedule import learning_rate
from hatcli.training.state import TrainingState, not_finite
from hatcli.training.validation import mean_psnr


@dataclass(frozen=True)
class Pace:
    """What happens along the way and changes no result.

    Attributes:
        save_minutes: minutes between saved states.
        save_steps: steps between saved states, besides; 0 for none.
        validate_minutes: minutes between validations.
        images: folder for validation pictures, one folder a validation inside it; None for none.
        max_memory: bytes a validation may take; None: most of what is free.
    """

    save_minutes: float = 2.0
    save_steps: int = 0
    validate_minutes: float = 2.0
    images: Path | None = None
    max_memory: int | None = None


@dataclass(frozen=True)
class TrainingProgress:
    """Where a run is; yielded after every step.

    Attributes:
        step: optimiser steps done, over all sessions of the run.
        done: share of the run, 0..1.
        loss: mean error of the step's batch as the recipe measures it, of samples in 0..1.
        seconds: training time so far, over all sessions.
        psnr: validation PSNR in dB, on the steps that validated, else None.
        rate: learning rate of the step.
        images_per_second: patches learnt from a second, in this session.
        waiting: share of this session's time spent waiting for data, 0..1.
        gflops: work of the steps of this session, of this process, in GFLOP/s; validations and waiting count as time.
        saved: whether the state was saved after this step.
    """

    step: int
    done: float
    loss: float
    seconds: float
    psnr: float | None
    rate: float = 0.0
    images_per_second: float = 0.0
    waiting: float = 0.0
    gflops: float = 0.0
    saved: bool = False


def train(
    state: TrainingState,
    validation: Sequence[AnyPair],
    *,
    state_file: Path,
    pace: Pace | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[TrainingProgress, None, None]:
    """Run until the recipe's end, or until `stop()` after a step; yields after every step, the state saved at the end.

    Raises:
        WeightsError: the loss or a weight is no longer finite; the last saved state stays.
        OutputError: the state or a picture cannot be written; the last saved state stays.
    """
    recipe, pace = state.recipe, pace or Pace()
    session = _Session(state)
    saved = validated = state.seconds
    over = False
    try:
        while not over and recipe.progress(state.step, state.seconds) < 1:
            loss, rate, stopping = session.step(stop=stop())
            done = recipe.progress(state.step, state.seconds)
            over = stopping or done >= 1
            psnr = None
            if state.seconds - validated > 60 * pace.validate_minutes or done >= 1:
                psnr, validated = _measure(state, validation, pace), state.seconds
            due = bool(pace.save_steps) and state.step % pace.save_steps == 0
            if saving := over or due or state.seconds - saved > 60 * pace.save_minutes:
                state.save(state_file)
                saved = state.seconds
            yield session.progress(loss=loss, rate=rate, psnr=psnr, saved=saving)
    finally:
        session.close()


class _Session:
    """A run from where its state stands until it stops: steps, and how fast they go."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        self._learner = learner(state.model, state.recipe, state.group, device=state.device, workers=state.workers)
        state.model.train()
        self._first, self._before, self._waited = state.step, state.seconds, state.batches.waited
        self._began = time.monotonic()

    def step(self, *, stop: bool) -> tuple[float, float, bool]:
        """One batch, one step of the optimiser and of the average: the loss, the learning rate, whether to stop."""
        state = self.state
        rate = learning_rate(state.recipe, step=state.step, done=state.recipe.progress(state.step, state.seconds))
        low, high = state.batches.take()
        loss = self._learner.learn(low, high, step=state.step)
        elapsed = self._before + time.monotonic() - self._began
        value, state.seconds, stopping = state.group.agree(loss, seconds=elapsed, stop=stop)
        if not math.isfinite(value):
            raise not_finite(f"the loss is {value}", state.step)
        with torch_threads(1) if state.device.type == "cpu" else nullcontext():
            if state.recipe.clip > 0:
                nn.utils.clip_grad_norm_(state.model.parameters(), state.recipe.clip)
            state.optimizers.step(rate)
            state.step += 1
            _average(state)
        return value, rate, stopping

    def progress(self, *, loss: float, rate: float, psnr: float | None, saved: bool) -> TrainingProgress:
        """Where the run is."""
        state, recipe = self.state, self.state.recipe
        seconds = max(time.monotonic() - self._began, 1e-9)
        images = (state.step - self._first) * recipe.batch / seconds
        return TrainingProgress(
            step=state.step,
            done=recipe.progress(state.step, state.seconds),
            loss=loss,
            seconds=state.seconds,
            psnr=psnr,
            rate=rate,
            images_per_second=images,
            waiting=(state.batches.waited - self._waited) / seconds,
            gflops=images / state.group.size * patch_flops(recipe) / 1e9,
            saved=saved,
        )

    def close(self) -> None:
        """Give back the threads."""
        self._learner.close()
        self.state.batches.close()


def patch_flops(recipe: Recipe) -> float:
    """Floating-point operations of learning from one patch: two a multiply-add, the backward pass counted twice."""
    return 3 * 2 * recipe.network().multiply_adds() * recipe.patch**2


@torch.no_grad()
def _average(state: TrainingState) -> None:
    """Exponential moving average of the weights, faster in the first steps so that the start is forgotten."""
    decay = min(state.recipe.ema, (1 + state.step) / (10 + state.step))
    own = dict(state.model.named_parameters())
    for name, averaged in state.averaged.named_parameters():
        averaged.lerp_(own[name], 1 - decay)


def _measure(state: TrainingState, validation: Sequence[AnyPair], pace: Pace) -> float | None:
    """PSNR of the averaged weights, in the first process; None without pictures."""
    if not validation or not state.group.leads:
        return None
    state.check_finite()
    folder = pace.images / f"step-{state.step:07d}" if pace.images is not None else None
    return mean_psnr(state.averaged, validation, images=folder, max_memory=pace.max_memory)
