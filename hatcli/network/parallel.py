"""Bands of one image on several CPU threads side by side.

A thread that works on a band of its own waits for nobody, where a library that splits every single product between its
threads lets all of them wait for the slowest, dozens of times a block; most of all when other programs are running.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch

T = TypeVar("T")
MOST_WORKERS = 8
MALLOC_OPTIONS = {  # option (malloc.h) to bytes; larger blocks, whole feature maps, still go back to the kernel at once
    -3: 64 << 20,  # M_MMAP_THRESHOLD
    -1: 256 << 20,  # M_TRIM_THRESHOLD
    -2: 16 << 20,  # M_TOP_PAD
}


@dataclass(frozen=True, slots=True)
class Crew:
    """Who works on an image without gradients: `workers`, on about `chunk` pixels at a time each, and all the `cores`.

    Each worker has temporaries of its own, so there are at most `MOST_WORKERS`, with equal shares of the cores.
    """

    cores: int
    chunk: int

    @property
    def workers(self) -> int:
        """How many bands are in work at once."""
        return self.cores // -(-self.cores // MOST_WORKERS)

    def spans(self, length: int, size: int, *, step: int = 1) -> list[tuple[int, int]]:
        """`length` rows in nearly equal bands of at most `size`, as many for every worker where there are enough.

        All but the last are multiples of `step` rows.
        """
        steps = -(-length // step)
        count = -(-steps // max(1, size // step))
        count = min(steps, -(-count // self.workers) * self.workers)
        edges = [min(length, steps * i // count * step) for i in range(count + 1)]
        return list(pairwise(edges))

    def each(self, tasks: Iterable[Callable[[], T]]) -> list[T]:
        """What the tasks return, in order; as many at once as there are workers.

        When one raises, those that have begun end and the others are dropped.
        """
        waiting = list(tasks)
        workers = min(self.workers, len(waiting))
        if workers < 2:
            return [task() for task in waiting]
        share = self.cores // workers

        def run(task: Callable[[], T]) -> T:
            torch.set_num_threads(share)
            with torch.inference_mode():
                return task()

        futures = [_pool(self.workers).submit(run, task) for task in waiting]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def alone(self, steps: Generator[None, None, T]) -> Generator[None, None, T]:
        """The steps with PyTorch's own threads at rest: they would spin beside the crew, waiting for work."""
        if self.cores == 1:
            return (yield from steps)
        while True:
            torch.set_num_threads(1)
            try:
                next(steps)
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                torch.set_num_threads(self.cores)
            yield


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    _keep_freed_memory()
    return ThreadPoolExecutor(workers, thread_name_prefix="hat-band")


def _keep_freed_memory() -> None:
    """Let the C library keep what one band frees for the next (glibc, man 3 mallopt; elsewhere nothing happens).

    Otherwise it goes back to the kernel thousands of times, which hands it out again page by page, zeroed, under a lock
    that all threads of the process share. Whoever has set this through the environment keeps that setting.
    """
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in MALLOC_OPTIONS.items():
            mallopt(option, value)
