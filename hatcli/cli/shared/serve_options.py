"""Options of `hat serve` in groups: who gets in, and how much is taken in and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared.console import Console, show
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.serve.limits import Limits

PORT = 8765
DOOR, AMOUNTS = "Who gets in", "Limits"


@dataclass(frozen=True)
class Door:
    """Where the server answers, and to whom."""

    port: Annotated[
        int,
        typer.Option("--port", "-p", help="0: any that is free.", metavar="N", rich_help_panel=DOOR, min=0, max=65535),
    ] = PORT
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at.", metavar="ADDRESS", rich_help_panel=DOOR)
    ] = "127.0.0.1"
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            help="A name this server may be called by; needed for --host.",
            metavar="NAME",
            rich_help_panel=DOOR,
        ),
    ] = None
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page.", rich_help_panel=DOOR, metavar="")
    ] = True

    def check(self, console: Console) -> None:
        """Refuse to open the door to others unasked; say what it means."""
        from hatcli.serve.guard import is_loopback, is_name

        for name in self.allow_host or []:
            if not is_name(name):
                raise UsageError(
                    f"--allow-host {name} is no host's name", hint="name it without port: pictures.example"
                )

        if is_loopback(self.host):
            return
        if not self.allow_host:
            raise UsageError(
                f"--host {self.host} lets other machines in",
                hint="if you want that, add --allow-host NAME, the name they call this one by",
            )
        console.say(
            f"note: everybody who reaches {show(self.host)} and has the token can send pictures and see all jobs; "
            "the connection is not encrypted"
        )


@dataclass(frozen=True)
class Amounts:
    """How much is taken in and kept."""

    max_megabytes: Annotated[
        float,
        typer.Option(
            "--max-megabytes", help="Of one picture's file.", metavar="MB", rich_help_panel=AMOUNTS, min=0.001
        ),
    ] = 1024
    max_megapixels: Annotated[
        float,
        typer.Option("--max-megapixels", help="Of one picture.", metavar="MP", rich_help_panel=AMOUNTS, min=0.001),
    ] = 178.956970
    max_jobs: Annotated[
        int, typer.Option("--max-jobs", help="That wait at once.", metavar="N", rich_help_panel=AMOUNTS, min=1)
    ] = 1000
    max_disk: Annotated[
        str, typer.Option("--max-disk", help="For pictures and results.", rich_help_panel=AMOUNTS, metavar="BYTES")
    ] = "50GB"
    max_days: Annotated[
        float,
        typer.Option(
            "--max-days", help="That ended jobs are kept.", metavar="DAYS", rich_help_panel=AMOUNTS, min=0.001
        ),
    ] = 7

    def limits(self) -> Limits:
        from hatcli.serve.limits import Limits, parse_bytes

        return Limits(
            max_bytes=int(self.max_megabytes * 1e6),
            max_pixels=max(1, round(self.max_megapixels * 1e6)),
            max_jobs=self.max_jobs,
            max_disk=parse_bytes(self.max_disk),
            max_age=self.max_days * 86400,
        )
