"""Several processes that train one network, started by torchrun; one process alone is a group of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from hatcli.errors import UsageError
from hatcli.network.hat import HAT

PATIENCE = timedelta(hours=2)  # the others wait while the first process validates


@dataclass(frozen=True)
class Group:
    """This process's place among all. The first one writes and speaks.

    Attributes:
        rank: 0 to `size - 1`.
        local_rank: the same on this machine: the number of the GPU to use.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, batch: int) -> int:
        """Patches of this process in a step of `batch`.

        Raises:
            UsageError: the batch cannot be shared evenly.
        """
        if batch % self.size:
            raise UsageError(
                f"a batch of {batch} cannot be shared by {self.size} processes",
                hint=f"use --batch {max(1, round(batch / self.size)) * self.size}",
            )
        return batch // self.size

    def own_device(self, device: torch.device) -> torch.device:
        """This process's own: each has a GPU to itself."""
        return torch.device("cuda", self.local_rank) if device.type == "cuda" and self.size > 1 else device

    def wrap(self, model: HAT, device: torch.device) -> nn.Module:
        """The network to call in training on a GPU: its gradients are averaged over the group on their way."""
        if self.size == 1:
            return model
        ids = [device.index] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=ids)

    def average_gradients(self, model: HAT) -> None:
        """The mean of every process's gradients, in place, in all of them."""
        gradients = [values.grad for values in model.parameters() if values.grad is not None]
        if self.size == 1:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(
            gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(mean.view_as(gradient))

    def share_weights(self, model: HAT) -> None:
        """The first process's weights, in all."""
        if self.size > 1:
            for values in model.state_dict().values():
                distributed.broadcast(values, 0)

    def agree(self, loss: Tensor, *, seconds: float, stop: bool) -> tuple[float, float, bool]:
        """The mean loss, the first process's clock, and whether any process was asked to stop."""
        if self.size == 1:
            return float(loss), seconds, stop
        words = torch.tensor([0.0, seconds if self.leads else 0.0, float(stop)], device=loss.device)
        words[0] = loss / self.size
        distributed.all_reduce(words)
        mean, clock, stopping = words.tolist()
        return mean, clock, stopping > 0

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values


@contextmanager
def join_group(*, cuda: bool) -> Iterator[Group]:
    """The group torchrun started this process in, for the length of the block; a group of one without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield Group()
        return
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if cuda:
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Group(rank=rank, size=size, local_rank=local)
    finally:
        distributed.destroy_process_group()
