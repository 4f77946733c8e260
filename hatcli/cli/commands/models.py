"""`hat models`: what there is, what is here, whether it is intact, and away with it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.commands.download import Names, OneScale, known_names, licence, megabytes
from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command
from hatcli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from hatcli.models.catalog import Entry

models = typer.Typer(name="models", help="List, show, verify and remove models.", rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON array on stdout.")]
REFERENCE = ("Urban100", 4)  # the set and factor whose published PSNR stands in the table
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
    installed: Annotated[bool, typer.Option("--installed", help="Only what is on this machine.")] = False,
) -> None:
    """List the catalogue: what each model is for, how good, how large, under which licence, and what is here."""
    from hatcli.models import catalog

    entries = [entry for entry in catalog.entries() if catalog.is_installed(entry) or not installed]
    if as_json:
        typer.echo(json.dumps([facts(entry) for entry in entries], indent=1))
        return
    families = [[entry for entry in entries if entry.name == name] for name in catalog.names()]
    head = ("MODEL", "FACTORS", "FOR", "PARAMETERS", "PSNR", "SIZE", "LICENCE", "HERE")
    rows = [head, *(_row(family) for family in families if family)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    Console().say(f"PSNR: published, dB, {REFERENCE[0]} x{REFERENCE[1]}, Y channel. More: hat models show NAME")


@models.command("show")
@command
def show_models(names: Names = None, scale: OneScale = None, as_json: AsJson = False) -> None:
    """Show everything known about models."""
    entries = _named(names, scale)
    if as_json:
        typer.echo(json.dumps([facts(entry) for entry in entries], indent=1))
        return
    for number, entry in enumerate(entries):
        if number:
            typer.echo()
        for name, value in _described(entry):
            typer.echo(f"{name:<13} {value}")


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

    console = Console(quiet=quiet, progress=not no_progress)
    entries = _named(names, scale) if names else [entry for entry in catalog.entries() if catalog.is_installed(entry)]
    paths = {entry: path for entry in entries if (path := catalog.installed_path(entry)) is not None}
    if names and not paths:
        raise WeightsError(f"{entries[0].name} is not installed", hint=f"hat download {entries[0].name}")
    changed = []
    for entry, path in paths.items():
        size = path.stat().st_size
        with console.transfer(entry.id) as bar:
            verdict = _finish(receipt.verify(entry), lambda done, bar=bar, size=size: bar("verifying", done, size))
        typer.echo(f"{entry.id} {verdict}")
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
        str | None, typer.Argument(help="A model; without it, the folder of all.", autocompletion=known_names)
    ] = None,
    scale: OneScale = None,
) -> None:
    """Print the folder models live in, or the file of one installed model."""
    from hatcli.models import catalog, store

    if name is None:
        typer.echo(str(store.root()))
        return
    entry = catalog.resolve(name, scale=scale)
    path = catalog.installed_path(entry)
    if path is None:
        raise WeightsError(f"{entry.id} is not installed", hint=f"hat download {entry.id}")
    typer.echo(str(path))


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


def _row(family: list[Entry]) -> tuple[str, ...]:
    from hatcli.models import catalog, download

    last = family[-1]
    here = ",".join(f"x{entry.scale}" for entry in family if catalog.is_installed(entry))
    scores = [score for score in last.scores if (score.dataset, last.scale) == REFERENCE]
    size = download.expected_bytes(last)
    path = catalog.installed_path(last) if size is None and catalog.is_installed(last) else None
    return (
        last.name,
        ",".join(f"x{entry.scale}" for entry in family),
        TASKS[last.task],
        f"{last.parameters / 1e6:.1f}M" if last.parameters is not None else "-",
        f"{scores[0].psnr:.2f}" if scores else "-",
        megabytes(size if path is None else path.stat().st_size) if size is not None or path is not None else "-",
        last.licence,
        here or "-",
    )


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


def _finish(work: Any, each: Any) -> Any:
    """Runs a generator to its return value, handing on what it yields."""
    while True:
        try:
            each(next(work))
        except StopIteration as end:
            return end.value
