"""Which pictures go to a worker together: large ones alone, small ones in portions that shrink, the longest first;
and which one several workers make together."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_PICTURES = 32  # in a portion: what a worker that dies may have been given in vain
LARGE = 4e6  # pixels from which a picture goes alone
LEAST_PART = 1e6  # pixels of a part of a picture that is divided
_MANY_SHARES = 1.5  # even shares of all work that one picture must be, to be divided
ROUNDS = 4  # portions that a worker is still to get, if all that is left were cut into equal ones now


class Portions:
    """What is still to be handed out.

    Args:
        sizes: about how many pixels each picture has, by its number.
    """

    def __init__(self, sizes: Sequence[float] | NDArray[np.float64]) -> None:
        self._pixels = pixels = np.asarray(sizes, dtype=np.float64)
        self._order = np.argsort(-pixels, kind="stable")
        self._position = 0
        self.pixels_before = array("d", bytes(8))  # each place in the order of sizes
        self.pixels_before.frombytes(np.cumsum(pixels[self._order]).tobytes())

    def __len__(self) -> int:
        return len(self._order) - self._position

    def rest(self) -> tuple[list[int], list[float]]:
        """The numbers of those that are not handed out, and their sizes."""
        left = self._order[self._position :]
        return left.tolist(), self._pixels[left].tolist()

    def size(self, number: int) -> float:
        """About how many pixels a picture has."""
        return float(self._pixels[number])

    def parts(self, workers: int, in_work: Callable[[], float]) -> int:
        """Into how many parts the picture that comes next is divided for so many workers; 1: it is not.

        Into as many as it makes even shares of all that is to be done: one that others will wait for in the end.

        Args:
            in_work: pixels that were handed out and are not done.
        """
        begin, before = self._position, self.pixels_before
        pixels = float(self._pixels[self._order[begin]]) if begin < len(self._order) else 0.0
        if workers < 2 or pixels < 2 * LEAST_PART:
            return 1
        shares = pixels * workers / (before[-1] - before[begin] + in_work())
        return min(workers, int(shares + 0.5), int(pixels / LEAST_PART)) if shares >= _MANY_SHARES else 1

    def next(self, workers: int) -> list[int]:
        """The numbers of the pictures that the next of so many workers gets; none if all are handed out."""
        begin, end = self.next_span(workers)
        return [int(number) for number in self._order[begin:end]]

    def next_span(self, workers: int) -> tuple[int, int]:
        """The same as places in the order of sizes."""
        begin, left = self._position, len(self._order) - self._position
        before, shares = self.pixels_before, max(1, workers) * ROUNDS
        share = min(LARGE, (before[-1] - before[begin]) / shares)
        most = min(left, MOST_PICTURES, max(1, left // shares))
        fit = bisect_right(before, before[begin] + share, begin, begin + most + 1) - 1 - begin
        self._position = begin + (min(most, max(1, fit)) if left else 0)
        return begin, self._position
