"""Gradients of a batch on CPU threads side by side, each with patches of its own; a step has no barrier but its end."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hatcli.engine import malloc
from hatcli.engine.workers import torch_threads
from hatcli.network.blocks import DropPath
from hatcli.network.hat import HAT
from hatcli.training import attention
from hatcli.training.losses import Loss


class Workers:
    """Threads that learn from one batch together, `model`'s gradients being the sum of theirs in a fixed order.

    Each has a network of its own whose parameters are `model`'s memory, with gradients of their own; PyTorch's own
    threads rest, since they would wait for each other at every product. The same `count` gives the same bits; another
    one differs by rounding. Stochastic depth draws from `seed`, the step and the worker alone.

    Attention is `training.attention`'s; with `precision` "bf16" it and all products run under autocast.
    """

    def __init__(
        self,
        model: HAT,
        count: int,
        *,
        precision: str = "fp32",
        seed: tuple[int, ...] = (0,),
        loss: Loss = F.l1_loss,
    ) -> None:
        self.model, self.count, self.precision, self.seed, self.loss = model, count, precision, seed, loss
        self._draws = model.config.drop_path_rate > 0 and not model.checkpointing
        if model.config.drop_path_rate > 0 and model.checkpointing:
            self.count = 1  # what is computed again must draw again, which only PyTorch's own random numbers can
        malloc.keep_freed_memory()
        self.networks = [model, *(_twin(model) for _ in range(self.count - 1))]
        for network in self.networks:
            attention.use_in(network)
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="hat-train")

    def learn(self, low: Tensor, high: Tensor, *, step: int) -> Tensor:
        """Set the gradients of `model` to those of the batch's mean error, and return that error.

        `low` `[B, 3, p, p]`, `high` `[B, 3, s*p, s*p]`, float32 in 0..1, B at least `count`.
        """
        parts = zip(low.tensor_split(self.count), high.tensor_split(self.count), strict=True)
        tasks = [
            partial(self._learn_part, number, part_low, part_high, share=len(part_low) / len(low), step=step)
            for number, (part_low, part_high) in enumerate(parts)
        ]
        losses = self._run(tasks)
        with torch.no_grad():
            for own, *others in zip(*(network.parameters() for network in self.networks), strict=True):
                for other in others:
                    if own.grad is not None and other.grad is not None:
                        own.grad += other.grad
        return torch.stack(losses).sum()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, tasks: Sequence[Callable[[], Tensor]]) -> list[Tensor]:
        """What the tasks return, in order; all at once."""
        with torch_threads(1):
            futures = [self._pool.submit(_alone, task) for task in tasks]
            return [future.result() for future in futures]

    def _learn_part(self, number: int, low: Tensor, high: Tensor, *, share: float, step: int) -> Tensor:
        """One worker's patches, `share` of the batch: its gradients, and its share of the loss."""
        network = self.networks[number]
        if self._draws:
            _draw_from(network, [*self.seed, step, number])
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            output = network(low)
        loss = self.loss(output.float(), high) * share
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


def _alone(task: Callable[[], Tensor]) -> Tensor:
    """The task in a thread of its own, where PyTorch takes no others and numbers below float32's exponents are 0.

    exp(-100), the share of a pixel that only the cyclic shift made a neighbour, is such a number, and products of
    matrices that hold some take up to fifteen times as long: a step of HAT-T 1.2 times.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    return task()


def _twin(model: HAT) -> HAT:
    """The same network in the same memory, with gradients of its own."""
    twin = copy.deepcopy(model)
    for own, shared in zip(twin.parameters(), model.parameters(), strict=True):
        own.data = shared.data
    return twin


def _draw_from(network: HAT, seed: list[int]) -> None:
    """Begin the random numbers of a network's stochastic depth anew, from these."""
    generator = torch.Generator()
    generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))
    for module in network.modules():
        if isinstance(module, DropPath):
            module.generator = generator
