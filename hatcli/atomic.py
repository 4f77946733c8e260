"""Files that are whole or absent: a temporary file beside the final name, then one rename."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hatcli.errors import OutputError

PREFIX, SUFFIX = ".hat-", ".part"  # short: a 255-byte final name must not make the temporary one too long


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the name `path` when the block ends well, and leaves nothing when it does not.

    Opened with the user's umask; flushed to the disk before the rename, so that a power cut leaves the old file or the
    new one. A symbolic link at `path` is replaced, what it points to stays.

    Raises:
        OutputError: the folder is missing or read-only, the disk is full, or the name is too long.
    """
    temporary = path.parent / f"{PREFIX}{secrets.token_hex(6)}{SUFFIX}"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):  # it is gone already when all went well
            temporary.unlink()


def write_error(path: Path, error: OSError) -> OutputError:
    """What an operating system's refusal to write `path` means, in a line and a hint."""
    name = path.name
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
