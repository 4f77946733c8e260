"""Getting a model of the catalogue that is not here yet, with its size and licence said first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatcli.cli.commands.download import announce
from hatcli.cli.shared.console import Console

if TYPE_CHECKING:
    from hatcli.models.catalog import Entry


def fetch_missing(name: str, factors: list[int], console: Console, *, offline: bool) -> None:
    """Fetch the files of a model that these factors need, or all it takes for its own factor.

    Raises:
        UsageError: there is no such model.
        WeightsError: it cannot be had.
    """
    for entry in needed(name, factors):
        fetch(entry, console, offline=offline)


def needed(name: str, factors: list[int]) -> list[Entry]:
    """The catalogue entries a model's passes to these factors take."""
    from hatcli.models import catalog, opening
    from hatcli.upscaling.size import passes_for

    by_scale = {entry.scale: entry for entry in opening.family(name, scale=None)}
    own = catalog.resolve(name).scale
    passes = {scale for factor in factors or [own] for scale in passes_for(factor, by_scale)}
    return [by_scale[scale] for scale in sorted(passes)]


def fetch(entry: Entry, console: Console, *, offline: bool, allow_unverified: bool = False) -> None:
    """Bring one entry here unless it is; shows size, licence and progress."""
    from hatcli.models import catalog, download

    if catalog.installed_path(entry) is not None:
        return
    if not offline:
        announce([entry], console)
    with console.transfer(entry.id) as bar:
        for progress in download.fetch(entry, offline=offline, allow_unverified=allow_unverified):
            bar(progress.stage, progress.done, progress.total)
