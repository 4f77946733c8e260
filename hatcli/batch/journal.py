"""What was made, from which file, with which settings: so that a second run skips exactly what is still true.

One append-only file of JSON lines, `.hat-journal`, hidden in the folder the results go to. Not SQLite: a line is
written once and never changed, so a torn last line (the only damage a kill can do) is seen and passed over; there are
no side files; it works on network drives, where SQLite's locks are not to be trusted; `grep` can read it.

A line is written and flushed to the disk *before* the finished temporary file takes its final name. So every result
that ever appears is known here, whatever the instant of a kill; a line whose result never appeared, or looks different
now, simply means that the work is done again. Lines:

    {"run": "<digest>", "settings": {...}}                                  once for each way of making results
    {"output": "a/b_x4.png", "run": "<digest>", "input": "/abs/a/b.png", "model": "hat-t", "weights": "<digest>",
     "jpeg_quality": null, "factor": 4.0,
     "from": [bytes, nanoseconds, "sha256"], "made": [bytes, nanoseconds, "sha256"]}
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from hatcli.atomic import write_error
from hatcli.batch.reading import Stamp
from hatcli.errors import OutputError, UsageError
from hatcli.folder import Folder, FolderGoneError
from hatcli.outside import NotPlainError, open_plain

NAME = ".hat-journal"
NO_WEIGHTS = ""
_LOCKED_BYTE = 1 << 40  # far behind any content: Windows locks bytes against reading, too
_BLOCK = 1 << 20  # bytes
_LONGEST_LINE = 1 << 16  # bytes; hat writes a few hundred
_MOST_BYTES = 1 << 30  # of a journal that is read: some millions of results


class Records:
    """What the journal of one folder says; a missing one says nothing.

    Args:
        root: the folder.

    Raises:
        OutputError: there is something under the journal's name that cannot be read, or is no plain file.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / NAME
        self._root = root
        self._lines: dict[str, str] = {}  # a hundred thousand as text take a third of what dicts would
        self._earlier: dict[str, list[str]] = {}
        self._runs: set[str] = set()
        self._read()

    def _read(self) -> None:
        self._lines.clear()
        self._earlier.clear()
        try:
            with open_plain(self.path, follow=False) as file:
                for line in _lines(file):
                    self._take(line)
        except FileNotFoundError:
            return
        except NotPlainError as error:
            raise OutputError(
                f"the journal {self.path} is not used: {error.strerror}", hint="remove it, or write elsewhere with -o"
            ) from None
        except OSError as error:
            raise write_error(self.path, error) from error

    def _take(self, line: str) -> None:
        fields = _fields(line)
        if "settings" in fields:
            self._runs.add(str(fields.get("run")))
        elif isinstance(key := fields.get("output"), str):
            self._note(key, line)

    def _note(self, key: str, line: str) -> None:
        before = self._lines.get(key)
        if before is not None and before != line:
            self._earlier.setdefault(key, []).append(before)
        self._lines[key] = line

    def knows(self, output: Path) -> bool:
        """Whether a run has made, or was about to make, a result of this name."""
        return self._key(output) in self._lines

    def source_of(self, output: Path) -> str | None:
        """The absolute path of the picture that a result was last made from."""
        source = _fields(self._lines.get(self._key(output), "")).get("input")
        return source if isinstance(source, str) else None

    def has_made(self, output: Path) -> bool:
        """Whether what is there under this name is what a run made, unchanged: it may be replaced."""
        key = self._key(output)
        lines = [self._lines[key], *self._earlier.get(key, [])] if key in self._lines else []
        stamps = [stamp for line in lines if (stamp := _stamp(_fields(line).get("made"))) is not None]
        return _is_one_of(output, stamps)

    def _key(self, output: Path) -> str:
        return Path(os.path.relpath(output, self._root)).as_posix()


class Journal(Records):
    """The journal of the results below one folder, and that folder itself, held open while results go there.

    Args:
        root: the folder.
        settings: everything but the model that decides what a result looks like; JSON can hold it.
        weights_for: the digest of the weights that a picture gets now, by its quality as JPEG and its factor. So a
            picture is finished or not whatever others lie beside it.
    """

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, Any],
        weights_for: Callable[[int | None, float | None], str] = lambda quality, factor: NO_WEIGHTS,
    ) -> None:
        self._settings, self._weights_for = settings, weights_for
        canonical = json.dumps(settings, sort_keys=True)
        self._run = hashlib.sha256(canonical.encode()).hexdigest()[:16]
        self._file: BinaryIO | None = None
        self._folder: Folder | None = None
        self._lock = threading.Lock()
        super().__init__(root)

    def open(self) -> None:
        """Make ready to record; what another run may have recorded meanwhile is read again.

        Raises:
            UsageError: another run writes to this folder.
            OutputError: the folder cannot be written.
        """
        try:
            self._folder = Folder(self._root, make=True)
            self._file = self._folder.append(NAME)
        except OSError as error:
            self.close()
            raise write_error(self.path, error) from error
        if not _lock(self._file):
            self.close()
            raise UsageError(f"another run writes to {self._root}", hint="wait until it has ended")
        self._read()
        if self._file.seek(0, os.SEEK_END) and not _ends_with_newline(self._file):
            self._append_text("\n")  # ends the line a kill has torn
        if self._run not in self._runs:
            self._append({"run": self._run, "settings": self._settings})

    def close(self) -> None:
        """Let go of file and folder."""
        for held in (self._file, self._folder):
            if held is not None:
                held.close()
        self._file = self._folder = None

    def folder_of(self, output: Path) -> Folder:
        """The open folder that a result goes to, made if missing; found from the held one, never through a link.

        Raises:
            OutputError: there is no such folder and it cannot be made, or the held one is gone.
        """
        assert self._folder is not None, "the journal is not open"
        try:
            return self._folder.below(*Path(os.path.relpath(output.parent, self._root)).parts)
        except OSError as error:
            raise write_error(output.parent if isinstance(error, FolderGoneError) else output, error) from error

    def is_finished(self, output: Path, source: Path) -> bool:
        """Whether the result is there as it was made, from this very input, with these very settings."""
        return self._is_of(output, source) and _is_one_of(output, self._made(output))

    def was_changed(self, output: Path, source: Path) -> bool:
        """Whether the result was made from this very input with these very settings, and somebody changed it since."""
        return self._is_of(output, source) and os.path.lexists(output) and not self.has_made(output)

    def _is_of(self, output: Path, source: Path) -> bool:
        fields = _fields(self._lines.get(self._key(output), ""))
        origin = _stamp(fields.get("from"))
        if fields.get("run") != self._run or origin is None or not self._has_same_weights(fields):
            return False
        return _is_still(source, origin, trust_time=fields.get("input") == str(source.absolute()))

    def _made(self, output: Path) -> list[Stamp]:
        stamp = _stamp(_fields(self._lines.get(self._key(output), "")).get("made"))
        return [] if stamp is None else [stamp]

    def _has_same_weights(self, fields: Mapping[str, Any]) -> bool:
        """Whether the input, being what it was, would get the same weights now."""
        quality, factor = fields.get("jpeg_quality"), fields.get("factor")
        if not isinstance(quality, int | None) or not isinstance(factor, int | float | None):
            return False
        return bool(fields.get("weights", NO_WEIGHTS) == self._weights_for(quality, factor))

    def record(
        self, output: Path, source: Path, *, origin: Stamp, made: Stamp, made_by: Mapping[str, Any] | None = None
    ) -> None:
        """Note a result that is about to take its name; returns when the note is on the disk.

        Args:
            made_by: `model`, `weights`, and what decided on them: `jpeg_quality` and `factor`.
        """
        key = self._key(output)
        self._append(
            {
                "output": key,
                "run": self._run,
                "input": str(source.absolute()),
                **(made_by or {}),
                "from": [origin.size, origin.modified, origin.sha256],
                "made": [made.size, made.modified, made.sha256],
            },
            key=key,
        )

    def _append(self, fields: Mapping[str, Any], *, key: str | None = None) -> None:
        line = json.dumps(fields)  # ASCII: names that are not UTF-8 survive as escapes
        with self._lock:
            self._append_text(line + "\n")
            if key is not None:
                self._note(key, line)

    def _append_text(self, text: str) -> None:
        assert self._file is not None, "the journal is not open"
        assert self._folder is not None, "the journal is not open"
        try:
            if self._folder.status(NAME) is None:  # nobody would know of the results that are still to come
                raise FolderGoneError(errno.ENOENT, "the journal was removed", str(self.path))
            self._file.write(text.encode("ascii"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error


def stamp_file(path: Path) -> Stamp:
    """The stamp of a plain file as it is now."""
    with open_plain(path) as file:
        return stamp_open(file)


def stamp_open(file: BinaryIO) -> Stamp:
    """The stamp of an open file, all written to the disk's cache."""
    file.seek(0)
    status, digest = os.fstat(file.fileno()), hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return Stamp(status.st_size, status.st_mtime_ns, digest.hexdigest())


def _lines(file: BinaryIO) -> Iterator[str]:
    """Lines of a length that hat may have written; the rest of longer ones is passed over in pieces."""
    taken = 0
    while taken < _MOST_BYTES and (line := file.readline(_LONGEST_LINE)):
        taken += len(line)
        yield line.decode("utf-8", "replace").rstrip("\n")


def _fields(line: str) -> dict[str, Any]:
    """What a line says; nothing if it is torn."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _stamp(values: Any) -> Stamp | None:
    match values:
        case [int(size), int(modified), str(sha256)]:
            return Stamp(size, modified, sha256)
    return None


def _is_one_of(path: Path, stamps: list[Stamp]) -> bool:
    """Whether a plain file is what one of these stamps says."""
    return not path.is_symlink() and any(_is_still(path, stamp, trust_time=True) for stamp in stamps)


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
