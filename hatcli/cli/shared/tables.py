"""Lines that fit the terminal: tables go without columns, texts are broken between words; elsewhere lines are whole."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from shutil import get_terminal_size

GAP = "  "
NARROWEST = 30  # columns


def fitted(rows: Sequence[dict[str, str]], *, spare: Sequence[str]) -> list[str]:
    """Rows and their heads as lines of a table.

    Args:
        spare: columns it goes without, in this order, where not all fit.
    """
    columns = list(rows[0]) if rows else []
    widths: dict[str, int] = {}
    for left_out in ("", *spare):
        columns = [name for name in columns if name != left_out]
        widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
        if sum(widths.values()) + len(GAP) * (len(columns) - 1) <= width():
            break
    table = [dict(zip(columns, columns, strict=True)), *rows]
    return [GAP.join(row[name].ljust(widths[name]) for name in columns).rstrip() for row in table]


def hanging(name: str, value: str, *, indent: int) -> str:
    """A name and its value, whose further lines begin below its first."""
    return textwrap.fill(
        value,
        width=max(width(), NARROWEST),
        initial_indent=f"{name} ".ljust(indent),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def width() -> int:
    """Columns of the terminal; where there is none, more than any line has."""
    return get_terminal_size((sys.maxsize, 0)).columns
