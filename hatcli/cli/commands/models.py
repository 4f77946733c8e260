"""`hat models`: what there is, what is here, whether it is intact, and away with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.completion import catalog_names
from hatcli.cli.shared.console import Console, command, print_result
from hatcli.cli.shared.fetching import licence, megabytes
from hatcli.cli.shared.model_options import Names, OneScale
from hatcli.cli.shared.tables import fitted, hanging
from hatcli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from hatcli.models.catalog import Entry

models = typer.Typer(name="models", help="List, show, verify and remove models.", rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON array on stdout.", metavar="")]
REFERENCES, REFERENCE_SCALE = ("Set5", "Urban100"), 4  # the sets and the factor whose PSNR stands in the table
SPARE = ("PARAMETERS", "LICENCE", "SIZE", "FACTORS", "FOR")  # columns that a narrow terminal goes without, in order
TASKS = {"bicubic": "clean", "photo": "JPEGs", "real": "photos"}


@models.callback(invoke_without_command=True)
def table(context: typer.Context) -> None:
    """List, show, verify and remove models; without a command, list."""
    if context.invoked_subcommand is None:
        list_models()


@models.command("list")
@command
def list_models(
    as_json: AsJson = False,
    installed: Annotated[bool, typer.Option("--installed", help="Only what is on this machine.", metavar="")] = False,
) -> None:
    """List the catalogue: what each model is for, how good, how large, under which licence, and what is here."""
    from hatcli.models import catalog

    entries = list(catalog.installed() if installed else catalog.entries())
    if as_json:
        print_result(json.dumps([facts(entry) for entry in entries], indent=1))
        return
    families = [[entry for entry in entries if entry.name == name] for name in catalog.names()]
    rows = [_row(family) for family in families if family]
    for line in fitted(rows, spare=SPARE):
        print_result(line)
    console = Console()
    console.say(f"{' and '.join(name.upper() for name in REFERENCES)}: PSNR at x{REFERENCE_SCALE} in dB, Y channel,")
    console.say("as published; hat-t's as measured. hat models show NAME")


@models.command("show")
@command
def show_models(names: Names = None, scale: OneScale = None, as_json: AsJson = False) -> None:
    """Show everything known about models."""
    entries = _named(names, scale)
    if as_json:
        print_result(json.dumps([facts(entry) for entry in entries], indent=1))
        return
    for number, entry in enumerate(entries):
        if number:
            print_result("")
        for name, value in _described(entry):
            print_result(hanging(name, value, indent=14))


@models.command("verify")
@command
def verify_models(
    names: Names = None,
    scale: OneScale = None,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Hash installed models again and compare; without a name, all of them."""
    from hatcli.models import catalog, receipt
    from hatcli.progress import drive

    console = Console(quiet=quiet, progress=not no_progress)
    entries = _named(names, scale) if names else list(catalog.installed())
    paths = {entry: path for entry in entries if (path := catalog.installed_path(entry)) is not None}
    if names and not paths:
        raise WeightsError(f"{entries[0].name} is not installed", hint=f"hat download {entries[0].name}")
    changed = []
    for entry, path in paths.items():
        with console.transfer(entry.id) as bar:
            verdict = drive(receipt.verify(entry), partial(_verifying, bar, path.stat().st_size))
        print_result(f"{entry.id} {verdict}")
        if verdict == "changed":
            changed.append(entry.id)
    if changed:
        hint = f"hat models remove {changed[0]}, then hat download {changed[0]}"
        raise WeightsError(f"{', '.join(changed)} changed since the download", hint=hint)


@models.command("remove")
@command
def remove_models(names: Names = None, scale: OneScale = None, quiet: options.Quiet = False) -> None:
    """Delete downloaded models and what broken downloads have left of them."""
    from hatcli.models import download

    console = Console(quiet=quiet)
    entries = _named(names, scale)
    freed = {entry.id: download.remove(entry) for entry in entries}
    if not any(freed.values()):
        raise WeightsError(f"{entries[0].name} is not installed", hint="hat models list --installed")
    for name, count in freed.items():
        if count:
            console.say(f"removed {name} ({megabytes(count)})")


@models.command("path")
@command
def path_of_models(
    name: Annotated[
        str | None,
        typer.Argument(help="A model; without it, the folder of all.", metavar="NAME", autocompletion=catalog_names),
    ] = None,
    scale: OneScale = None,
) -> None:
    """Print the folder models live in, or the file of one installed model."""
    from hatcli.models import catalog, store

    if name is None:
        print_result(str(store.root()))
        return
    entry = catalog.resolve(name, scale=scale)
    path = catalog.installed_path(entry)
    if path is None:
        raise WeightsError(f"{entry.id} is not installed", hint=f"hat download {entry.id}")
    print_result(str(path))


def facts(entry: Entry) -> dict[str, Any]:
    """An entry as JSON values; unknown is null."""
    from hatcli.models import catalog

    path = catalog.installed_path(entry) if catalog.is_installed(entry) else None
    values = asdict(entry)
    values["scores"] = {score.dataset: {"psnr": score.psnr, "ssim": score.ssim} for score in entry.scores}
    values["sources"] = [source.address for source in entry.sources]
    return {**values, "installed": path is not None, "path": str(path) if path is not None else None}


def _named(names: list[str] | None, scale: int | None) -> list[Entry]:
    from hatcli.models import catalog

    if not names:
        raise UsageError("name a model", hint="hat models list shows what there is")
    entries = [entry for name in names for entry in catalog.family(name) if scale in (None, entry.scale)]
    if not entries:
        raise UsageError(f"{names[0]} has no weights for x{scale}", hint=f"hat models show {names[0]}")
    return entries


def _row(family: list[Entry]) -> dict[str, str]:
    from hatcli.models import catalog, download

    last = family[-1]
    here = ",".join(f"x{entry.scale}" for entry in family if catalog.is_installed(entry))
    scores = {score.dataset: f"{score.psnr:.2f}" for score in last.scores if last.scale == REFERENCE_SCALE}
    size = download.expected_bytes(last)
    path = catalog.installed_path(last) if size is None and catalog.is_installed(last) else None
    return {
        "MODEL": last.name,
        "FACTORS": ",".join(f"x{entry.scale}" for entry in family),
        "FOR": TASKS[last.task],
        "PARAMETERS": f"{last.parameters / 1e6:.1f}M" if last.parameters is not None else "-",
        **{name.upper(): scores.get(name, "-") for name in REFERENCES},
        "SIZE": megabytes(size if path is None else path.stat().st_size) if size or path is not None else "-",
        "LICENCE": last.licence,
        "HERE": here or "-",
    }


def _described(entry: Entry) -> list[tuple[str, str]]:
    from hatcli.models import catalog, download

    path = catalog.installed_path(entry) if catalog.is_installed(entry) else None
    lines = [
        ("model", entry.id),
        ("title", entry.title),
        ("for", entry.purpose),
        ("network", f"{entry.variant}, x{entry.scale}"),
        ("parameters", f"{entry.parameters:,}" if entry.parameters is not None else "unknown"),
        ("multiply-adds", f"{entry.multi_adds / 1e9:.1f} G for 64 x 64 pixels" if entry.multi_adds else "unknown"),
    ]
    for score in entry.scores:
        ssim = f", SSIM {score.ssim:.4f}" if score.ssim is not None else ""
        lines.append((score.dataset, f"{score.psnr:.2f} dB{ssim}"))
    if entry.scores_source is not None:
        lines.append(("scores from", entry.scores_source))
    lines += [("author", entry.author), ("licence", licence(entry))]
    if entry.licence_note is not None:
        lines.append(("note", entry.licence_note))
    lines.append(("file", f"{entry.filename}, {megabytes(download.expected_bytes(entry))}"))
    lines.append(("sha256", entry.sha256 or "unknown"))
    lines += [("source", source.address) for source in entry.sources]
    lines.append(("installed", str(path) if path is not None else f"no; hat download {entry.id}"))
    return lines


def _verifying(bar: Callable[[str, int, int | None], None], size: int, done: int) -> None:
    bar("verifying", done, size)
