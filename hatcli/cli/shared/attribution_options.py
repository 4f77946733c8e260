"""Options of `hat attribute` as a group: where is looked, and how closely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from hatcli.attribution.lam import Window

At = Annotated[
    str | None,
    typer.Option("--at", help="The window's top left corner in output pixels. Default: the strongest edge.",
                 metavar="X,Y"),
]  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Where is looked, and how closely."""

    at: At = None
    window: Annotated[
        int, typer.Option("--window", help="Side of the window in output pixels.", metavar="N", min=1)
    ] = 16
    steps: Annotated[int, typer.Option("--steps", help="Steps along the blurring path.", metavar="N", min=1)] = 50
    regions: Annotated[
        int, typer.Option("--regions", help="Mean index over this many more windows.", metavar="N", min=0)
    ] = 0
    features: Annotated[
        bool, typer.Option("--features", help="Also the maps after each group and their blocking.", metavar="")
    ] = False

    def corner(self) -> tuple[int, int] | None:
        """`--at` as x and y."""
        if self.at is None:
            return None
        parts = [part.strip() for part in self.at.split(",")]
        if len(parts) != 2 or not all(part.isascii() and part.isdecimal() for part in parts):
            hint = "write it as --at 110,150: x, then y, in output pixels"
            raise UsageError(f"--at {self.at} is not a place", hint=hint)
        return int(parts[0]), int(parts[1])

    def windows(self, values: Tensor, factor: int) -> tuple[Window, list[Window]]:
        """The window that is drawn, and those whose mean is wanted."""
        from hatcli.attribution.regions import drawn, window_at

        chosen = window_at(self.corner(), values, scale=factor, side=self.window)
        return chosen, drawn(values, self.regions, scale=factor, side=self.window) if self.regions else []
