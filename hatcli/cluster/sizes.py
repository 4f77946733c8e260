"""About how large pictures are, told from their files' sizes, so that a hundred thousand need no look inside."""

from __future__ import annotations

from hatcli.batch.plan import Job

_BYTES_A_PIXEL = {  # of photographs
    ".png": 1.8, ".jpg": 0.35, ".jpeg": 0.35, ".webp": 0.15, ".avif": 0.1, ".heic": 0.12, ".jxl": 0.2, ".gif": 0.7,
    ".jp2": 0.5,
}  # fmt: skip
_PLAIN = 3.0  # of TIFF, BMP and whatever else


def size_of(job: Job) -> float:
    """About how many pixels a picture has."""
    return job.source.bytes / bytes_a_pixel(ending_of(job))


def ending_of(job: Job) -> str:
    """What the name of a picture ends in, with the dot, in small letters."""
    return job.source.relative.suffix.lower()


def bytes_a_pixel(ending: str) -> float:
    """About how many bytes files of this ending have for a pixel."""
    return _BYTES_A_PIXEL.get(ending, _PLAIN)
