"""`hat download`: names to files on this machine, with size and licence said before anything is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command
from hatcli.errors import HatError, UsageError, WeightsError

if TYPE_CHECKING:
    from hatcli.models.catalog import Entry


def known_names(incomplete: str) -> list[str]:
    """The catalogue's names that begin so, for the shell."""
    from hatcli.models import catalog

    return [name for name in catalog.names() if name.startswith(incomplete)]


Names = Annotated[
    list[str] | None,
    typer.Argument(help="Models, such as hat, real-hat or hat-s-x2.", metavar="NAME", autocompletion=known_names),
]
OneScale = Annotated[
    int | None, typer.Option("-s", "--scale", help="Only the weights for this factor.", show_default=False)
]


@command
def download(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Every model of the catalogue.")] = False,
    scale: OneScale = None,
    from_path: Annotated[
        str | None,
        typer.Option("--from", help="A published file, or a folder with some, instead of the network.", metavar="PATH"),
    ] = None,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Also take files whose sha256 is not known.")
    ] = False,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Fetch weights: verified, converted to safetensors, ready for offline use.

    \b
    hat download hat                 HAT for every factor it has
    hat download real-hat hat-l -s 4
    hat download hat --from /media/stick

    Prints where each file is. A broken download goes on where it stopped.
    """
    console = Console(quiet=quiet, verbose=verbose, progress=not no_progress)
    chosen = choose(names or [], everything=everything, scale=scale)
    announce(chosen, console)
    if dry_run:
        return
    failed: list[HatError] = []
    for entry in chosen:
        try:
            typer.echo(str(_bring(entry, console, from_path=from_path, allow_unverified=allow_unverified)))
        except WeightsError as error:  # the others may well be reachable
            if len(chosen) == 1:
                raise
            console.error(error)
            failed.append(error)
    if failed:
        raise WeightsError(f"{len(failed)} of {len(chosen)} models could not be had", hint="run the same command again")


def choose(names: list[str], *, everything: bool, scale: int | None) -> list[Entry]:
    """The files that are meant, each once.

    Raises:
        UsageError: nothing was named, a name is unknown, or a model has nothing for this scale.
    """
    from hatcli.models import catalog

    if everything == bool(names):
        hint = "hat download hat, or hat models list to see what there is"
        raise UsageError("name the models to download, or say --all", hint=hint)
    families = [catalog.family(name) for name in (catalog.names() if everything else names)]
    found: dict[str, Entry] = {}
    for family in families:
        fitting = [entry for entry in family if scale in (None, entry.scale)]
        if not fitting and not everything:
            natives = ", ".join(f"x{entry.scale}" for entry in family)
            raise UsageError(f"{family[0].name} has no weights for x{scale}", hint=f"it has them for {natives}")
        found.update({entry.id: entry for entry in fitting if not (everything and entry.bundled)})
    return list(found.values())


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


def _bring(entry: Entry, console: Console, *, from_path: str | None, allow_unverified: bool) -> Path:
    from hatcli.models import download as downloads

    if from_path is None:
        work = downloads.fetch(entry, allow_unverified=allow_unverified)
    else:
        source = Path(from_path)
        file = source / entry.filename if source.is_dir() else source
        work = downloads.install(entry, file, allow_unverified=allow_unverified)
    with console.transfer(entry.id) as bar:
        while True:
            try:
                progress = next(work)
            except StopIteration as end:
                return Path(end.value)
            bar(progress.stage, progress.done, progress.total)
