"""A result in parts, each made apart and without the others: which rows of which pass a part needs; pure geometry.

Tiles lie where they lie in the whole picture, and a row of a result depends on those tiles alone that reach it. So a
part is made from one more row of tiles than it keeps, the one whose overlap blends into its first rows, and has the
very values that it has in the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hatcli.upscaling import rows
from hatcli.upscaling.size import SizePlan
from hatcli.upscaling.tiling import Span, TilePlan

FEWEST_TILE_ROWS = 2  # of a part's last pass: one more is made beside them and thrown away


@dataclass(frozen=True)
class Part:
    """Rows of a result.

    Attributes:
        top, bottom: the rows, exclusive.
        sides: of the tiles of each pass: what memory allowed where the picture was divided.
    """

    top: int
    bottom: int
    sides: tuple[int, ...]

    @property
    def span(self) -> Span:
        return Span(self.top, self.bottom)


def covering(plan: TilePlan, top: int, bottom: int) -> TilePlan:
    """The tiles of a plan that the rows `top` to `bottom` of its picture depend on."""
    return TilePlan(tuple(span for span in plan.rows if span.end > top and span.start < bottom), plan.columns)


def pass_spans(part: Part, size: SizePlan, tiles: Sequence[TilePlan]) -> list[Span]:
    """Which rows of each pass's result a part needs.

    Args:
        tiles: of each pass, over the whole picture.
    """
    height, width = (plan[-1].end * size.passes[-1] for plan in (tiles[-1].rows, tiles[-1].columns))
    span = part.span
    if (height, width) != (size.height, size.width):
        span = rows.resized_from(span, height=size.height, width=size.width, source_height=height)
    spans = [span]
    for plan, scale in zip(reversed(tiles[1:]), reversed(size.passes[1:]), strict=True):
        needed = covering(plan, spans[0].start // scale, -(-spans[0].end // scale)).rows
        spans.insert(0, Span(needed[0].start, needed[-1].end))
    return spans


def divided(count: int, size: SizePlan, tiles: Sequence[TilePlan], sides: tuple[int, ...]) -> tuple[Part, ...]:
    """A result in at most so many parts of about the same height; none if it cannot be divided.

    They begin where rows of tiles do, or the bands of the final reduction: so that each is made from as few tiles as
    can be, and its rows come in the very pieces in which they come of the whole.
    """
    if not size.passes:
        return ()
    last, scale = tiles[-1], size.passes[-1]
    count = min(count, len(last.rows) // FEWEST_TILE_ROWS)
    height, width = last.rows[-1].end * scale, last.columns[-1].end * scale
    if (height, width) == (size.height, size.width):
        places = [span.start * scale for span in last.rows]
    else:
        places = list(range(0, size.height, rows.band_height(size.width)))
    tops = {min(places, key=lambda place: abs(place - size.height * number / count)) for number in range(count)}
    if len(tops) < 2:
        return ()
    edges = [*sorted(tops), size.height]
    return tuple(Part(top, bottom, sides) for top, bottom in pairwise(edges))
