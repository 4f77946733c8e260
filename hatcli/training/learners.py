"""From a batch to gradients: on threads of the CPU, or on a GPU; the mean over all processes either way."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from hatcli.network.hat import HAT
from hatcli.training.distributed import Group
from hatcli.training.losses import LOSSES
from hatcli.training.recipe import Recipe
from hatcli.training.workers import Workers


class Learner(Protocol):
    """What sets the gradients of a network."""

    def learn(self, low: Tensor, high: Tensor, *, step: int) -> Tensor:
        """Set them to those of the batch's mean error over all processes; this process's error.

        `low` `[B, 3, p, p]`, `high` `[B, 3, s*p, s*p]`, float32 in 0..1, on the CPU.
        """

    def close(self) -> None:
        """Give back threads."""


class OnProcessor:
    """Worker threads of the CPU, in one process or several."""

    def __init__(self, model: HAT, recipe: Recipe, group: Group, workers: int) -> None:
        self.model, self.group = model, group
        group.share_weights(model)
        self.workers = Workers(
            model, workers, precision=recipe.precision, seed=(recipe.seed, group.rank), loss=LOSSES[recipe.loss]
        )

    def learn(self, low: Tensor, high: Tensor, *, step: int) -> Tensor:
        loss = self.workers.learn(low, high, step=step)
        self.group.average_gradients(self.model)
        return loss

    def close(self) -> None:
        self.workers.close()


class OnDevice:
    """One GPU a process."""

    def __init__(self, model: HAT, recipe: Recipe, group: Group, device: torch.device) -> None:
        self.model, self.recipe, self.device = model, recipe, device
        self.forward = group.wrap(model, device)

    def learn(self, low: Tensor, high: Tensor, *, step: int) -> Tensor:
        low, high = (values.to(self.device, non_blocking=True) for values in (low, high))
        self.model.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            output = self.forward(low)
        loss = LOSSES[self.recipe.loss](output.float(), high)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def close(self) -> None:
        """There is nothing to give back."""


def learner(model: HAT, recipe: Recipe, group: Group, *, device: torch.device, workers: int) -> Learner:
    """What fits the device."""
    if device.type == "cpu":
        return OnProcessor(model, recipe, group, workers)
    return OnDevice(model, recipe, group, device)
