"""What files were at one time, to tell later whether they are it still."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from hatcli.batch.places.objects import Stored
from hatcli.batch.reading import Stamp
from hatcli.outside import open_plain

Where = Path | Stored  # of an input or a result
_BLOCK = 1 << 20  # bytes


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


def identity_of(source: Where) -> str:
    """The name by which a file or an object is known wherever it is spoken of."""
    return str(source) if isinstance(source, Stored) else str(source.absolute())


def is_there(where: Where) -> bool:
    """Whether something has this name."""
    return where.stamp is not None if isinstance(where, Stored) else os.path.lexists(where)


def is_one_of(where: Where, stamps: list[Stamp]) -> bool:
    """Whether a plain file, or an object, is what one of these stamps says."""
    if isinstance(where, Path) and where.is_symlink():
        return False
    return any(is_still(where, stamp, trust_time=True) for stamp in stamps)


def is_still(where: Where, stamp: Stamp, *, trust_time: bool) -> bool:
    """Whether a file is what it was: by size and time, or by content at another time; an object by its tag."""
    if isinstance(where, Stored):
        now = where.stamp
        return now is not None and (now.size, now.sha256) == (stamp.size, stamp.sha256)
    try:
        status = where.stat()
        if status.st_size != stamp.size:
            return False
        if trust_time and status.st_mtime_ns == stamp.modified:
            return True
        return stamp_file(where).sha256 == stamp.sha256
    except OSError:
        return False
