"""A picture's planes through all passes of a plan and the reduction to its size, colour and transparency apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from hatcli.image.picture import Picture, Samples
from hatcli.upscaling.parts import Part, divided, pass_spans
from hatcli.upscaling.progress import Progress, Report, pass_shares
from hatcli.upscaling.rows import (
    RowSource,
    SampleRows,
    Stream,
    StreamedRows,
    Strip,
    resized,
    rounded,
    with_alpha,
)
from hatcli.upscaling.size import SizePlan
from hatcli.upscaling.tile_loop import Pass, TileLoop
from hatcli.upscaling.tiling import TilePlan
from hatcli.upscaling.transparency import bleed


def enlarged(
    picture: Picture, plan: SizePlan, loop: TileLoop, *, is_kept: bool, part: Part | None = None
) -> Iterator[Progress | Strip]:
    """The result's rows as they are finished, from the top to the bottom, alpha as their last channel unless it is
    dropped.

    Args:
        is_kept: whether the result stays in memory, so that tiles must leave room for it.
        part: the rows that are wanted; None: all.
    """
    alpha_mode = loop.networks.settings.alpha
    shares = pass_shares(plan.passes)
    if picture.alpha is None or alpha_mode == "drop":
        colors = through_passes(picture.pixels, plan, loop, Report(shares), is_kept=is_kept, part=part)
        yield from rounded(colors, bits=picture.bits, gray=picture.is_gray)
        return
    alpha = picture.alpha
    is_uniform = bool((alpha == alpha.flat[0]).all())
    if alpha_mode == "model" and not is_uniform:
        report = Report([share / 2 for share in shares] * 2)
        planes = through_passes(alpha, plan, loop, report, is_kept=is_kept, part=part, first=len(shares))
    else:
        report = Report(shares)
        span = None if part is None else part.span
        planes = resized(SampleRows(alpha), height=plan.height, width=plan.width, span=span)
    colors = through_passes(bleed(picture.pixels, alpha), plan, loop, report, is_kept=is_kept, part=part)
    yield from with_alpha(
        rounded(colors, bits=picture.bits, gray=picture.is_gray), rounded(planes, bits=picture.bits, gray=True)
    )


def through_passes(
    samples: Samples,
    plan: SizePlan,
    loop: TileLoop,
    report: Report,
    *,
    is_kept: bool,
    part: Part | None = None,
    first: int = 0,
) -> Stream:
    """All passes and the final reduction of one set of planes, each working on the rows the one before has made.

    `first` is the number in the report of the first of them.
    """
    source: RowSource = SampleRows(samples)
    bits = 8 * samples.itemsize
    dtype = loop.networks.choice.dtype_for(bits)
    held = result_bytes(plan.height, plan.width, bits=bits) if is_kept else 0
    runs = [Pass(scale, dtype, held, partial(report.at, number)) for number, scale in enumerate(plan.passes, first)]
    if part is not None:
        tiles = list(pass_tiles(source.height, source.width, runs, loop, part.sides))
        spans = pass_spans(part, plan, tiles)
    for number, run in enumerate(runs):
        rows = loop.run(source, run) if part is None else loop.run_rows(source, run, spans[number], tiles[number])
        source = StreamedRows(rows, height=source.height * run.scale, width=source.width * run.scale)
    if isinstance(source, StreamedRows) and (source.height, source.width) == (plan.height, plan.width):
        return source.stream
    return resized(source, height=plan.height, width=plan.width, span=None if part is None else part.span)


def pass_tiles(
    height: int, width: int, runs: Sequence[Pass], loop: TileLoop, sides: Sequence[int]
) -> Iterator[TilePlan]:
    """The tiles of each pass over a picture of this size, of these sides."""
    for run, side in zip(runs, sides, strict=True):
        yield loop.plan(height, width, run, side=side)
        height, width = height * run.scale, width * run.scale


def parts_of(height: int, width: int, plan: SizePlan, loop: TileLoop, *, bits: int, count: int) -> tuple[Part, ...]:
    """The result of a picture of this size in at most so many parts; none if it cannot be divided."""
    dtype, sides, across = loop.networks.choice.dtype_for(bits), [], (height, width)
    runs = [Pass(scale, dtype, 0, report=lambda progress: progress) for scale in plan.passes]
    for run in runs:
        sides.append(loop.first_side(run, *across))
        across = (across[0] * run.scale, across[1] * run.scale)
    tiles = list(pass_tiles(height, width, runs, loop, sides))
    return divided(count, plan, tiles, tuple(sides))


def result_bytes(height: int, width: int, *, bits: int) -> int:
    """What a result takes while it is made: its samples, and a copy of them when alpha is parted from colour."""
    return (6 if bits == 8 else 12) * height * width
