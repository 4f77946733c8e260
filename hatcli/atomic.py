"""Files that are whole or absent: a temporary file beside the final name, then one rename. The one way out for results.

Never through a link, never onto what is not a plain file, and, where asked, never over what is there.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hatcli.errors import OutputError, UsageError
from hatcli.folder import Folder, FolderGoneError
from hatcli.outside import NotPlainError, kind_of

PREFIX, SUFFIX = ".hat-", ".part"  # short: a 255-byte final name must not make the temporary one too long
_TEMPORARY = re.compile(r"\.hat-[0-9a-f]{12}\.part")
_TOO_YOUNG = 2.0  # seconds; a file just opened may not have its lock yet


class VanishedError(OutputError):
    """The folder for the results was removed while they were made: the next one would fail alike."""


@contextmanager
def replacing(
    path: Path, *, replace: bool | Callable[[], bool] = True, folder: Folder | None = None
) -> Iterator[BinaryIO]:
    """A file to write that takes the name `path` when the block ends well, and leaves nothing when it does not.

    Opened with the user's umask; flushed to the disk before the rename, so that a power cut leaves the old file or the
    new one. Locked as long as it is temporary, so that no other command's clean-up takes it away.

    Args:
        replace: whether a plain file that is there may be replaced; asked, if it is a function, when the new one is
            finished, which can be hours after it was begun.
        folder: the open folder of `path`, if somebody holds it; else it is opened here and held to the end.

    Raises:
        OutputError: the folder is missing, read-only or gone, the disk is full, the name is too long, or is that of
            something else than a plain file.
        UsageError: a file is there that may not be replaced.
    """
    temporary = temporary_name()
    try:
        with ExitStack() as held:
            inside = folder or held.enter_context(Folder(path.parent))
            refuse_odd(path, inside.status(path.name))
            try:
                with inside.create(temporary) as file:
                    hold(file)
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                    if sys.platform != "win32":  # an open file keeps its lock, and can be renamed
                        commit(inside, temporary, path, replace)
                if sys.platform == "win32":
                    commit(inside, temporary, path, replace)
            finally:
                with suppress(OSError):  # it is gone already when all went well
                    inside.remove(temporary)
    except OSError as error:
        raise write_error(path, error) from error


def commit(folder: Folder, temporary: str, path: Path, replace: bool | Callable[[], bool]) -> None:
    """Give a finished file its name, if it may have it.

    Raises:
        OSError: the system refuses.
        OutputError: something else than a plain file has the name.
        UsageError: a file has it that may not be replaced.
    """
    while True:
        there = folder.status(path.name)
        refuse_odd(path, there)
        if there is not None and not (replace() if callable(replace) else replace):
            raise UsageError(f"{path} is there already", hint="add --overwrite to replace it")
        try:
            folder.rename(temporary, path.name, replace=there is not None)
        except FileExistsError:
            continue  # it appeared since the look
        return


def refuse_odd(path: Path, status: os.stat_result | None) -> None:
    """Refuse to put a file in the place of a link, a device or a folder.

    Raises:
        OutputError: `status` is of such a thing.
    """
    if status is not None and (kind := kind_of(status)):
        hints = {"a device": "use -o - and let the shell send it there", "a folder": "name a file"}
        hint = hints.get(kind, "remove it, or choose another name with -o")
        raise OutputError(f"{path} is {kind}, and only plain files are replaced", hint=hint)


def temporary_name() -> str:
    """A name that nothing has and that a clean-up knows."""
    return f"{PREFIX}{secrets.token_hex(6)}{SUFFIX}"


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that was never finished."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folders: set[Path]) -> int:
    """Remove what killed runs left in these folders: temporary files that nobody holds. Returns how many."""
    removed = 0
    for path in folders:
        with suppress(OSError), Folder(path) as folder:  # missing, or not ours to list
            for name in filter(is_temporary, folder.names()):
                with suppress(OSError):  # gone meanwhile, or not ours to remove
                    removed += _remove_if_dead(folder, name)
    return removed


def _remove_if_dead(folder: Folder, name: str) -> bool:
    with folder.open(name) as file:
        if time.time() - os.fstat(file.fileno()).st_mtime <= _TOO_YOUNG or not _lock(file):
            return False
        if sys.platform != "win32":
            folder.remove(name)
    if sys.platform == "win32":
        folder.remove(name)  # refused as long as somebody has it open
    return True


def hold(file: BinaryIO) -> bool:
    """Mark a file as somebody's, until it is closed; False if somebody else has it. On Windows an open file cannot be
    removed anyway."""
    return _lock(file)  # where a file system has no locks, nothing is ever cleaned up: `_lock` fails there, too


def take(file: BinaryIO) -> bool:
    """As `hold`, but False only if somebody else has it: on a file system without locks nobody can tell."""
    return _lock(file, without_locks=True)


def _lock(file: BinaryIO, *, without_locks: bool = False) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without_locks
    return True


def write_error(path: Path, error: OSError) -> OutputError:
    """What an operating system's refusal to write `path` means, in a line and a hint."""
    name = path.name
    if isinstance(error, FolderGoneError):
        return VanishedError(
            f"the folder {path.parent} was removed while it was written to", hint="the same command begins it again"
        )
    if isinstance(error, NotPlainError):
        return OutputError(
            f"{error.filename} is not written to: {error.strerror}",
            hint="remove it, or choose another place with -o",
        )
    reasons = {
        errno.ENOSPC: (f"the disk is full while writing {name}", "free some space, or write elsewhere with -o"),
        errno.EDQUOT: (
            f"the disk quota is used up while writing {name}",
            "free some space, or write elsewhere with -o",
        ),
        errno.EFBIG: (f"{name} grows larger than files may be here", "choose a smaller scale or a smaller format"),
        errno.EACCES: (f"no permission to write {path}", "choose another place with -o"),
        errno.EPERM: (f"no permission to write {path}", "choose another place with -o"),
        errno.EROFS: (f"{path.parent} is read-only", "choose another place with -o"),
        errno.ENOENT: (f"there is no folder {path.parent}", "make it first, or choose another place with -o"),
        errno.ENOTDIR: (f"{path.parent} is not a folder", "choose another place with -o"),
        errno.EISDIR: (f"{path} is a folder", "name a file"),
        errno.ENAMETOOLONG: (f"the name {name} is too long", "name the output with -o"),
    }
    if error.errno == errno.ENOENT and path.parent.is_dir():
        return OutputError(f"nothing can be written in {path.parent}", hint="choose another place with -o")
    message, hint = reasons.get(error.errno or 0, (f"{name} cannot be written: {error.strerror or error}", None))
    return OutputError(message, hint=hint)
