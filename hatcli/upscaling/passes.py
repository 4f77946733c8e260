"""A picture's planes through all passes of a plan and the reduction to its size, colour and transparency apart."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hatcli.image.picture import Picture, Samples
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
from hatcli.upscaling.transparency import bleed


def enlarged(picture: Picture, plan: SizePlan, loop: TileLoop, *, is_kept: bool) -> Iterator[Progress | Strip]:
    """The result's rows as they are finished, from the top to the bottom, alpha as their last channel unless it is
    dropped.

    Args:
        is_kept: whether the result stays in memory, so that tiles must leave room for it.
    """
    alpha_mode = loop.networks.settings.alpha
    shares = pass_shares(plan.passes)
    if picture.alpha is None or alpha_mode == "drop":
        colors = through_passes(picture.pixels, plan, loop, Report(shares), is_kept=is_kept)
        yield from rounded(colors, bits=picture.bits, gray=picture.is_gray)
        return
    alpha = picture.alpha
    is_uniform = bool((alpha == alpha.flat[0]).all())
    if alpha_mode == "model" and not is_uniform:
        report = Report([share / 2 for share in shares] * 2)
        planes = through_passes(alpha, plan, loop, report, is_kept=is_kept, first=len(shares))
    else:
        report = Report(shares)
        planes = resized(SampleRows(alpha), height=plan.height, width=plan.width)
    colors = through_passes(bleed(picture.pixels, alpha), plan, loop, report, is_kept=is_kept)
    yield from with_alpha(
        rounded(colors, bits=picture.bits, gray=picture.is_gray), rounded(planes, bits=picture.bits, gray=True)
    )


def through_passes(
    samples: Samples, plan: SizePlan, loop: TileLoop, report: Report, *, is_kept: bool, first: int = 0
) -> Stream:
    """All passes and the final reduction of one set of planes, each working on the rows the one before has made.

    `first` is the number in the report of the first of them.
    """
    source: RowSource = SampleRows(samples)
    dtype = loop.networks.choice.dtype_for(8 * samples.itemsize)
    held = result_bytes(plan.height, plan.width, bits=8 * samples.itemsize) if is_kept else 0
    for number, scale in enumerate(plan.passes, start=first):
        stream = loop.run(source, Pass(scale, dtype, held, partial(report.at, number)))
        source = StreamedRows(stream, height=source.height * scale, width=source.width * scale)
    if isinstance(source, StreamedRows) and (source.height, source.width) == (plan.height, plan.width):
        return source.stream
    return resized(source, height=plan.height, width=plan.width)


def result_bytes(height: int, width: int, *, bits: int) -> int:
    """What a result takes while it is made: its samples, and a copy of them when alpha is parted from colour."""
    return (6 if bits == 8 else 12) * height * width
