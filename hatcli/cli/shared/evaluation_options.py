"""Options of `hat evaluate` as groups: what is scored, and how scores are printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared import options
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.evaluation.benchmarks import Benchmark

Folders = Annotated[
    list[Path] | None,
    typer.Argument(help="Folders of large pictures: the truth.", metavar="FOLDER...", show_default=False),
]
LowFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--lr", help="Folder of the small pictures, one for each FOLDER; without it MATLAB's bicubic makes them.",
        metavar="FOLDER", rich_help_panel=options.FILES,
    ),
]  # fmt: skip
Card = Annotated[
    bool,
    typer.Option(
        "--card", help="Score a drawn test card too: how jagged slanted lines and circles are, and small text.",
        metavar="", rich_help_panel=options.FILES,
    ),
]  # fmt: skip
Scales = Annotated[
    str,
    typer.Option("-s", "--scale", help="Several with commas.", metavar="2|3|4|8,...", rich_help_panel=options.SIZE),
]
Paper = Annotated[
    bool,
    typer.Option("--paper", help="Set published numbers beside ours.", metavar="", rich_help_panel=options.RUN),
]


@dataclass(frozen=True)
class Sets:
    """What is scored."""

    folders: Folders = None
    scale: Scales = "4"
    lr: LowFolders = None
    card: Card = False

    def scales(self) -> list[int]:
        """The factors."""
        from hatcli.evaluation.benchmarks import parse_scales

        return parse_scales(self.scale)

    def given(self) -> dict[str, bool]:
        """What was asked for, by the names of the options."""
        return {"a folder": bool(self.folders), "--lr": bool(self.lr), "--card": self.card}

    def benchmarks(self) -> list[Benchmark]:
        """Every set at every scale, and the card."""
        from hatcli.evaluation.benchmarks import card_benchmarks, find_benchmarks

        if not self.folders and not self.card:
            raise UsageError("no folder of pictures was named", hint="try hat evaluate Set5, or --card")
        scales = self.scales()
        found = find_benchmarks(self.folders or [], self.lr or [], scales=scales)
        return [*found, *(card_benchmarks(scales) if self.card else [])]


@dataclass(frozen=True)
class Forms:
    """How scores are printed."""

    paper: Paper = False
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object.", metavar="", rich_help_panel=options.RUN)
    ] = False
    csv: Annotated[
        bool, typer.Option("--csv", help="CSV, full precision.", metavar="", rich_help_panel=options.RUN)
    ] = False
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown.", metavar="", rich_help_panel=options.RUN)] = (
        False
    )

    def chosen(self) -> str:
        """The one that was asked for, or `table`."""
        wanted = {"json": self.as_json, "csv": self.csv, "markdown": self.markdown}
        asked = [form for form, is_wanted in wanted.items() if is_wanted]
        if len(asked) > 1:
            raise UsageError(f"--{' and --'.join(asked)} contradict each other", hint="give one of them")
        return asked[0] if asked else "table"
