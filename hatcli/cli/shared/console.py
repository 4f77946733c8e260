"""What people see on the terminal: the only file that knows rich. Results go to stdout, all of this to stderr."""

from __future__ import annotations

import functools
import os
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ParamSpec

import typer

from hatcli.errors import HatError

P = ParamSpec("P")
INTERRUPTED, TERMINATED = 130, 143  # exit codes, 128 + signal


class Terminated(BaseException):
    """SIGTERM arrived: unwind like Ctrl-C, so that temporary files go."""


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
        """Progress of a run over `pictures`; on a terminal only."""
        if not self.progress:
            yield Bars(None, pictures)
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeRemainingColumn(),
        )
        progress = Progress(
            *columns,
            console=RichConsole(stderr=True, highlight=False),
            transient=True,
            speed_estimate_period=3600,  # a step of a large network can take longer than rich's half minute
        )
        with progress:
            yield Bars(progress, pictures)

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

    def __init__(self, progress: Any, pictures: int) -> None:
        self._progress, self._pictures, self._finished = progress, pictures, 0
        if progress is not None:
            self._all = progress.add_task("pictures", total=pictures, detail=f"0/{pictures}", visible=pictures > 1)
            self._one = progress.add_task("", total=1.0, detail="")

    def picture(self, name: str) -> None:
        """A new picture begins."""
        if self._progress is not None:
            label = show(name)
            self._progress.reset(self._one, description=label[:40], detail="")

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
            self._progress.update(self._all, completed=self._finished, detail=f"{self._finished}/{self._pictures}")


def print_error(text: str) -> None:
    """A line on stderr, whatever its encoding."""
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stderr.flush()


def command(function: Callable[P, None]) -> Callable[P, None]:
    """The one error boundary: what a command raises becomes lines on stderr and an exit code.

    HatErrors print in two lines (`-v` adds the traceback); Ctrl-C exits 130, SIGTERM 143, a closed pipe quietly.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            if hasattr(signal, "SIGTERM"):
                signal.signal(signal.SIGTERM, _terminate)
            function(*args, **kwargs)
        except HatError as error:
            if kwargs.get("verbose"):
                import traceback

                for line in traceback.format_exc().splitlines():
                    print_error(show(line))
            Console().error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print_error("interrupted; finished files stay")
            raise typer.Exit(INTERRUPTED) from None
        except Terminated:
            print_error("terminated; finished files stay")
            raise typer.Exit(TERMINATED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None

    return guarded


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
