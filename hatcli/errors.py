"""What can go wrong in a way the user can act on: one message, one hint, one exit code."""

from __future__ import annotations


class HatError(Exception):
    """A failure the user can do something about; the command line prints it as two lines, never as a traceback.

    Args:
        message: what happened, one line, no trailing full stop.
        hint: what to do or type next, one line, or None where nothing useful can be said.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(HatError):
    """A picture that cannot be read, or cannot be read faithfully."""

    exit_code = 1


class UsageError(HatError):
    """A command that cannot be meant: a missing input, an output that exists, a device that is not there."""

    exit_code = 2


class WeightsError(HatError):
    """Weights that are missing, wrong, unverified or unreachable."""

    exit_code = 3


class MemoryLimitError(HatError):
    """Out of memory even at the smallest tile."""

    exit_code = 4


class OutputError(HatError):
    """An output that cannot be written: disk full, read-only, or a format that cannot hold the picture."""

    exit_code = 5
