"""One way through a JPEG encoder and back, for degradations."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def jpeg(pixels: Pixels, *, quality: int, subsampling: int) -> Pixels:
    """`[H, W, 3]` uint8 through a JPEG encoder and back; subsampling as Pillow counts: 0 is 4:4:4, 2 is 4:2:0."""
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(packed) as picture:
        return np.asarray(picture.convert("RGB"))
