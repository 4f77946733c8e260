"""About how large pictures are, told from their files' sizes, so that a hundred thousand need no look inside."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence

from hatcli.batch.plan import Job

_BYTES_A_PIXEL = {  # of photographs
    ".png": 1.8, ".jpg": 0.35, ".jpeg": 0.35, ".webp": 0.15, ".avif": 0.1, ".heic": 0.12, ".jxl": 0.2, ".gif": 0.7,
    ".jp2": 0.5,
}  # fmt: skip
_PLAIN = 3.0  # of TIFF, BMP and whatever else


def sizes_of(jobs: Sequence[Job]) -> Sequence[float]:
    """About how many pixels each picture has."""
    sizes = array("d")
    for job in jobs:
        path = job.source.path
        try:
            size = 0 if path is None else os.stat(path).st_size  # noqa: PTH116
        except OSError:  # it will be reported when its turn comes
            size = 0
        sizes.append(size / _BYTES_A_PIXEL.get("" if path is None else path.suffix.lower(), _PLAIN))
    return sizes
