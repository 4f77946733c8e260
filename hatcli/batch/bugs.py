"""Bugs met on the way: a line for the picture they cost, the traceback in a file, and the run goes on."""

from __future__ import annotations

import platform
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

from hatcli import __version__
from hatcli.errors import HatError, MemoryLimitError
from hatcli.models import store
from hatcli.upscaling.memory import is_out_of_memory


class BugReport:
    """The bugs of one run, each written down once, in one file made for the first of them."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def failure(self, error: Exception, picture: str) -> HatError:
        """What to say of a picture for which this was raised; memory that ran out is no bug."""
        if isinstance(error, HatError):
            return error
        if isinstance(error, MemoryError) or is_out_of_memory(error):
            return MemoryLimitError(
                "the picture and its result do not fit into memory",
                hint="choose a smaller scale, or close other programs",
            )
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        where = self._write(error, picture)
        return HatError(
            f"{picture}: hat failed with {what}",
            hint=f"this is a bug in hat: please report it with {where}" if where else "this is a bug in hat",
        )

    def _write(self, error: Exception, picture: str) -> Path | None:
        """Note a bug that is not known yet; where it is, or None: it could not be written anywhere."""
        text = "".join(traceback.format_exception(error))
        steps = traceback.extract_tb(error.__traceback__)
        place = f"{type(error)} {[(step.filename, step.lineno) for step in steps]}"
        with self._lock:
            if place not in self._known:
                self._known.add(place)
                self._append(f"{picture!a}\n{text}\n")
            return self._path

    def _append(self, text: str) -> None:
        head = "" if self._path else f"hat {__version__}, Python {sys.version}, {platform.platform()}\n\n"
        name = f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 10**6:06}.txt"
        for folder in (store.root() / "bugs", Path(tempfile.gettempdir())):
            path = self._path or folder / name
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "a" if self._path else "x", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(head + text)
                self._path = path
                return
