"""The command line: one command a file. Nothing here or imported here at module level imports PyTorch."""

from __future__ import annotations

from typing import Annotated

import typer

from hatcli.cli.commands.attribute import attribute
from hatcli.cli.commands.bench import bench
from hatcli.cli.commands.compare import compare
from hatcli.cli.commands.convert import convert
from hatcli.cli.commands.doctor import doctor
from hatcli.cli.commands.download import download
from hatcli.cli.commands.evaluate import evaluate
from hatcli.cli.commands.models import models
from hatcli.cli.commands.plot import plot
from hatcli.cli.commands.serve import serve
from hatcli.cli.commands.status import status
from hatcli.cli.commands.train import train
from hatcli.cli.commands.upscale import upscale
from hatcli.cli.shared.program import Program

app = typer.Typer(
    name="hat",
    cls=Program,
    help="Enlarge pictures with HAT, the Hybrid Attention Transformer.",
    epilog="Start with: hat photo.png",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
app.command()(upscale)
app.command()(status)
app.command()(download)
app.add_typer(models)
app.command()(evaluate)
app.command()(compare)
app.command()(attribute)
app.command()(plot)
app.command()(serve)
app.command()(convert)
app.command()(train)
app.command()(bench)
app.command()(doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from hatcli import __version__

        typer.echo(f"hat {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Enlarge pictures with HAT, the Hybrid Attention Transformer."""
