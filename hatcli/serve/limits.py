"""How much the server takes in and keeps, and what it says when that is too much."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hatcli.errors import HatError, UsageError
from hatcli.image.formats import MOST_PIXELS

FULL = 507  # the status of what the disk has no room for
SPARE = 64 << 20  # bytes of the disk that are left alone; of a small one, a twentieth


@dataclass(frozen=True)
class Limits:
    """What is accepted.

    Attributes:
        max_bytes: of one picture.
        max_pixels: of one picture.
        max_jobs: that wait or run.
        max_disk: bytes of all pictures and results that are kept.
        max_age: seconds that an ended job is kept.
        patience: seconds a worker may be silent, and a client in the middle of an upload.
    """

    max_bytes: int = 1 << 30
    max_pixels: int = MOST_PIXELS
    max_jobs: int = 1000
    max_disk: int = 50 << 30
    max_age: float = 7 * 86400.0
    patience: float = 600.0
    upload_patience: float = 60.0


class RefusedError(HatError):
    """A request that is not served; `status` is what HTTP calls it."""

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def too_large(limits: Limits) -> RefusedError:
    """For an upload beyond the limit."""
    return RefusedError(
        413,
        f"the picture is larger than {limits.max_bytes / 1e6:g} MB",
        hint="enlarge it with hat upscale, or start hat serve with a larger --max-megabytes",
    )


def disk_full() -> RefusedError:
    """For what the disk has no room for."""
    return RefusedError(FULL, "the server's disk is full", hint="remove ended jobs, or free some space")


def parse_bytes(text: str) -> int:
    """`50GB`, `800 MB` or a bare number of bytes.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", text.upper())
    if match is None:
        raise UsageError(f"{text!r} is not an amount of bytes", hint="write it as 50GB or 800MB")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** " KMGT".index(match[2] or " "))
