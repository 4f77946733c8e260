"""The files of a folder's journal: one for each part of the pictures, appended to by one run at a time.

`.hat-journal` is there wherever hat has written results; a run over part 3 of 16 writes to `.hat-journal-3-of-16`
instead. So runs over different parts never wait for each other, and every run reads what all have written.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hatcli.atomic import write_error
from hatcli.batch.shards import WHOLE, Shard
from hatcli.errors import OutputError, UsageError
from hatcli.folder import Folder, FolderGoneError
from hatcli.outside import NotPlainError, open_plain

NAME = ".hat-journal"
_OF_A_PART = re.compile(rf"{re.escape(NAME)}-([1-9][0-9]{{0,8}})-of-([1-9][0-9]{{0,8}})")
_LOCKED_BYTE = 1 << 40  # far behind any content: Windows locks bytes against reading, too
_LONGEST_LINE = 1 << 16  # bytes; hat writes a few hundred, and lists of names up to half of this
_MOST_BYTES = 1 << 30  # of a file that is read: some millions of results
_WAIT = "wait until it has ended"
_TRIES, _PAUSE = 5, 0.1  # somebody who only looks whether a file is held, holds it for a moment


def name_of(shard: Shard) -> str:
    """Of the file that a run over this part writes."""
    return NAME if shard.is_whole else f"{NAME}-{shard.number}-of-{shard.count}"


def shard_of(name: str) -> Shard | None:
    """The part whose file has this name; None: it is no journal's file."""
    if name == NAME:
        return WHOLE
    match = _OF_A_PART.fullmatch(name)
    return Shard(int(match[1]), int(match[2])) if match else None


def files_in(root: Path) -> dict[Path, Shard]:
    """Every file of the journal of a folder, the one that was written to last at the end."""
    if not os.path.lexists(root / NAME):
        return {}
    found = {}
    try:
        listing = os.scandir(root)
    except PermissionError:  # a folder that may be written to and not listed
        return {root / NAME: WHOLE}
    with listing as entries:
        for entry in entries:
            shard = shard_of(entry.name)
            if shard is not None:
                with suppress(OSError):  # gone since it was listed
                    found[root / entry.name] = (entry.stat(follow_symlinks=False).st_mtime_ns, shard)
    return {path: shard for path, (_, shard) in sorted(found.items(), key=lambda item: (item[1][0], item[0]))}


def lines_in(root: Path) -> Iterator[str]:
    """The lines of all files of a folder's journal; a missing one has none.

    Raises:
        OutputError: there is something under such a name that cannot be read, or is no plain file.
    """
    path = root / NAME
    try:
        for path in files_in(root):
            with open_plain(path, follow=False) as file:
                yield from _lines(file)
    except FileNotFoundError:
        return
    except NotPlainError as error:
        raise OutputError(
            f"the journal {path} is not used: {error.strerror}", hint="remove it, or write elsewhere with -o"
        ) from None
    except OSError as error:
        raise write_error(path, error) from error


def _lines(file: BinaryIO) -> Iterator[str]:
    """Lines of a length that hat may have written; the rest of longer ones is passed over in pieces."""
    taken = 0
    while taken < _MOST_BYTES and (line := file.readline(_LONGEST_LINE)):
        taken += len(line)
        yield line.decode("utf-8", "replace").rstrip("\n")


def held_in(root: Path) -> list[Shard]:
    """The parts that runs are writing now."""
    return [shard for path, shard in files_in(root).items() if _is_held(path, tries=1)]


class JournalFile:
    """The file that one run appends to, and its folder, both held while results go there.

    Raises:
        UsageError: another run works on the same pictures.
        OutputError: the folder cannot be written.
    """

    def __init__(self, root: Path, shard: Shard) -> None:
        self.path = root / name_of(shard)
        self._file: BinaryIO | None = None
        self.folder = Folder(root, make=True)
        try:
            if not shard.is_whole:
                self.folder.append(NAME).close()  # whoever looks for a journal, looks for this name
            self._file = self.folder.append(self.path.name)
            self._take(root, shard)
        except BaseException:
            self.close()
            raise

    def _take(self, root: Path, shard: Shard) -> None:
        assert self._file is not None
        if not _lock_patiently(self._file):
            which = "" if shard.is_whole else f", part {shard}"
            raise UsageError(f"another run writes to {root}{which}", hint=_WAIT)
        for path, other in files_in(root).items():
            if other != shard and other.overlaps(shard) and _is_held(path):
                which = "all of it" if other.is_whole else f"part {other}"
                raise UsageError(f"another run writes to {root}, {which}", hint=_WAIT)

    def close(self) -> None:
        """Let go of file and folder."""
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take was told when it was written
                self._file.close()
            self._file = None
        self.folder.close()

    def mend(self) -> None:
        """End the line that a kill has torn."""
        assert self._file is not None, "the journal is not open"
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self.append("\n")

    def append(self, text: str, *, durable: bool = True) -> None:
        """Write at the end; returns when it is on the disk, unless it need not be `durable`.

        Raises:
            OutputError: it cannot be written.
        """
        assert self._file is not None, "the journal is not open"
        try:
            if self.folder.status(self.path.name) is None:  # nobody would know of the results that are still to come
                raise FolderGoneError(errno.ENOENT, "the journal was removed", str(self.path))
            self._file.write(text.encode("ascii"))
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error


def _is_held(path: Path, *, tries: int = _TRIES) -> bool:
    """Whether a run has the file."""
    try:
        with open_plain(path, follow=False) as file:
            return not _lock_patiently(file, shared=True, tries=tries)
    except OSError:  # gone, or not ours to read
        return False


def _lock_patiently(file: BinaryIO, *, shared: bool = False, tries: int = _TRIES) -> bool:
    for _ in range(tries - 1):
        if _lock(file, shared=shared):
            return True
        time.sleep(_PAUSE)
    return _lock(file, shared=shared)


def _lock(file: BinaryIO, *, shared: bool) -> bool:
    """Take the file for this process until it is closed; False if another one has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0, os.SEEK_END)
        else:
            import fcntl

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True
