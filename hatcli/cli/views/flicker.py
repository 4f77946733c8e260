"""A film's scores: measured with a bar, and on stdout as a table, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from hatcli.cli.shared.console import Console
from hatcli.cli.views.enlarging import through_upscaler
from hatcli.cli.views.scores import printable
from hatcli.evaluation import tables
from hatcli.progress import drive
from hatcli.upscaling.upscaler import Upscaler
from hatcli.video.film import Film
from hatcli.video.flicker import FilmScores, measured

Scored = Mapping[int, Mapping[str, FilmScores]]  # by scale, by model

EXPLANATION = (
    "tPSNR: PSNR of the changes from frame to frame against those of the truth; still: RMS change, in levels of 255, "
    "where the small film stands still"
)


def measured_with_bars(
    film: Film,
    upscalers: Mapping[str, Upscaler],
    console: Console,
    *,
    scale: int,
    span: tuple[Fraction, Fraction | None],
    has_truth: bool,
) -> dict[str, FilmScores]:
    """Measure a film at one scale."""
    seconds = film.seconds if span[1] is None else float(span[1])
    with console.bars(max(1, round(seconds * film.rate))) as bars:
        models = {name: through_upscaler(one, name, scale, bars) for name, one in upscalers.items()}
        work = measured(film, models, scale=scale, start=span[0], length=span[1], has_truth=has_truth)
        return drive(work, lambda number: bars.finished())


def text_of(name: str, scored: Scored, form: str, facts: Mapping[str, Any]) -> str:
    """The results as `json`, `csv`, `markdown` or, for people, `table`."""
    if form == "json":
        results = [
            {"scale": scale, "models": {model: _finite(found) for model, found in models.items()}}
            for scale, models in scored.items()
        ]
        return json.dumps({**facts, "film": name, "results": results}, indent=2)
    if form == "csv":
        return _comma_separated(name, scored)
    rows = [
        (name, f"x{scale}", model, _text(one.psnr_y), _text(one.tpsnr_y), _text(one.still_change, 3),
         f"{one.still_share:.1%}")
        for scale, models in scored.items()
        for model, one in models.items()
    ]  # fmt: skip
    header = ("film", "scale", "model", "PSNR Y", "tPSNR Y", "still", "of places")
    render = tables.markdown if form == "markdown" else tables.plain_text
    return render(printable(tables.Table(header, tuple(rows), labels=3)))


def _text(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _finite(found: FilmScores) -> dict[str, float | None]:
    """For JSON, which has no infinity."""
    return {
        name: value if value is not None and math.isfinite(value) else None for name, value in asdict(found).items()
    }


def _comma_separated(name: str, scored: Scored) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("film", "scale", "model", *FilmScores.__dataclass_fields__))
    for scale, models in scored.items():
        for model, found in models.items():
            writer.writerow((name, scale, model, *map(tables.number_text, asdict(found).values())))
    return text.getvalue().removesuffix("\n")
