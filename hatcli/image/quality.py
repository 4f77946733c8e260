"""How hard a JPEG was compressed, told by its own quantisation table; opens no file."""

from __future__ import annotations

import numpy as np
from PIL import Image, JpegImagePlugin

# Luminance steps of ITU-T T.81, table K.1, in row order: what the common encoders scale by their quality.
_STEPS = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip


def jpeg_quality(image: Image.Image) -> int | None:
    """The quality, 1 to 100, whose luminance table is nearest to that of an opened JPEG; None for anything else."""
    tables = image.quantization if isinstance(image, JpegImagePlugin.JpegImageFile) else {}
    if len(tables.get(0, ())) != 64:
        return None
    table = np.asarray(tables[0])
    return min(range(1, 101), key=lambda quality: int(np.abs(scaled_steps(quality) - table).sum()))


def scaled_steps(quality: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The Independent JPEG Group's table for a quality, in row order."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    table: np.ndarray[tuple[int], np.dtype[np.int64]] = np.clip((_STEPS * percent + 50) // 100, 1, 255)
    return table
