"""Where tiles lie and how they blend: pure geometry, no network, no files.

A tile is `top, left, bottom, right` in input pixels, exclusive. All tiles of a plan have the same size; neighbours
overlap. The outer quarter of an overlap is given to the neighbour entirely, since what a network makes at a cut edge
is its worst; the half between the quarters blends along a raised cosine.
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


def plan(height: int, width: int, *, tile: int, overlap: int, multiple: int = 16) -> TilePlan:
    """Equal tiles of at most `tile` pixels a side that cover an image and overlap by at least `overlap`.

    Sides are multiples of `multiple` where the image is larger than that, so that nothing needs padding.
    """
    return TilePlan(
        rows=split(height, tile=tile, overlap=overlap, multiple=multiple),
        columns=split(width, tile=tile, overlap=overlap, multiple=multiple),
    )


def split(length: int, *, tile: int, overlap: int, multiple: int = 16) -> tuple[Span, ...]:
    """One axis of a plan.

    Raises:
        ValueError: the overlap leaves no step, or `tile` is below 1.
    """
    if tile < 1 or not 0 <= overlap < tile:
        raise ValueError(f"tiles of {tile} pixels cannot overlap by {overlap}")
    if length <= tile:
        return (Span(0, length),)
    largest = max(tile // multiple * multiple, min(tile, multiple))
    overlap = min(overlap, largest - 1)
    count = math.ceil((length - overlap) / (largest - overlap))
    side = math.ceil((length + (count - 1) * overlap) / count)
    side = min(math.ceil(side / multiple) * multiple, largest)
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    return tuple(Span(start, start + side) for start in starts)


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
