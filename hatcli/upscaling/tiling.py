"""Where tiles lie and how they blend: pure geometry, no network, no files.

A tile is `top, left, bottom, right` in input pixels, exclusive. Tiles start at multiples of the network's window, so
that each sees the very windows the whole picture would be cut into. All tiles of a plan have the same size, but for the
last ones of a picture that is no whole number of windows: they end with it, and the network completes their last
windows as it completes the picture's. Neighbours overlap. The outer quarter of an overlap is given to the neighbour
entirely, since what a network makes at a cut edge is its worst; the half between the quarters blends along a raised
cosine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

DISCARD = 0.25  # of an overlap, at each of its ends


@dataclass(frozen=True)
class Span:
    """A tile along one axis: input pixels `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class TilePlan:
    """Rows and columns of tiles; tile `[i, j]` is `rows[i]` by `columns[j]`."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def count(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def pixels(self) -> int:
        """Input pixels the network is run on, overlaps counted as often as they are run."""
        height, width = (sum(span.end - span.start for span in spans) for spans in (self.rows, self.columns))
        return height * width


def plan(height: int, width: int, *, tile: int, overlap: int, window: int = 16) -> TilePlan:
    """Tiles of at most `tile` pixels a side that cover an image, on the grid of `window`; see `split`."""
    return TilePlan(
        rows=split(height, tile=tile, overlap=overlap, window=window),
        columns=split(width, tile=tile, overlap=overlap, window=window),
    )


def split(length: int, *, tile: int, overlap: int, window: int = 16) -> tuple[Span, ...]:
    """One axis of a plan: as few equal tiles as cover it, spread evenly.

    Args:
        length: of the axis in pixels. One that fits a tile is not cut.
        tile: largest side in pixels; rounded down to whole windows, and never less than one window, which is what a
            network completes anything smaller to.
        overlap: least overlap in pixels; rounded up to whole windows, as far as tiles still move on.
        window: starts, sides and overlaps are multiples of it; only the last end is the axis's own.

    Raises:
        ValueError: the overlap leaves no step, or `tile` or `window` is below 1.
    """
    if tile < 1 or window < 1 or not 0 <= overlap < tile:
        raise ValueError(f"tiles of {tile} pixels cannot overlap by {overlap}")
    if length <= tile:
        return (Span(0, length),)
    windows = math.ceil(length / window)
    largest = max(tile // window, 1)
    shared = min(math.ceil(overlap / window), largest - 1)
    count = math.ceil((windows - shared) / (largest - shared))
    if count == 1:
        return (Span(0, length),)
    side = math.ceil((windows + (count - 1) * shared) / count)
    starts = [i * (windows - side) // (count - 1) * window for i in range(count)]
    return tuple(Span(start, min(start + side * window, length)) for start in starts)


def ramp(overlap: int, scale: int) -> Tensor:
    """The later tile's weight along an overlap of `overlap` input pixels: float32 `[overlap * scale]`, 0 to 1."""
    length = overlap * scale
    position = (torch.arange(length, dtype=torch.float32) + 0.5) / max(length, 1)
    inner = ((position - DISCARD) / (1 - 2 * DISCARD)).clamp(0, 1)
    return (1 - torch.cos(math.pi * inner)) / 2


def blend_(earlier: Tensor, later: Tensor, *, overlap: int, scale: int, dim: int) -> None:
    """Blend the first `overlap` pixels of `later` with the last of `earlier`, into `later`, in place.

    Where both agree the result is exactly what they agree on.
    """
    length = overlap * scale
    if not length:
        return
    weights = ramp(overlap, scale).to(later)
    shape = [1] * later.ndim
    shape[dim] = length
    before = earlier.narrow(dim, earlier.shape[dim] - length, length)
    after = later.narrow(dim, 0, length)
    after.copy_(torch.lerp(before, after, weights.view(shape)))
