"""Colour under transparent pixels: it is not seen, but a network looks at it and drags it into the visible edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hatcli.image.picture import Samples


def bleed(pixels: Samples, alpha: Samples) -> Samples:
    """Give fully transparent pixels the colour of visible ones nearby; visible pixels stay as they are.

    Args:
        pixels: `[H, W, C]`.
        alpha: `[H, W]` of the same dtype.

    Returns:
        `[H, W, C]` of the same dtype. Where nothing is visible at all, the pixels themselves.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    peak = np.iinfo(alpha.dtype).max
    filled: NDArray[np.float32] = _pull_push(
        pixels.astype(np.float32), (alpha.astype(np.float32) / np.float32(peak))[..., None]
    )
    result = pixels.copy()
    result[hidden] = np.rint(filled[hidden])
    return result


def _pull_push(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill where `weight` is 0 from ever coarser weighted means (Gortler et al., "The Lumigraph", 1996)."""
    height, width = weight.shape[:2]
    if (weight > 0).all() or (height == 1 and width == 1):
        return colour
    padded = ((0, height % 2), (0, width % 2), (0, 0))
    sums = np.pad(colour * weight, padded).reshape((height + 1) // 2, 2, (width + 1) // 2, 2, -1).sum(axis=(1, 3))
    weights = np.pad(weight, padded).reshape((height + 1) // 2, 2, (width + 1) // 2, 2, 1).sum(axis=(1, 3))
    coarse = _pull_push(sums / np.maximum(weights, 1e-12), np.minimum(weights, 1))
    spread = coarse.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width]
    return np.where(weight > 0, colour, spread)
