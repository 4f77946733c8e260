"""The training loop: L1, Adam, a schedule, averaged weights; resumable at every saved state, bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from hatcli.training.data import AnyPair
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
    """

    save_minutes: float = 2.0
    save_steps: int = 0
    validate_minutes: float = 2.0
    images: Path | None = None


@dataclass(frozen=True)
class TrainingProgress:
    """Where a run is; yielded after every step.

    Attributes:
        step: optimiser steps done, over all sessions of the run.
        done: share of the run, 0..1.
        loss: mean absolute error of the step's batch, in 0..1.
        seconds: training time so far, over all sessions.
        psnr: validation PSNR in dB, on the steps that validated, else None.
        rate: learning rate of the step.
        images_per_second: patches learnt from a second, in this session.
        waiting: share of this session's time spent waiting for data, 0..1.
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
    """
    recipe, group, pace = state.recipe, state.group, pace or Pace()
    forward = group.wrapped(state.model, state.device)
    state.model.train()
    first, began, before = state.step, time.monotonic(), state.seconds
    saved = validated = state.seconds
    waited = state.batches.waited
    stopping = False
    try:
        while not stopping and (done := recipe.progress(state.step, state.seconds)) < 1:
            rate = learning_rate(recipe, step=state.step, done=done)
            loss = _loss(state, forward)
            elapsed = before + time.monotonic() - began
            value, state.seconds, stopping = group.agree(loss.detach(), seconds=elapsed, stop=stop())
            if not math.isfinite(value):
                raise not_finite(f"the loss is {value}", state.step)
            _update(state, loss, rate)
            done = recipe.progress(state.step, state.seconds)
            over = stopping or done >= 1
            psnr = None
            if state.seconds - validated > 60 * pace.validate_minutes or done >= 1:
                psnr, validated = _validated(state, validation, pace.images), state.seconds
            due = bool(pace.save_steps) and state.step % pace.save_steps == 0
            if saving := over or due or state.seconds - saved > 60 * pace.save_minutes:
                state.save(state_file)
                saved = state.seconds
            session = max(time.monotonic() - began, 1e-9)
            yield TrainingProgress(
                step=state.step,
                done=done,
                loss=value,
                seconds=state.seconds,
                psnr=psnr,
                rate=rate,
                images_per_second=(state.step - first) * recipe.batch / session,
                waiting=(state.batches.waited - waited) / session,
                saved=saving,
            )
    finally:
        state.batches.close()


def _loss(state: TrainingState, forward: nn.Module) -> torch.Tensor:
    """Mean absolute error of the next batch."""
    low, high = (values.to(state.device, non_blocking=True) for values in state.batches.take())
    with torch.autocast(state.device.type, dtype=torch.bfloat16, enabled=state.recipe.precision == "bf16"):
        output = forward(low)
    return F.l1_loss(output.float(), high)


def _update(state: TrainingState, loss: torch.Tensor, rate: float) -> None:
    """One step of the optimiser, and of the average."""
    for settings in state.optimizer.param_groups:
        settings["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if state.recipe.clip > 0:
        nn.utils.clip_grad_norm_(state.model.parameters(), state.recipe.clip)
    state.optimizer.step()
    state.step += 1
    _average(state)


@torch.no_grad()
def _average(state: TrainingState) -> None:
    """Exponential moving average of the weights, faster in the first steps so that the start is forgotten."""
    decay = min(state.recipe.ema, (1 + state.step) / (10 + state.step))
    own = dict(state.model.named_parameters())
    for name, averaged in state.averaged.named_parameters():
        averaged.lerp_(own[name], 1 - decay)


def _validated(state: TrainingState, validation: Sequence[AnyPair], images: Path | None) -> float | None:
    """PSNR of the averaged weights, in the first process; None without pictures."""
    if not validation or not state.group.leads:
        return None
    folder = images / f"step-{state.step:07d}" if images is not None else None
    return mean_psnr(state.averaged, validation, images=folder)
