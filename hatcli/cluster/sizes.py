"""About how large pictures are, told from their files' sizes, so that a hundred thousand need no look inside."""

from __future__ import annotations

import os

from hatcli.batch.plan import Job

_BYTES_A_PIXEL = {  # of photographs
    ".png": 1.8, ".jpg": 0.35, ".jpeg": 0.35, ".webp": 0.15, ".avif": 0.1, ".heic": 0.12, ".jxl": 0.2, ".gif": 0.7,
    ".jp2": 0.5,
}  # fmt: skip
_PLAIN = 3.0  # of TIFF, BMP and whatever else


def size_of(job: Job) -> float:
    """About how many pixels a picture has."""
    source = job.source
    return bytes_of(job) / _BYTES_A_PIXEL.get(source.relative.suffix.lower(), _PLAIN)


def bytes_of(job: Job) -> int:
    """How large a picture's file, or object, is; 0 where that cannot be told without asking."""
    source = job.source
    if source.stored is not None:
        return 0 if source.stored.seen is None else source.stored.seen.size
    try:
        return 0 if source.path is None else os.stat(source.path).st_size  # noqa: PTH116
    except OSError:  # it will be reported when its turn comes
        return 0
