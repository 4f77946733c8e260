"""`python -m hatcli`, the same as `hat`: what has to stand before anything is imported, then the command line."""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
from types import FrameType
from typing import Any, BinaryIO

_INTERRUPTED = 130


class _ClosedOutput(io.TextIOBase):
    """Stands where stdout is closed: whoever has a result to write there is told so."""

    @property
    def buffer(self) -> BinaryIO:
        raise self._error()

    def write(self, text: str) -> int:
        raise self._error()

    def _error(self) -> Exception:
        from hatcli.errors import OutputError

        return OutputError("stdout is closed", hint="write the result to a file")


def main() -> None:
    """Run the command line."""
    _end_quietly_when_interrupted()
    _fill_closed_streams()
    from hatcli.cli import app, quick

    quick.prepare(sys.argv[1:])
    app(prog_name="hat")


def _end_quietly_when_interrupted() -> None:
    """Ctrl-C during imports and at the very end, where there is nothing to unwind; commands set their own handler."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, b"interrupted\n")
        os._exit(_INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in the background of a script
        signal.signal(signal.SIGINT, end)
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # all is done: the code is not to become another


def _fill_closed_streams() -> None:
    """Where stdin, stdout or stderr is closed, put nothing there, lest the next file opened gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    standard: Any = sys
    if sys.stderr is None:
        standard.stderr = open(os.devnull, "w")  # noqa: SIM115  (for as long as the process lives)
    if sys.stdout is None:
        standard.stdout = _ClosedOutput()


if __name__ == "__main__":
    main()
