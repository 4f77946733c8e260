"""What a run will take, before it runs: time from a short calibration, disk from what photographs usually take."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from hatcli.image.picture import Picture
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

_SIDE = 64  # pixels of the calibration picture
# Bytes a pixel of enlarged photographs at the default settings, measured on one of 64 megapixels.
_BYTES_A_PIXEL = {"PNG": 0.7, "TIFF": 0.62, "JPEG": 0.16, "WEBP": 0.045, "AVIF": 0.04, "GIF": 0.6, "BMP": 3.0}

_MOST_COMPRESSED = {"PNG": 1032, "TIFF": 1032, "JPEG": 512}  # samples in a byte: deflate's limit; a bit for 64 samples


def calibrated(upscaler: Upscaler) -> Callable[[int, int, tuple[int, ...]], float]:
    """A function from a picture's width, height and passes to seconds, by timing small pictures on this device.

    Each factor is timed when first asked for. Large pictures take rather less a pixel than the small timed ones.
    """
    seconds_a_pixel: dict[int, float] = {}

    def timed(scale: int) -> float:
        if scale not in seconds_a_pixel:
            noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3)).astype(np.uint8)
            took = []
            for _ in range(2):  # the first one warms up
                began = time.monotonic()
                upscaler.upscale(Picture(noise), Target(scale=scale))
                took.append(time.monotonic() - began)
            seconds_a_pixel[scale] = min(took) / _SIDE**2
        return seconds_a_pixel[scale]

    def seconds(width: int, height: int, passes: tuple[int, ...]) -> float:
        total, area = 0.0, width * height
        for scale in passes:
            total += timed(scale) * area
            area *= scale**2
        return total

    return seconds


def file_bytes(format: str, *, width: int, height: int, bits: int) -> int:
    """About what a file of this size and format takes on the disk."""
    deep = bits // 8 if format in ("PNG", "TIFF") else 1
    return int(width * height * _BYTES_A_PIXEL[format] * deep)


def least_bytes(format: str, *, width: int, height: int, compression: int | None = None) -> int:
    """What no file of this size and format can do with less of: gray, 8 bits, one value all over."""
    if format == "BMP" or (format in ("PNG", "TIFF") and compression == 0):
        return width * height
    return width * height // _MOST_COMPRESSED.get(format, width * height)
