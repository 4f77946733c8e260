"""The part of a large picture that is worth comparing: as large as asked for, where there is most detail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hatcli.errors import InputError, UsageError

LARGEST_WHOLE = 1 << 24  # pixels of a result that is compared whole: 4096 x 4096
PART = 1 << 23  # pixels of what is compared of larger ones: seconds of work with a small model, some megabytes


@dataclass(frozen=True)
class Crop:
    """A part of a picture by its left column, top row and size, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width} x {self.height} pixels at {self.left},{self.top}"

    def is_all(self, pixels: NDArray[Any]) -> bool:
        """Whether it is the whole of `[H, W, C]`."""
        return self == Crop(0, 0, pixels.shape[1], pixels.shape[0])

    def of(self, pixels: NDArray[Any], scale: int = 1) -> NDArray[Any]:
        """The part of `[H, W, C]`, or of a picture `scale` times as large as the one the crop was chosen in."""
        top, left = self.top * scale, self.left * scale
        return pixels[top : top + self.height * scale, left : left + self.width * scale]


def chosen_part(low: NDArray[np.uint8], text: str | None, *, scale: int, truth: NDArray[Any] | None = None) -> Crop:
    """What is compared of a picture `[h, w, C]`.

    Args:
        text: `off` for all of it, a part as `parse` takes it, or None: all, or of a large one the most detailed part.
        truth: the large original, whose size must fit.

    Raises:
        UsageError: the text is no part of the picture.
        InputError: the truth has another size.
    """
    height, width = low.shape[:2]
    if truth is not None and truth.shape[:2] != (height * scale, width * scale):
        raise InputError(
            f"the truth has {truth.shape[1]} x {truth.shape[0]} pixels, not {width * scale} x {height * scale}",
            hint="give the factor between the two with --scale",
        )
    if text is not None and text.lower() != "off":
        return parse(text, width=width, height=height)
    if text is not None or height * width * scale**2 <= LARGEST_WHOLE:
        return Crop(0, 0, width, height)
    return most_detailed(low, area=PART // scale**2)


def parse(text: str, *, width: int, height: int) -> Crop:
    """`X,Y,WIDTH,HEIGHT` inside a picture of this size.

    Raises:
        UsageError: it is no such thing, or not inside.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"--crop {text} is not a part of a picture", hint="write it as X,Y,WIDTH,HEIGHT, or off")
    crop = Crop(*map(int, parts))
    if min(crop.width, crop.height) < 1 or crop.left + crop.width > width or crop.top + crop.height > height:
        raise UsageError(f"{crop} are not inside the picture of {width} x {height}", hint="--crop is in input pixels")
    return crop


def most_detailed(pixels: NDArray[np.uint8], *, area: int) -> Crop:
    """The part of `[H, W, C]` with the most detail among those of about `area` pixels in the picture's own shape.

    Detail is the sum of differences between neighbours. A picture that is not larger is taken whole.
    """
    height, width = pixels.shape[:2]
    if height * width <= area:
        return Crop(0, 0, width, height)
    high = min(area, max(1, math.isqrt(area * height // width)))
    wide = min(width, area // high)
    high = min(height, area // wide)
    gray = pixels.astype(np.float32).mean(axis=2)
    edges = np.zeros_like(gray)
    edges[:-1] += np.abs(np.diff(gray, axis=0))
    edges[:, :-1] += np.abs(np.diff(gray, axis=1))
    sums = cv2.integral(edges, sdepth=cv2.CV_64F)
    inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    top, left = divmod(int(np.argmax(inside)), inside.shape[1])
    return Crop(left, top, wide, high)
