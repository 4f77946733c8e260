"""What `-n` means for a command: the model, fetched first if it is not here, with its size and licence said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatcli.cli.commands.download import announce
from hatcli.cli.shared.console import Console

if TYPE_CHECKING:
    from hatcli.models.catalog import Entry
    from hatcli.models.opening import Auto, Model


def open_model(name: str, factors: list[int], console: Console, *, offline: bool) -> Model | Auto:
    """The model a name or file means; `Auto` where that is left to each picture.

    Args:
        factors: the whole factors that are wanted at least; empty: the model's own.

    Raises:
        UsageError: there is no such model.
        WeightsError: it is not here and cannot be had, or is damaged.
    """
    from hatcli.models import opening

    if name != opening.AUTO and not opening.names_file(name):
        fetch_missing(name, factors, console, offline=offline)
    return opening.open(name)


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
    from hatcli.models import catalog
    from hatcli.upscaling.size import passes_for

    by_scale = {entry.scale: entry for entry in catalog.family(name)}
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
