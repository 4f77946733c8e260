"""One way through a lossy encoder and back, for degradations: JPEG, WebP, AVIF."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
QUICKEST_WEBP, QUICKEST_AVIF = 0, 10  # effort; training makes a patch in about a millisecond


def jpeg(pixels: Pixels, *, quality: int, subsampling: int) -> Pixels:
    """`[H, W, 3]` uint8 through a JPEG encoder and back; subsampling as Pillow counts: 0 is 4:4:4, 2 is 4:2:0."""
    return _there_and_back(pixels, "JPEG", quality=quality, subsampling=subsampling)


def webp(pixels: Pixels, *, quality: int) -> Pixels:
    """`[H, W, 3]` uint8 through WebP's lossy encoder and back; its colour is always at half resolution."""
    return _there_and_back(pixels, "WEBP", quality=quality, method=QUICKEST_WEBP)


def avif(pixels: Pixels, *, quality: int) -> Pixels:
    """`[H, W, 3]` uint8 through AVIF's encoder (4:2:0) and back."""
    return _there_and_back(pixels, "AVIF", quality=quality, speed=QUICKEST_AVIF, max_threads=1)


def _there_and_back(pixels: Pixels, encoder: str, **options: Any) -> Pixels:
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, encoder, **options)
    with Image.open(packed) as picture:
        return np.asarray(picture.convert("RGB"))
