"""Bands of one image on several CPU threads side by side.

A thread that works on a band of its own waits for nobody, where a library that splits every single product between its
threads lets all of them wait for the slowest, dozens of times a block; most of all when other programs are running.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TypeVar

import torch

from hatcli.progress import within

T = TypeVar("T")
Part = TypeVar("Part")
MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Workers:
    """Who works on an image without gradients: `count` threads on all `cores`, each on about `chunk` pixels at a time.

    Each worker has temporaries of its own, so there are at most `MOST_WORKERS`, with equal shares of the cores.
    """

    cores: int
    chunk: int

    @property
    def count(self) -> int:
        """How many bands are in work at once."""
        return self.cores // -(-self.cores // MOST_WORKERS)

    def spans(self, length: int, size: int, *, step: int = 1) -> list[tuple[int, int]]:
        """`length` rows in nearly equal bands of at most `size`, as many for every worker where there are enough.

        All but the last are multiples of `step` rows.
        """
        steps = -(-length // step)
        count = -(-steps // max(1, size // step))
        count = min(steps, -(-count // self.count) * self.count)
        edges = [min(length, steps * i // count * step) for i in range(count + 1)]
        return list(pairwise(edges))

    def each(self, tasks: Iterable[Callable[[], T]]) -> list[T]:
        """What the tasks return, in order; as many at once as there are workers.

        When one raises, those that have begun end and the others are dropped.
        """
        waiting = list(tasks)
        busy = min(self.count, len(waiting))
        if busy < 2:
            return [task() for task in waiting]
        share = self.cores // busy

        def run(task: Callable[[], T]) -> T:
            torch.set_num_threads(share)
            with torch.inference_mode():
                return task()

        futures = [_pool(self.count).submit(run, task) for task in waiting]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def alone(self, steps: Generator[Part, None, T]) -> Generator[Part, None, T]:
        """The steps with PyTorch's own threads at rest: they would spin beside the workers, waiting for work."""
        return steps if self.cores == 1 else within(steps, partial(torch_threads, 1))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch's own threads in this one, for the length of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="hat-band")
