"""Ctrl-C, SIGTERM and SIGHUP while a command works: unwind once, and never in the middle of unwinding."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143  # exit codes, 128 + signal
_SHOW_CURSOR = "\x1b[?25h"


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: unwind like Ctrl-C, so that temporary files go."""


class Interruptions:
    """What has arrived while a command works.

    The first Ctrl-C raises KeyboardInterrupt. The second one, while what is being written is finished, says so; the
    third ends the process at once.
    """

    def __init__(self) -> None:
        self.count = 0
        self.code = 0  # to exit with; 0: nothing has arrived

    def interrupted(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGINT."""
        self.count += 1
        if self.count == 1:
            self.code = self.code or INTERRUPTED
            raise KeyboardInterrupt
        if self.count == 2:
            _say("finishing what is being written; Ctrl-C once more ends at once\n")
            return
        _say(_SHOW_CURSOR if sys.stderr.isatty() else "")
        os._exit(INTERRUPTED)

    def terminated(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGTERM, and of SIGHUP, which comes when the terminal is closed."""
        if not self.code:
            self.code = 128 + number
            raise Terminated


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, text.encode("ascii"))  # not through sys.stderr, in the middle of which this may be called


@contextmanager
def handled() -> Iterator[Interruptions]:
    """Handle these signals inside; outside is as it was."""
    here = Interruptions()
    if threading.current_thread() is not threading.main_thread():
        yield here
        return
    before = {}
    wanted = (("SIGINT", here.interrupted), ("SIGTERM", here.terminated), ("SIGHUP", here.terminated))
    for name, handler in wanted:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield here
    finally:
        for number, old in before.items():
            signal.signal(number, old)
