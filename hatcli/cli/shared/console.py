"""What people see on the terminal: the only file that knows rich. Results go to stdout, all of this to stderr."""

from __future__ import annotations

import errno
import functools
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ParamSpec

import typer

from hatcli.cli.shared.interruptions import INTERRUPTED, TERMINATED, Terminated, handled
from hatcli.errors import HatError, OutputError

__all__ = ["INTERRUPTED", "TERMINATED", "Bars", "Console", "Terminated", "command", "print_error", "show"]

P = ParamSpec("P")
NOT_THE_NAME = 45  # columns of a line of progress beside the picture's name: bar, tile, times


def show(value: object) -> str:
    """Any outside string made safe to print: undecodable bytes and control characters are spelled out."""
    text = os.fsencode(value).decode("utf-8", "backslashreplace") if isinstance(value, os.PathLike) else str(value)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(
        letter
        if letter.isprintable() and unicodedata.category(letter) != "Cf"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


class Console:
    """Lines on stderr, quiet or not; plain text, so that no file name can be markup."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, progress: bool = True) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.progress = progress and not quiet and sys.stderr.isatty()

    def say(self, text: str) -> None:
        """One line for people, unless they asked for quiet."""
        if not self.quiet:
            print_error(text)

    def detail(self, text: str) -> None:
        """One line for people who asked for more."""
        if self.verbose:
            print_error(text)

    def error(self, error: HatError) -> None:
        """What happened and what to do, on two lines; said even when quiet."""
        print_error(f"error: {show(error.message)}")
        if error.hint:
            print_error(f"hint: {show(error.hint)}")

    @contextmanager
    def bars(self, pictures: int) -> Iterator[Bars]:
        """Progress of a run over `pictures`, 0: nobody knows how many; on a terminal only."""
        if not self.progress:
            yield Bars(None, pictures)
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.table import Column

        terminal = RichConsole(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            TextColumn("{task.fields[detail]}", markup=False, table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("left", table_column=Column(no_wrap=True)),
        )
        progress = Progress(
            *columns,
            console=terminal,
            transient=True,
            expand=True,
            speed_estimate_period=3600,  # a step of a large network can take longer than rich's half minute
        )
        with progress:
            yield Bars(progress, pictures, name_width=max(8, min(40, terminal.width - NOT_THE_NAME)))

    @contextmanager
    def transfer(self, name: str) -> Iterator[Callable[[str, int, int | None], None]]:
        """Progress of one download: call it with the stage, the bytes done and all bytes if known."""
        if not self.progress:
            yield lambda stage, done, total: None
            return
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=RichConsole(stderr=True, highlight=False), transient=True) as progress:
            task = progress.add_task(show(name))

            def advance(stage: str, done: int, total: int | None) -> None:
                progress.update(task, description=f"{show(name)} {stage}", completed=done, total=total)

            yield advance


class Bars:
    """One bar for the pictures and one for the tiles of the current picture."""

    def __init__(self, progress: Any, pictures: int, *, name_width: int = 40) -> None:
        self._progress, self._pictures, self._finished, self._name_width = progress, pictures, 0, name_width
        if progress is not None:
            self._all = progress.add_task(
                "pictures", total=pictures or None, detail=self._count(), visible=pictures != 1
            )
            self._one = progress.add_task("", total=1.0, detail="")

    def picture(self, name: str) -> None:
        """A new picture begins."""
        if self._progress is not None:
            label = show(name)
            if len(label) > self._name_width:
                label = "…" + label[1 - self._name_width :]  # the end of a path tells more than its beginning
            self._progress.reset(self._one, description=label, detail="")

    def tiles(self, done: float, tile: int, tiles: int) -> None:
        """The current picture's share, 0..1."""
        if self._progress is not None:
            detail = f"tile {tile}/{tiles}" if tiles > 1 else f"{done:4.0%}"
            self._progress.update(self._one, completed=done, detail=detail)
            self._progress.update(self._all, completed=self._finished + done)

    def writing(self) -> None:
        """The current picture is enlarged, and its result on the way to its file."""
        if self._progress is not None:
            self._progress.update(self._one, completed=1.0, detail="writing")

    def finished(self) -> None:
        """The current picture is done, well or not."""
        self._finished += 1
        if self._progress is not None:
            self._progress.update(self._all, completed=self._finished, detail=self._count())

    def _count(self) -> str:
        return f"{self._finished}/{self._pictures}" if self._pictures else str(self._finished)


def print_error(text: str) -> None:
    """A line on stderr, whatever its encoding; if nobody can hear it, nobody does."""
    encoding = sys.stderr.encoding or "utf-8"
    with suppress(OSError):
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stderr.flush()


def print_result(text: str) -> None:
    """A line on stdout.

    Raises:
        OutputError: it cannot be written; a pipe whose reader has gone is a BrokenPipeError.
    """
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise stdout_error(error) from error


def stdout_error(error: OSError) -> OutputError:
    """What a refusal to write stdout means; nothing is written there any more."""
    from hatcli.atomic import write_error

    _silence_stdout()
    return write_error(Path("stdout"), error)


def _silence_stdout() -> None:
    """Send what is still to be flushed nowhere, so that the interpreter does not fail at its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command(function: Callable[P, None]) -> Callable[P, None]:
    """The one error boundary: what a command raises becomes lines on stderr and an exit code.

    HatErrors print in two lines (`-v` adds the traceback); Ctrl-C exits 130, SIGTERM 143, a closed pipe quietly.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        with handled() as arrived:
            try:
                _told_apart(function, *args, **kwargs)
            except BaseException as error:
                if not arrived.code:  # else whatever was raised on the way out is its consequence
                    code = _told(error, verbose=bool(kwargs.get("verbose")))
                else:
                    ended = "interrupted" if arrived.code == INTERRUPTED else "terminated"
                    print_error(f"{ended}; finished files stay")
                    code = arrived.code
            else:
                return
        raise typer.Exit(code)

    return guarded


def _told_apart(function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a command; what the system says of stdout is no bug."""
    try:
        function(*args, **kwargs)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF) or error.filename is not None:
            raise
        raise stdout_error(error) from error


def _told(error: BaseException, *, verbose: bool) -> int:
    """Tell of what ended a command; the exit code. Bugs are raised again."""
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, HatError):
        if verbose:
            import traceback

            for line in "".join(traceback.format_exception(error)).splitlines():
                print_error(show(line))
        Console().error(error)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):  # where no handler could be set
        print_error("interrupted; finished files stay")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _silence_stdout()
        return 1
    raise error
