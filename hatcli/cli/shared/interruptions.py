"""Ctrl-C, SIGTERM and SIGHUP while a command works: unwind once, and never in the middle of unwinding."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
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
        self._is_held = False
        self._waiting: BaseException | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, what arrives waits; it is raised in the end."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                raise waiting

    def _raise(self, interruption: BaseException) -> None:
        if not self._is_held:
            raise interruption
        self._waiting = interruption

    def interrupted(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGINT."""
        self.count += 1
        if self.count == 1:
            self.code = self.code or INTERRUPTED
            self._raise(KeyboardInterrupt())
            return
        if self.count == 2:
            _say("finishing what is being written; Ctrl-C once more ends at once\n")
            return
        _say(_SHOW_CURSOR if sys.stderr.isatty() else "")
        os._exit(INTERRUPTED)

    def terminated(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGTERM, and of SIGHUP, which comes when the terminal is closed."""
        if not self.code:
            self.code = 128 + number
            self._raise(Terminated())


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, text.encode("ascii"))  # not through sys.stderr, in the middle of which this may be called


_here: list[Interruptions] = []  # of the commands that work now, one inside the other


def undisturbed() -> AbstractContextManager[object]:
    """Inside, signals to the command that works now wait; keep it short."""
    return _here[-1].held() if _here else nullcontext()


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
    _here.append(here)
    try:
        yield here
    finally:
        _here.remove(here)
        for number, old in before.items():
            signal.signal(number, old)
