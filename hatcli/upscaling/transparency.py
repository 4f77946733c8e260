"""Colour under transparent pixels: it is not seen, but a network looks at it and drags it into the visible edge."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hatcli.image.picture import Samples

BAND_PIXELS = 1 << 18  # that are worked on as float32 at once

Floats = NDArray[np.float32]


def bleed(pixels: Samples, alpha: Samples) -> Samples:
    """Give fully transparent pixels the colour of visible ones nearby; visible pixels stay as they are.

    Filled from ever coarser weighted means (Gortler et al., "The Lumigraph", 1996). Beside the result it takes less
    than six bytes a pixel: those means, the first of them at half the size.

    Args:
        pixels: `[H, W, C]`.
        alpha: `[H, W]` of the same dtype.

    Returns:
        `[H, W, C]` of the same dtype. Where nothing is visible at all, the pixels themselves.
    """
    if alpha.all() or not alpha.any():
        return pixels
    peak = np.float32(np.iinfo(alpha.dtype).max)
    means, weights = _empty_level(alpha.shape[0], alpha.shape[1], pixels.shape[2])
    for top, bottom in _bands(*alpha.shape):
        weight = (alpha[top:bottom].astype(np.float32) / peak)[..., None]
        _halve_into(means, weights, top, pixels[top:bottom].astype(np.float32), weight)
    _fill(means, weights)
    result = pixels.copy()
    for top, bottom in _bands(*alpha.shape):
        hidden = alpha[top:bottom] == 0
        if hidden.any():
            result[top:bottom][hidden] = np.rint(_spread(means, top, bottom, alpha.shape[1])[hidden])
    return result


def _fill(colour: Floats, weight: Floats) -> None:
    """Give `colour` `[H, W, C]` a value wherever its `weight` `[H, W, 1]` is 0, in place."""
    height, width = weight.shape[:2]
    if (weight > 0).all() or (height == 1 and width == 1):
        return
    means, weights = _empty_level(height, width, colour.shape[2])
    for top, bottom in _bands(height, width):
        _halve_into(means, weights, top, colour[top:bottom], weight[top:bottom])
    _fill(means, weights)
    for top, bottom in _bands(height, width):
        empty = weight[top:bottom, :, 0] <= 0
        if empty.any():
            colour[top:bottom][empty] = _spread(means, top, bottom, width)[empty]


def _empty_level(height: int, width: int, channels: int) -> tuple[Floats, Floats]:
    """Means and weights for half of a size."""
    half = ((height + 1) // 2, (width + 1) // 2)
    return np.empty((*half, channels), np.float32), np.empty((*half, 1), np.float32)


def _halve_into(means: Floats, weights: Floats, top: int, colour: Floats, weight: Floats) -> None:
    """The weighted means of a band's squares of four pixels, and their weights, at most 1; the band starts at an even
    row `top`."""
    rows, width = weight.shape[:2]
    padded = ((0, rows % 2), (0, width % 2), (0, 0))
    half = slice(top // 2, top // 2 + (rows + 1) // 2)
    fours = ((rows + 1) // 2, 2, (width + 1) // 2, 2, -1)
    sums = np.pad(colour * weight, padded).reshape(fours).sum(axis=(1, 3))
    shares = np.pad(weight, padded).reshape(fours).sum(axis=(1, 3))
    means[half] = sums / np.maximum(shares, 1e-12)
    weights[half] = np.minimum(shares, 1)


def _spread(means: Floats, top: int, bottom: int, width: int) -> Floats:
    """The rows `top` (even) to `bottom` of means at half the size, each repeated for the four pixels it stands for."""
    half = means[top // 2 : (bottom + 1) // 2]
    spread: Floats = half.repeat(2, axis=0)[: bottom - top].repeat(2, axis=1)[:, :width]
    return spread


def _bands(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Even rows at which bands start, and where they end."""
    step = max(2, BAND_PIXELS // width // 2 * 2)
    for top in range(0, height, step):
        yield top, min(top + step, height)
