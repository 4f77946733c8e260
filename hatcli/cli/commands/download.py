"""`hat download`: names to files on this machine, with size and licence said before anything is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command, print_result
from hatcli.cli.shared.fetching import announce, bring
from hatcli.cli.shared.model_options import Names, OneScale
from hatcli.errors import HatError, UsageError, WeightsError

if TYPE_CHECKING:
    from hatcli.models.catalog import Entry


@command
def download(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Every model of the catalogue.", metavar="")] = False,
    scale: OneScale = None,
    from_path: Annotated[
        str | None,
        typer.Option("--from", help="A published file, or a folder with some, instead of the network.", metavar="PATH"),
    ] = None,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Also take files whose sha256 is not known.", metavar="")
    ] = False,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Fetch weights: verified, converted to safetensors, ready for offline use.

    \b
    hat download hat                       every factor of HAT
    hat download real-hat hat-l -s 4       two, for x4 alone
    hat download hat --from /media/stick   without a network

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
            file = None if from_path is None else published_copy(entry, Path(from_path))
            print_result(str(bring(entry, console, file=file, allow_unverified=allow_unverified)))
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


def published_copy(entry: Entry, named: Path) -> Path:
    """The file that `--from` means for a model: itself, or the one of the published name in a folder."""
    return named / entry.filename if named.is_dir() else named
