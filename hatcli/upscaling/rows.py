"""Pictures as streams of rows: where a stage gets the rows it needs, resizing, rounding; knows no network.

A stage takes a `RowSource`, asks it for rows that never move back up, and yields `Rows` from the top to the bottom. So
of a picture of any height, only the rows that some stage still needs are in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hatcli.image.picture import Samples, from_tensor, to_tensor
from hatcli.image.resample import Taps, apply_taps, taps
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.tiling import Span

_ROUNDED_PIXELS = 1 << 21  # at once, so that the float copies stay small
_RESIZED_PIXELS = 1 << 21  # of a result that are resized at once


@dataclass(frozen=True)
class Rows:
    """Finished rows of a pass: `[3, rows, W]` float32 on the CPU, starting at row `top`; valid until the next event."""

    top: int
    values: Tensor

    def within(self, span: Span) -> Rows | None:
        """Those of them that are in a span of rows, if any are."""
        top, bottom = max(self.top, span.start), min(self.top + self.values.shape[1], span.end)
        return Rows(top, self.values[:, top - self.top : bottom - self.top]) if top < bottom else None


@dataclass(frozen=True)
class Strip:
    """Finished rows of a result: samples `[rows, W, channels]`, starting at row `top`; alpha is the last channel."""

    top: int
    samples: Samples


Stream = Iterator[Progress | Rows]


class RowSource(Protocol):
    """A picture whose rows can be had once, from the top to the bottom."""

    height: int
    width: int

    def rows(self, top: int, bottom: int) -> Generator[Progress, None, Tensor]:
        """Rows `top` to `bottom` (exclusive) as `[3, rows, W]` in 0..1; yields what is reported meanwhile."""
        ...

    def forget(self, top: int) -> None:
        """Rows above `top` will not be asked for any more."""
        ...


class SampleRows:
    """Samples in memory, `[H, W, C]` or `[H, W]`, as a source."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self.height, self.width = int(samples.shape[0]), int(samples.shape[1])

    def rows(self, top: int, bottom: int) -> Generator[Progress, None, Tensor]:
        """See `RowSource`."""
        yield from ()
        return to_tensor(self._samples[top:bottom])

    def forget(self, top: int) -> None:
        """Nothing: the samples belong to somebody else."""


class StreamedRows:
    """What another stage yields, as a source; clamped to 0..1."""

    def __init__(self, stream: Stream, *, height: int, width: int) -> None:
        self.stream = stream
        self.height, self.width = height, width
        self._kept: deque[tuple[int, Tensor]] = deque()  # first row and rows, from the top to the bottom
        self._end = 0  # rows that have come

    def rows(self, top: int, bottom: int) -> Generator[Progress, None, Tensor]:
        """See `RowSource`."""
        while self._end < bottom:
            event = next(self.stream)
            if isinstance(event, Rows):
                self._kept.append((event.top, event.values.clamp(0, 1)))
                self._end = event.top + event.values.shape[1]
            else:
                yield event
        parts = [
            values[:, max(top - first, 0) : bottom - first]
            for first, values in self._kept
            if first < bottom and first + values.shape[1] > top
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def forget(self, top: int) -> None:
        """See `RowSource`."""
        while self._kept and self._kept[0][0] + self._kept[0][1].shape[1] <= top:
            self._kept.popleft()


def resized(source: RowSource, *, height: int, width: int, span: Span | None = None) -> Stream:
    """The source at another size, antialiased bicubic, in bands; all of its rows, or those of a span."""
    down, across = taps(source.height, height), taps(source.width, width)
    needed = _first_needed(down)
    step, span = band_height(width), span or Span(0, height)
    for top in range(span.start // step * step, span.end, step):
        band = Taps(down.indices[top : top + step], down.weights[top : top + step])
        first, last = int(band.indices.min()), int(band.indices.max()) + 1
        values = yield from source.rows(first, last)
        narrow = values if source.width == width else apply_taps(values, across, dim=2)
        made = Rows(top, apply_taps(narrow, Taps(band.indices - first, band.weights), dim=1))
        if (wanted := made.within(span)) is not None:
            yield wanted
        if top + step < height:
            source.forget(int(needed[top + step]))


def _first_needed(down: Taps) -> NDArray[np.int64]:
    """For each row of a resized picture, the first row of its source that is ever needed from there on."""
    needed: NDArray[np.int64] = np.minimum.accumulate(down.indices.min(axis=1)[::-1])[::-1]
    return needed


def band_height(width: int) -> int:
    """Rows of a result of this width that are resized at once."""
    return max(16, _RESIZED_PIXELS // width)


def resized_from(span: Span, *, height: int, width: int, source_height: int) -> Span:
    """The rows of its source that rows of a resized picture are made from."""
    step = band_height(width)
    top, bottom = span.start // step * step, min(height, -(-span.end // step) * step)
    indices = taps(source_height, height).indices[top:bottom]
    return Span(int(indices.min()), int(indices.max()) + 1)


def rounded(stream: Stream, *, bits: int, gray: bool) -> Iterator[Progress | Strip]:
    """Rows as samples."""
    for event in stream:
        if isinstance(event, Progress):
            yield event
            continue
        step = max(1, _ROUNDED_PIXELS // event.values.shape[2])
        for start in range(0, event.values.shape[1], step):
            part = event.values[:, start : start + step]
            yield Strip(event.top + start, from_tensor(part, bits=bits, gray=gray))


def with_alpha(colors: Iterator[Progress | Strip], alphas: Iterator[Progress | Strip]) -> Iterator[Progress | Strip]:
    """Two streams of the same height as one, the second's samples as the last channel."""
    waiting: deque[Samples] = deque()
    count = 0
    for event in colors:
        if isinstance(event, Progress):
            yield event
            continue
        wanted = len(event.samples)
        while count < wanted:
            other = next(alphas)
            if isinstance(other, Progress):
                yield other
            else:
                waiting.append(other.samples)
                count += len(other.samples)
        alpha: Any = np.concatenate(waiting)
        waiting = deque([alpha[wanted:]])
        count -= wanted
        yield Strip(event.top, np.concatenate([event.samples, alpha[:wanted]], axis=2))


def collected(steps: Iterator[Progress | Strip], *, height: int) -> Generator[Progress, None, Samples]:
    """All strips as one array `[H, W, channels]`."""
    whole: Samples | None = None
    for event in steps:
        if isinstance(event, Progress):
            yield event
            continue
        if whole is None:
            whole = np.empty((height, *event.samples.shape[1:]), event.samples.dtype)
        whole[event.top : event.top + len(event.samples)] = event.samples
    assert whole is not None, "a picture has at least one row"
    return whole
