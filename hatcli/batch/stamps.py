"""What files were at one time, to tell later whether they are it still."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from hatcli.batch.reading import Stamp
from hatcli.outside import open_plain

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


def is_one_of(path: Path, stamps: list[Stamp]) -> bool:
    """Whether a plain file is what one of these stamps says."""
    return not path.is_symlink() and any(is_still(path, stamp, trust_time=True) for stamp in stamps)


def is_still(path: Path, stamp: Stamp, *, trust_time: bool) -> bool:
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
