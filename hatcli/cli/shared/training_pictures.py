"""Pictures to learn from, read with a bar: for a run, for its validation, or only to see which can be used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from hatcli.cli.shared.console import Console, show

if TYPE_CHECKING:
    from hatcli.training.data import AnyPair
    from hatcli.training.recipe import Recipe
    from hatcli.training.sources import TrainingPicture

T = TypeVar("T")


def collect(pictures: Iterable[T], total: int, what: str, console: Console) -> list[T]:
    """All of them, with a bar."""
    result: list[T] = []
    with console.bars(1) as bars:
        for number, picture in enumerate(pictures, start=1):
            result.append(picture)
            bars.picture(f"{what} {number}/{total}")
            bars.tiles(number / total, 1, 1)
    return result


def check_data(
    sources: list[TrainingPicture], unmatched: list[str], *, scale: int, smallest: int, console: Console
) -> None:
    """Read everything; faults by name and counts on stdout, exit code 1 if there is any."""
    from hatcli.training.checks import check

    findings = collect(check(sources, scale=scale, smallest=smallest), len(sources), "checking", console)
    bad = [finding for finding in findings if finding.problem is not None]
    told = [
        str(found.problem) if found.name in str(found.problem) else f"{found.name}: {found.problem}" for found in bad
    ]
    for problem in (*unmatched, *told):
        typer.echo(show(problem))
    area = sum(finding.megapixels for finding in findings)
    typer.echo(f"{len(findings) - len(bad)} pictures can be used, {area:.1f} MP; {len(unmatched) + len(bad)} cannot")
    if unmatched or bad:
        raise typer.Exit(1)


def read_pairs(
    sources: list[TrainingPicture], plan: Recipe, console: Console, *, cache: Path | None, budget: int
) -> list[AnyPair]:
    """The pictures to learn from, with a bar."""
    from hatcli.training.data import load_pairs

    pictures = load_pairs(sources, scale=plan.scale, smallest=plan.patch, cache=cache, budget=budget)
    pairs = collect(pictures, len(sources), "reading", console)
    pixels = sum(pair.size[0] * pair.size[1] * plan.scale**2 for pair in pairs)
    console.say(f"{len(pairs)} pictures, {pixels / 1e6:.0f} MP")
    return pairs


def read_validation(folder: Path | None, plan: Recipe, console: Console) -> list[AnyPair]:
    """Every picture of the validation folder, whole, in memory."""
    from hatcli.training.data import load_pairs
    from hatcli.training.sources import find_sources

    if folder is None:
        return []
    sources = find_sources([folder], scale=plan.scale)
    return collect(load_pairs(sources, scale=plan.scale, smallest=1), len(sources), "validation", console)
