"""Scores as tables: for people, Markdown, CSV and JSON. Knows no pictures and prints nothing."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hatcli.evaluation.card import CardScores
from hatcli.evaluation.evaluate import ScoredPicture
from hatcli.evaluation.metrics import Scores, mean
from hatcli.evaluation.published import Published, published

MEAN = "mean"


@dataclass
class Report:
    """The scores of one set at one scale, filled as results come in.

    Attributes:
        dataset: the set's name in tables.
        images: model to picture to scores, in order of appearance.
        published: model to what was published for it on this set, where that is known.
        card: model to how it draws the test card, where the set is that.
        grays: names of the pictures that were scored in one channel.
    """

    dataset: str
    scale: int
    images: dict[str, dict[str, Scores]] = field(default_factory=dict)
    published: dict[str, Published] = field(default_factory=dict)
    card: dict[str, CardScores] = field(default_factory=dict)
    grays: list[str] = field(default_factory=list)

    def add(self, result: ScoredPicture) -> None:
        self.images.setdefault(result.model, {})[result.image] = result.scores
        if result.pixels.shape[2] == 1 and result.image not in self.grays:
            self.grays.append(result.image)

    def add_published(self) -> None:
        """Fill in what is known of each model on this set."""
        found = {model: published(model, dataset=self.dataset, scale=self.scale) for model in self.images}
        self.published |= {model: numbers for model, numbers in found.items() if numbers is not None}

    def means(self) -> dict[str, Scores]:
        """Each model's mean over its pictures."""
        return {model: mean(list(scores.values())) for model, scores in self.images.items()}


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first `labels` columns are names, the others numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int


def score_table(reports: Sequence[Report]) -> Table:
    """Every picture and the mean of every model; one line each."""
    rows = []
    for report in reports:
        averages = report.means()
        for model, images in report.images.items():
            for image, scores in [*images.items(), (MEAN, averages[model])]:
                rows.append((report.dataset, f"x{report.scale}", model, image, *score_cells(scores)))
    header = ("set", "scale", "model", "image", "PSNR Y", "SSIM Y", "PSNR RGB", "SSIM RGB")
    return Table(header, tuple(rows), labels=4)


def paper_table(reports: Sequence[Report]) -> Table:
    """Each model's mean on the luma beside what was published for it, and ours minus theirs."""
    rows = []
    for report in reports:
        for model, ours in report.means().items():
            theirs = report.published.get(model)
            psnr = (decibels(ours.psnr_y), *beside(ours.psnr_y, theirs.psnr if theirs else None, decibels))
            ssim = (similarity(ours.ssim_y), *beside(ours.ssim_y, theirs.ssim if theirs else None, similarity))
            rows.append((report.dataset, f"x{report.scale}", model, *psnr, *ssim))
    header = ("set", "scale", "model", "PSNR", "published", "difference", "SSIM", "published", "difference")
    return Table(header, tuple(rows), labels=3)


def card_table(reports: Sequence[Report]) -> Table:
    """How jagged each model's lines and circles on the test card are, and how close its text is to the truth."""
    rows = [
        (
            f"x{report.scale}",
            model,
            *(f"{value:.3f}" for value in (found.jaggedness, found.angles[found.worst_angle])),
            f"{found.worst_angle}°",
            f"{found.circles:.3f}",
            decibels(found.text_psnr),
        )
        for report in reports
        for model, found in report.card.items()
    ]
    header = ("scale", "model", "jaggedness px", "worst px", "at", "circles px", "text PSNR")
    return Table(header, tuple(rows), labels=2)


def beside(ours: float, theirs: float | None, text: Callable[[float], str]) -> tuple[str, str]:
    """A published number and ours minus it, empty where none is known."""
    if theirs is None:
        return "", ""
    difference = ours - theirs
    return text(theirs), ("-" if difference < 0 else "+") + text(abs(difference))


def sources(reports: Iterable[Report]) -> tuple[str, ...]:
    """Where the published numbers were read, one line a model and source."""
    lines = [f"{model}: {found.source}" for report in reports for model, found in report.published.items()]
    return tuple(dict.fromkeys(lines))


def score_cells(scores: Scores) -> tuple[str, str, str, str]:
    """PSNR and SSIM on Y, then on RGB."""
    return (
        decibels(scores.psnr_y),
        similarity(scores.ssim_y),
        decibels(scores.psnr_rgb),
        similarity(scores.ssim_rgb),
    )


def decibels(value: float) -> str:
    """As papers print it."""
    return f"{value:.2f}"


def similarity(value: float) -> str:
    """SSIM as papers print it."""
    return f"{value:.4f}"


def plain_text(table: Table) -> str:
    """Aligned columns, names to the left and numbers to the right, without a newline at the end."""
    lines = (table.header, *table.rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
    return "\n".join("  ".join(aligned(line, widths, labels=table.labels)).rstrip() for line in lines)


def aligned(line: Sequence[str], widths: Sequence[int], *, labels: int) -> list[str]:
    """Cells padded to their column: the first `labels` to the left, the rest to the right."""
    return [
        cell.ljust(width) if column < labels else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def markdown(table: Table) -> str:
    """A Markdown table with aligned source; a `|` in a name is escaped."""
    header, *rows = ([cell.replace("|", "\\|") for cell in line] for line in (table.header, *table.rows))
    widths = [max(3, *(len(line[column]) for line in (header, *rows))) for column in range(len(header))]
    rule = ["-" * width if column < table.labels else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines = [aligned(line, widths, labels=table.labels) for line in (header, rule, *rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def comma_separated(reports: Sequence[Report]) -> str:
    """CSV with a header: every picture and mean in full precision, and the published numbers beside the means."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = tuple(Scores.__dataclass_fields__)
    writer.writerow(("set", "scale", "model", "image", *names, "published_psnr_y", "published_ssim_y"))
    for report in reports:
        averages = report.means()
        for model, images in report.images.items():
            theirs = report.published.get(model)
            for image, scores in [*images.items(), (MEAN, averages[model])]:
                known = (theirs.psnr, theirs.ssim) if theirs and image == MEAN else (None, None)
                numbers = (*asdict(scores).values(), *known)
                writer.writerow((report.dataset, report.scale, model, image, *map(number_text, numbers)))
    return text.getvalue().removesuffix("\n")


def number_text(value: float | None) -> str:
    """For CSV: every digit, or nothing."""
    return "" if value is None else repr(float(value))


def document(reports: Sequence[Report], facts: Mapping[str, Any]) -> dict[str, Any]:
    """All of an evaluation as one object for JSON, of one shape whether one set was scored or several.

    `models` holds each model's means over every picture and the pictures' own scores, by name, or by set, scale and
    name where that occurs twice; `results` has one entry a set and scale.
    """
    counts = Counter(
        image for report in reports for image in {name for found in report.images.values() for name in found}
    )
    scores: dict[str, dict[str, Scores]] = {}
    for report in reports:
        for model, images in report.images.items():
            for image, found in images.items():
                name = image if counts[image] == 1 else f"{report.dataset}/x{report.scale}/{image}"
                scores.setdefault(model, {})[name] = found
    models = {
        model: {**finite(mean(list(found.values()))), "images": {name: finite(one) for name, one in found.items()}}
        for model, found in scores.items()
    }
    return {**facts, "models": models, "results": [as_json(report) for report in reports]}


def as_json(report: Report) -> dict[str, Any]:
    """One set's scores as an object for JSON; numbers in full precision, null for the PSNR of equal pictures."""
    averages = report.means()
    models = {}
    for model, images in report.images.items():
        found = report.published.get(model)
        models[model] = {
            **finite(averages[model]),
            **({"published": {"psnr_y": found.psnr, "ssim_y": found.ssim, "source": found.source}} if found else {}),
            **({"card": card_json(report.card[model])} if model in report.card else {}),
            "images": {image: finite(scores) for image, scores in images.items()},
        }
    return {"set": report.dataset, "scale": report.scale, "border": report.scale, "models": models}


def card_json(found: CardScores) -> dict[str, Any]:
    """Output pixels and dB; null for the PSNR of text that equals the truth."""
    return {
        "jaggedness": found.jaggedness,
        "circles": found.circles,
        "text_psnr": found.text_psnr if math.isfinite(found.text_psnr) else None,
        "angles": {str(angle): value for angle, value in found.angles.items()},
    }


def finite(scores: Scores) -> dict[str, float | None]:
    """For JSON, which has no infinity: equal pictures have no PSNR."""
    return {name: value if math.isfinite(value) else None for name, value in asdict(scores).items()}
