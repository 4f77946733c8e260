"""One pass of a network over a picture in tiles: finished rows leave at once; out of memory makes tiles smaller.

Tiles differ from the whole picture in one thing, HAT's channel attention, whose gates come from the mean of what it is
given. With HAT-T x4 that leaves 57 and 64 dB between 256-pixel tiles and the whole of two pictures of 640 x 640, 60 and
66 with 384-pixel tiles (rounding to 8 bits alone is 59 from the unrounded). 96-pixel tiles of a drawing and of a
photograph are 56 and 61 dB away; the whole picture's gates would make it 77 and 83, but finding them takes all tiles in
step, which is all the memory tiles save. Means over the tiles so far make it 60 and 66, and every tile depend on those
before it. A first pass over scattered samples makes it 59 and 71, for a tenth to a fifth more work: not done, too
little where it matters most.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hatcli.errors import MemoryLimitError
from hatcli.progress import mapped
from hatcli.upscaling import tiling
from hatcli.upscaling.device import free_memory
from hatcli.upscaling.memory import (
    EASY_BYTES,
    LARGEST_WHOLE,
    SHARE_OF_FREE,
    SMALLEST_TILE,
    is_out_of_memory,
    largest_tile,
    refuse_too_little,
)
from hatcli.upscaling.networks import Networks
from hatcli.upscaling.parts import covering
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.rows import Rows, RowSource
from hatcli.upscaling.tiling import Span, TilePlan


@dataclass(frozen=True)
class Pass:
    """One run of a network over all of a picture.

    Attributes:
        scale: the network's factor.
        dtype: what it is computed in.
        held: bytes on the CPU that the final result will take meanwhile.
        report: the pass's own progress as the picture's.
    """

    scale: int
    dtype: torch.dtype
    held: int
    report: Callable[[Progress], Progress]


@dataclass
class Frontier:
    """How far the rows of a pass have come: the input row the next strip starts at, and the rows waiting to blend."""

    top: int = 0
    pending: Tensor | None = None
    done: float = 0.0


@dataclass(frozen=True)
class TileLoop:
    """Runs a model's networks over pictures, whole or in tiles; what memory was found to allow is remembered."""

    networks: Networks
    _allowed: dict[int, int] = field(default_factory=dict)  # factor to the side that memory was found to allow

    @torch.inference_mode()
    def run(self, source: RowSource, run: Pass) -> Iterator[Progress | Rows]:
        """One pass; rows leave as they are finished. Out of memory makes tiles smaller and goes on.

        Raises:
            MemoryLimitError: memory ran out even with the smallest tile.
        """
        frontier = Frontier()
        side = self.first_side(run, source.height, source.width)
        while True:
            plan = self.plan(source.height - frontier.top, source.width, run, side=side)
            try:
                yield from self._strips(source, run, plan, frontier)
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                side = self._smaller(min(side, plan.rows[0].end, plan.columns[0].end), error)
            if self.networks.choice.device.type == "cuda":
                torch.cuda.empty_cache()
            self._allowed[run.scale] = side
            yield from settle(frontier, keep=self._kept_rows(run, side), scale=run.scale)

    @torch.inference_mode()
    def run_rows(self, source: RowSource, run: Pass, span: Span, tiles: TilePlan) -> Iterator[Progress | Rows]:
        """The rows `span` of a pass's result, as they are in the whole of it.

        Args:
            tiles: of the whole picture.

        Raises:
            MemoryLimitError: memory ran out; smaller tiles would not fit the other rows.
        """
        plan = covering(tiles, span.start // run.scale, -(-span.end // run.scale))
        try:
            for event in self._strips(source, run, plan, Frontier()):
                if isinstance(event, Progress):
                    yield event
                elif (wanted := event.within(span)) is not None:
                    yield wanted
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            message = f"out of memory on {self.networks.choice.device} with a part of a picture"
            raise MemoryLimitError(message, hint="use smaller tiles with --max-memory") from error

    def plan(self, height: int, width: int, run: Pass, *, side: int) -> TilePlan:
        """Tiles of at most `side` pixels over `height` rows and `width` columns."""
        overlap = min(self.networks.settings.overlap, side // 2)
        window = self.networks.opened(run.scale, run.dtype).window
        return tiling.plan(height, width, tile=side, overlap=overlap, window=window)

    def first_side(self, run: Pass, height: int, width: int) -> int:
        """Side of the tiles to start with; at least the picture's longer side if it is to run whole."""
        whole, wanted = max(height, width), self.networks.settings.tile
        allowed = self._allowed.get(run.scale)
        if wanted == "off":
            return whole
        if wanted == "auto":
            return self._automatic_side(run, height, width, allowed)
        return wanted if allowed is None or wanted >= whole else min(wanted, allowed)

    def _automatic_side(self, run: Pass, height: int, width: int, allowed: int | None) -> int:
        """The largest side that the free memory, or what the user grants of it, has room for."""
        settings, device, room = self.networks.settings, self.networks.choice.device, self.networks.choice.room
        on_cpu = device.type == "cpu"
        held = run.held if on_cpu else 0
        budget = int(free_memory(device) * SHARE_OF_FREE)
        budget = (budget if room is None else min(budget, room)) - held
        bytes_for = self.networks.bytes_for(run.scale, run.dtype)
        if settings.max_memory is not None:
            refuse_too_little(settings.max_memory, bytes_for(min(height, SMALLEST_TILE), min(width, SMALLEST_TILE)))
            budget = min(budget, settings.max_memory - held)
        elif on_cpu and height * width > LARGEST_WHOLE:
            budget = min(budget, EASY_BYTES)
        if allowed is None and bytes_for(height, width) <= budget:
            return max(height, width)
        strip_row = 24 * width * run.scale**2 if on_cpu else 0  # a row of tiles is blended with the next
        side = largest_tile(bytes_for, budget, row_bytes=strip_row)
        return side if allowed is None else min(side, allowed)

    def _smaller(self, side: int, error: Exception) -> int:
        """The side to go on with after memory ran out at `side`."""
        device, smaller = self.networks.choice.device, side // 2 // 16 * 16
        if self.networks.settings.tile == "off":
            raise MemoryLimitError(
                f"out of memory on {device} with the whole picture at once", hint="leave --tile off out"
            ) from error
        if smaller < SMALLEST_TILE:
            raise MemoryLimitError(
                f"out of memory on {device} with tiles of {side} pixels",
                hint="close other programs, use --device cpu, or a smaller model such as -n hat-t",
            ) from error
        return smaller

    def _kept_rows(self, run: Pass, side: int) -> int:
        """Input rows that go on waiting to blend when tiles get smaller: an overlap, in whole windows."""
        window = self.networks.opened(run.scale, run.dtype).window
        return -(-min(self.networks.settings.overlap, side // 2) // window) * window

    def _strips(self, source: RowSource, run: Pass, plan: TilePlan, frontier: Frontier) -> Iterator[Progress | Rows]:
        """Tiles row by row, from the frontier down; each finished strip moves the frontier."""
        scale, origin, before = run.scale, frontier.top, frontier.done
        strip: Tensor | None = None  # one buffer for all strips: they are large, and whoever gets rows copies them
        for row, span in enumerate(plan.rows):
            top, bottom = origin + span.start, origin + span.end
            values = yield from source.rows(top, bottom)
            if strip is None or strip.shape[1] != (bottom - top) * scale:
                strip = torch.empty(3, (bottom - top) * scale, source.width * scale)
            yield from self._fill(strip, values, run, plan, row=row, before=before)
            if frontier.pending is not None:
                overlap = frontier.pending.shape[1] // scale
                tiling.blend_(frontier.pending, strip, overlap=overlap, scale=scale, dim=1)
            following = origin + plan.rows[row + 1].start if row + 1 < len(plan.rows) else bottom
            finished = (following - top) * scale
            yield Rows(top * scale, strip[:, :finished])
            frontier.top = following
            frontier.pending = strip[:, finished:].clone() if following < bottom else None
            frontier.done = before + (1 - before) * (row + 1) / len(plan.rows)
            source.forget(following)

    def _fill(
        self, strip: Tensor, values: Tensor, run: Pass, plan: TilePlan, *, row: int, before: float
    ) -> Iterator[Progress]:
        """The results of one row of tiles, blended, into `strip` `[3, s*h, s*W]`, from its input `[3, h, W]`."""
        scale, reached = run.scale, 0  # input columns of the strip that hold a result
        for column, across in enumerate(plan.columns):
            number = row * len(plan.columns) + column
            part = values[:, :, across.start : across.end].contiguous()  # sums round by how values lie in memory
            steps = self.networks.run(part, scale, run.dtype)
            tile = yield from mapped(_tile_progress(steps, number, plan.count, before), run.report)
            overlap = reached - across.start
            tiling.blend_(strip[..., : reached * scale], tile, overlap=overlap, scale=scale, dim=2)
            strip[..., across.start * scale : across.end * scale] = tile
            reached = across.end


def _tile_progress(
    steps: Generator[float, None, Tensor], number: int, count: int, before: float
) -> Generator[Progress, None, Tensor]:
    """A tile's own progress as progress of its pass, of which `before` was done by larger tiles."""

    def progress(done: float) -> Progress:
        return Progress(before + (1 - before) * (number + done) / count, number + 1, count)

    tile = yield from mapped(steps, progress)
    yield progress(1.0)
    return tile


def settle(frontier: Frontier, *, keep: int, scale: int) -> Iterator[Rows]:
    """Before tiles get smaller: of the rows waiting to blend, at most `keep` go on waiting; the others are final."""
    if frontier.pending is None:
        return
    final = frontier.pending.shape[1] // scale - keep
    if final > 0:
        yield Rows(frontier.top * scale, frontier.pending[:, : final * scale])
        frontier.pending = frontier.pending[:, final * scale :]
        frontier.top += final
