"""What `-n` means for a command: the model, fetched first if it is not here, with its size and licence said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    from hatcli.models import catalog

    for entry in needed(name, factors):
        if catalog.installed_path(entry) is None:
            if not offline:
                announce([entry], console)
            bring(entry, console, offline=offline)


def needed(name: str, factors: list[int]) -> list[Entry]:
    """The catalogue entries a model's passes to these factors take."""
    from hatcli.models import catalog
    from hatcli.upscaling.size import passes_for

    by_scale = {entry.scale: entry for entry in catalog.family(name)}
    own = catalog.resolve(name).scale
    passes = {scale for factor in factors or [own] for scale in passes_for(factor, by_scale)}
    return [by_scale[scale] for scale in sorted(passes)]


def announce(entries: list[Entry], console: Console) -> None:
    """Sizes, authors and licences of what is not here yet."""
    from hatcli.models import catalog
    from hatcli.models import download as downloads

    missing = [entry for entry in entries if not catalog.is_installed(entry)]
    for entry in missing:
        console.say(f"{entry.id}: {megabytes(downloads.expected_bytes(entry))}, {licence(entry)}, by {entry.author}")
    for note in dict.fromkeys(entry.licence_note for entry in missing if entry.licence_note):
        console.say(f"note: {note}")
    if len(missing) > 1:
        console.say(f"together {megabytes(sum(downloads.expected_bytes(entry) or 0 for entry in missing))}")


def licence(entry: Entry) -> str:
    """The licence and the one thing people ask about it."""
    allowed = {True: "commercial use allowed", False: "no commercial use", None: "commercial use unclear"}
    return f"{entry.licence} ({allowed[entry.commercial]})"


def megabytes(count: int | None) -> str:
    """Bytes as people say them."""
    return "unknown size" if count is None else f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def bring(
    entry: Entry, console: Console, *, offline: bool = False, file: Path | None = None, allow_unverified: bool = False
) -> Path:
    """The installed weights of an entry, brought here unless they are; shows progress.

    Args:
        file: a copy of the published file to install instead of asking the network.

    Raises:
        WeightsError: they cannot be had.
        OutputError: they cannot be written.
    """
    from hatcli.models import catalog, download

    if file is None:
        work = download.fetch(entry, offline=offline, allow_unverified=allow_unverified)
    else:
        work = download.install(entry, file, allow_unverified=allow_unverified)
    with console.transfer(entry.id) as bar:
        for progress in work:
            bar(progress.stage, progress.done, progress.total)
    path = catalog.installed_path(entry)
    assert path is not None, "a finished download has its file"
    return path
