"""Help in a quarter of a second: what typer imports for it and this program never uses is left out."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

_HELP = ("-h", "--help")
_UNUSED = "rich.markdown"  # a whole Markdown parser, a third of the time; help here is in rich's own markup


def prepare(arguments: list[str]) -> None:
    """Import what typer needs to print help, if the arguments ask for help, without the Markdown parser.

    A stand-in takes the parser's place during the import alone, and fetches the real one should anybody ask for it.
    """
    if arguments and not any(argument in _HELP for argument in arguments):
        return
    if _UNUSED in sys.modules or "typer.rich_utils" in sys.modules:
        return
    stand_in: Any = ModuleType(_UNUSED)
    stand_in.Markdown = _Markdown
    sys.modules[_UNUSED] = stand_in
    try:
        import typer.rich_utils  # noqa: F401
    finally:
        del sys.modules[_UNUSED]


class _Markdown:
    def __new__(cls, *arguments: Any, **options: Any) -> Any:
        from rich.markdown import Markdown

        return Markdown(*arguments, **options)
