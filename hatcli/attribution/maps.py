"""Attribution as pictures: density, colours, overlay; knows arrays, no networks and no files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Values = NDArray[np.float64]
Pixels = NDArray[np.uint8]
PIXEL_VARIANCE = 1 / 12  # of a unit square; the least spread a density is given, so that one pixel has one


def density(saliency: NDArray[Any]) -> Values:
    """Weighted Gaussian kernel density of `[h, w]` on its own grid over its maximum: the area of contribution.

    Scott's bandwidth with the effective number of points, as SciPy's `gaussian_kde` with weights. The points are the
    grid, so that the sum of kernels is a convolution, done exactly by FFT.
    """
    weights = np.asarray(saliency, dtype=np.float64) / float(np.sum(saliency))
    height, width = weights.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    squares = float(np.sum(weights**2))
    centred = np.stack([axis - np.sum(weights * axis) for axis in (rows, columns)]).reshape(2, -1)
    spread = (centred * weights.reshape(1, -1)) @ centred.T / max(1 - squares, 1e-12)
    scott = (1 / squares) ** (-1 / 6)  # points ** (-1 / (dimensions + 4))
    covariance = spread * scott**2
    if np.linalg.eigvalsh(covariance)[0] < 1e-6:
        covariance = covariance + PIXEL_VARIANCE * np.eye(2)
    inverse = np.linalg.inv(covariance)
    down = np.fft.fftfreq(2 * height, 1 / (2 * height))[:, None]
    right = np.fft.fftfreq(2 * width, 1 / (2 * width))[None, :]
    kernel = np.exp(-0.5 * (inverse[0, 0] * down**2 + 2 * inverse[0, 1] * down * right + inverse[1, 1] * right**2))
    shape = (2 * height, 2 * width)
    summed = np.fft.irfft2(np.fft.rfft2(weights, shape) * np.fft.rfft2(kernel), shape)[:height, :width]
    shares: Values = np.clip(summed / summed.max(), 0, 1)
    return shares


def reds(values: NDArray[Any]) -> Pixels:
    """`[h, w]` in 0..1 to RGB `[h, w, 3]`: white to red to dark red, the upper half of the map called seismic."""
    points, levels = (0.0, 0.5, 1.0), ((255, 255, 255), (255, 0, 0), (127.5, 0, 0))
    channels = [np.interp(values, points, [level[channel] for level in levels]) for channel in range(3)]
    colours: Pixels = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return colours


def enlarged(pixels: Pixels, scale: int, *, smooth: bool = False) -> Image.Image:
    """`[h, w, 3]` as an image `scale` times as large, its pixels visible unless `smooth`."""
    image = Image.fromarray(pixels)
    kind = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return image.resize((image.width * scale, image.height * scale), kind)


def outlined(image: Image.Image, *, top: int, left: int, side: int) -> Image.Image:
    """A copy with the window drawn: red between two white lines, outside its pixels."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    for distance, colour in ((1, "white"), (2, "red"), (3, "red"), (4, "white")):
        box = (left - distance, top - distance, left + side - 1 + distance, top + side - 1 + distance)
        draw.rectangle(box, outline=colour)
    return copy


def overlay(map_image: Image.Image, picture: Image.Image, *, alpha: float = 0.5) -> Image.Image:
    """The map with `alpha` of the picture, both of one size."""
    return Image.blend(map_image, picture.resize(map_image.size, Image.Resampling.BICUBIC), alpha)
