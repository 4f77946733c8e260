"""The group of all commands: a picture as the first word is enlarged, mistakes are told like all other errors."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import typer
from typer.core import TyperGroup

from hatcli.cli.shared.console import Console
from hatcli.errors import HatError, UsageError

ARGUMENTS = "hatcli.arguments"  # what was typed, the command first, in a context's `meta`
PICTURE_COMMAND = "upscale"  # what `hat photo.png` means
_MISTAKES: tuple[type[Exception], ...] = tuple(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)  # Typer keeps a Click of its own, and shows but this door to it


class Program(TyperGroup):
    """`hat` itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in front where the first word is a picture, or an option of `upscale`."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if args and args[0] not in self.commands and args[0] not in own and is_for_pictures(args[0]):
            args = [PICTURE_COMMAND, *args]
        ctx.meta[ARGUMENTS] = list(args)
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and tell what was mistyped in two lines."""
        run = partial(super().main, args, prog_name, complete_var, False, windows_expand_args, **extra)
        if not standalone_mode:
            return run()
        try:
            code = run()
        except HatError as error:
            Console().error(error)
            code = error.exit_code
        except _MISTAKES as error:
            code = told(error)
        sys.exit(code if isinstance(code, int) else 0)


def is_for_pictures(word: str) -> bool:
    """Whether a first word that is no command is a file, a folder, a pattern, a list, stdin or an option."""
    return word.startswith(("-", "@")) or bool(re.search(r"[./\\*?\[]", word)) or os.path.lexists(word)


def told(mistake: Any) -> int:
    """Print a mistake that Typer found; the exit code."""
    if type(mistake).__name__ == "NoArgsIsHelpError":  # the help has been printed
        return int(mistake.exit_code)
    Console().error(explained(mistake))
    return UsageError.exit_code


def explained(mistake: Any) -> UsageError:
    """What Typer found, in this program's words."""
    context = getattr(mistake, "ctx", None)
    path = context.command_path if context is not None else "hat"
    help_hint = f"{path} --help shows what there is"
    parameter = getattr(mistake, "param", None)
    name = type(mistake).__name__
    if name == "NoSuchOption":
        near = difflib.get_close_matches(mistake.option_name, mistake.possibilities or (), 1)
        hint = f"did you mean {near[0]}?" if near else help_hint
        return UsageError(f"there is no option {mistake.option_name}", hint=hint)
    if name == "MissingParameter" and parameter is not None:
        return UsageError(f"{_called(parameter)} is missing", hint=help_hint)
    if parameter is not None:
        return UsageError(f"{_called(parameter)}: {_plain(mistake.message)}", hint=help_hint)
    message, _, alike = mistake.format_message().partition(" Did you mean ")
    if unknown := re.search(r"No such command '(.*)'", message):
        return UsageError(f"there is no command {unknown[1]!r}", hint=f"did you mean {alike}" if alike else help_hint)
    return UsageError(_plain(message), hint=help_hint)


def _called(parameter: Any) -> str:
    """`--scale` for an option, `IMAGE` for an argument."""
    names = [name for name in parameter.opts if name.startswith("--")]
    return names[0] if names else str(parameter.metavar or parameter.name.upper())


def _plain(message: str) -> str:
    """A message as it goes after a name: begun small, without a full stop."""
    text = " ".join(message.split()).rstrip(".")
    return text[:1].lower() + text[1:]
