"""Random batches of patches, made one ahead on a thread of their own; where they are can be saved and restored."""

from __future__ import annotations

import ast
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import torch

from hatcli.training.data import AnyPair, Pixels
from hatcli.training.degradations import MARGIN, Degradation

Batch = tuple[torch.Tensor, torch.Tensor]


class PatchSampler:
    """Endless random batches from pairs, pictures weighted by area; flips and quarter turns; low patches degraded.

    With `candidates` above 1 a share of the patches, `detail_share`, is the one with the most detail of so many places.
    """

    def __init__(
        self,
        pairs: Sequence[AnyPair],
        *,
        batch: int,
        patch: int,
        seed: int,
        rank: int = 0,
        degradation: Degradation | None = None,
        candidates: int = 1,
        detail_share: float = 1.0,
    ) -> None:
        self.pairs, self.batch, self.patch, self.degradation = pairs, batch, patch, degradation
        self.candidates, self.detail_share = candidates, detail_share
        self.random = np.random.default_rng([seed, rank])
        areas = np.array([pair.size[0] * pair.size[1] for pair in pairs], dtype=np.float64)
        self.shares = areas / areas.sum()

    @property
    def position(self) -> str:
        """Which batch comes next, as plain text."""
        return repr(self.random.bit_generator.state)

    @position.setter
    def position(self, text: str) -> None:
        self.random.bit_generator.state = ast.literal_eval(text)

    def next(self) -> Batch:
        """Low `[B, 3, p, p]` and high `[B, 3, s*p, s*p]`, float32, 0..1."""
        lows: list[Pixels] = []
        highs: list[Pixels] = []
        for number in self.random.choice(len(self.pairs), size=self.batch, p=self.shares):
            low, high = self._patches(self.pairs[number].low, self.pairs[number].high)
            turns, flip = int(self.random.integers(4)), bool(self.random.integers(2))
            for patches, values in ((lows, low), (highs, high)):
                turned = np.rot90(values, turns)
                patches.append(turned[:, ::-1] if flip else turned)
        low_batch, high_batch = (torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2) for patches in (lows, highs))
        return low_batch.float().div_(255), high_batch.float().div_(255)

    def _patches(self, low: Pixels, high: Pixels) -> tuple[Pixels, Pixels]:
        """One place in both resolutions; a degraded patch is cut from a larger one, anywhere in its block grid."""
        scale = high.shape[0] // low.shape[0]
        top, left = self._place(low)
        wanted = high[top * scale : (top + self.patch) * scale, left * scale : (left + self.patch) * scale]
        if self.degradation is None:
            return low[top : top + self.patch, left : left + self.patch], wanted
        before_y, before_x = (min(int(self.random.integers(MARGIN)), place) for place in (top, left))
        first_y, first_x = top - before_y, left - before_x
        large = low[first_y : first_y + self.patch + MARGIN, first_x : first_x + self.patch + MARGIN]
        height, width = large.shape[:2]
        of = high[first_y * scale : (first_y + height) * scale, first_x * scale : (first_x + width) * scale]
        degraded = self.degradation(large, of, self.random)
        return degraded[before_y : before_y + self.patch, before_x : before_x + self.patch], wanted

    def _place(self, low: Pixels) -> tuple[int, int]:
        """Top and left of the next patch."""
        chosen = self.candidates > 1 and self.random.random() < self.detail_share
        places = [
            (
                int(self.random.integers(low.shape[0] - self.patch + 1)),
                int(self.random.integers(low.shape[1] - self.patch + 1)),
            )
            for _ in range(self.candidates if chosen else 1)
        ]
        if len(places) == 1:
            return places[0]
        return max(places, key=lambda at: detail(low[at[0] : at[0] + self.patch, at[1] : at[1] + self.patch]))


def detail(pixels: Pixels) -> float:
    """How much there is to learn from `[h, w, 3]`: the mean absolute Laplacian of its green."""
    green = np.ascontiguousarray(pixels[..., 1], dtype=np.float32)
    return float(np.abs(cv2.Laplacian(green, cv2.CV_32F)).mean())


class Ahead:
    """A sampler's batches, the next one made while the current one is learnt from.

    `position` is that of the first batch that was not taken, whatever is already made.
    """

    def __init__(self, sampler: PatchSampler) -> None:
        self.sampler = sampler
        self.position = sampler.position
        self.waited = 0.0  # seconds, over all batches taken
        self._thread: ThreadPoolExecutor | None = None
        self._made: Future[tuple[Batch, str]] | None = None

    def take(self) -> Batch:
        """The next batch; what went wrong in making it is raised here."""
        began = time.perf_counter()
        batch, position = (self._made or self._make()).result()
        self.waited += time.perf_counter() - began
        self.position = position
        self._made = self._make()
        return batch

    def restore(self, position: str) -> None:
        """Go to a saved position."""
        self.close()
        self.position = self.sampler.position = position

    def close(self) -> None:
        """Give up what is made ahead and end the thread; `take` may be called again."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        self._thread = self._made = None
        self.sampler.position = self.position

    def _make(self) -> Future[tuple[Batch, str]]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(
                max_workers=1, thread_name_prefix="batches", initializer=torch.set_num_threads, initargs=(1,)
            )  # PyTorch's own threads would take the cores from those that learn
        return self._thread.submit(lambda: (self.sampler.next(), self.sampler.position))
