"""What was made, from which file, with which settings: so that a second run skips exactly what is still true.

One append-only file of JSON lines, `.hat-journal`, hidden in the folder the results go to. Not SQLite: a line is
written once and never changed, so a torn last line (the only damage a kill can do) is seen and passed over; there are
no side files; it works on network drives, where SQLite's locks are not to be trusted; `grep` can read it.

A line is written and flushed to the disk *before* the finished temporary file takes its final name. So every result
that ever appears is known here, whatever the instant of a kill; a line whose result never appeared, or looks different
now, simply means that the work is done again. Lines:

    {"run": "<digest>", "settings": {...}}                                  once for each way of making results
    {"output": "a/b_x4.png", "run": "<digest>", "input": "/abs/a/b.png",
     "from": [bytes, nanoseconds, "sha256"], "made": [bytes, nanoseconds, "sha256"]}
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from hatcli.atomic import write_error
from hatcli.batch.reading import Stamp
from hatcli.errors import UsageError

NAME = ".hat-journal"
_LOCKED_BYTE = 1 << 40  # far behind any content: Windows locks bytes against reading, too


class Journal:
    """The journal of the results below one folder.

    Args:
        root: the folder.
        settings: everything that decides what a result looks like; JSON can hold it.
    """

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self.path = root / NAME
        self._root, self._settings = root, settings
        canonical = json.dumps(settings, sort_keys=True)
        self._run = hashlib.sha256(canonical.encode()).hexdigest()[:16]
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._lines: dict[str, str] = {}
        self._runs: set[str] = set()
        self._read()

    def _read(self) -> None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise write_error(self.path, error) from error
        for line in content.decode("utf-8", "replace").split("\n"):
            fields = _fields(line)
            if "settings" in fields:
                self._runs.add(str(fields.get("run")))
            elif isinstance(fields.get("output"), str):
                self._lines[fields["output"]] = line  # a hundred thousand as text take a third of what dicts would

    def open(self) -> None:
        """Make ready to record; what another run may have recorded meanwhile is read again.

        Raises:
            UsageError: another run writes to this folder.
            OutputError: the folder cannot be written.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "ab+")  # noqa: SIM115  (open as long as the run)
        except OSError as error:
            raise write_error(self.path, error) from error
        if not _lock(self._file):
            self._file.close()
            self._file = None
            raise UsageError(f"another run writes to {self._root}", hint="wait until it has ended")
        self._read()
        if self._file.tell() and not _ends_with_newline(self._file):
            self._append_text("\n")  # ends the line a kill has torn
        if self._run not in self._runs:
            self._append({"run": self._run, "settings": self._settings})

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def knows(self, output: Path) -> bool:
        """Whether a run has made, or was about to make, a result of this name: it may be replaced."""
        return self._key(output) in self._lines

    def is_finished(self, output: Path, source: Path) -> bool:
        """Whether the result is there as it was made, from this very input, with these very settings."""
        fields = _fields(self._lines.get(self._key(output), ""))
        made, origin = _stamp(fields.get("made")), _stamp(fields.get("from"))
        if fields.get("run") != self._run or made is None or origin is None:
            return False
        moved = fields.get("input") != str(source.absolute())
        return _is_still(output, made, trust_time=True) and _is_still(source, origin, trust_time=not moved)

    def record(self, output: Path, source: Path, *, origin: Stamp, made: Stamp) -> None:
        """Note a result that is about to take its name; returns when the note is on the disk."""
        key = self._key(output)
        self._append(
            {
                "output": key,
                "run": self._run,
                "input": str(source.absolute()),
                "from": [origin.size, origin.modified, origin.sha256],
                "made": [made.size, made.modified, made.sha256],
            },
            key=key,
        )

    def _key(self, output: Path) -> str:
        return Path(os.path.relpath(output, self._root)).as_posix()

    def _append(self, fields: Mapping[str, Any], *, key: str | None = None) -> None:
        line = json.dumps(fields)  # ASCII: names that are not UTF-8 survive as escapes
        with self._lock:
            self._append_text(line + "\n")
            if key is not None:
                self._lines[key] = line

    def _append_text(self, text: str) -> None:
        assert self._file is not None, "the journal is not open"
        try:
            self._file.write(text.encode("ascii"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error


def stamp_file(path: Path) -> Stamp:
    """The stamp of a file as it is now."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
    return Stamp(status.st_size, status.st_mtime_ns, digest.hexdigest())


def _fields(line: str) -> dict[str, Any]:
    """What a line says; nothing if it is torn."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _stamp(values: Any) -> Stamp | None:
    match values:
        case [int(size), int(modified), str(sha256)]:
            return Stamp(size, modified, sha256)
    return None


def _is_still(path: Path, stamp: Stamp, *, trust_time: bool) -> bool:
    """Whether a file is what it was: by size and time, or by content where the time is another."""
    try:
        status = path.stat()
        if status.st_size != stamp.size:
            return False
        if trust_time and status.st_mtime_ns == stamp.modified:
            return True
        return stamp_file(path).sha256 == stamp.sha256
    except OSError:
        return False


def _ends_with_newline(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _lock(file: BinaryIO) -> bool:
    """Take the file for this process until it is closed; False if another one has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0, os.SEEK_END)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True
