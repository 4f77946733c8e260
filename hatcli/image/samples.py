"""Pillow images of every mode as plain samples: RGB or gray, 8 or 16 bits, straight alpha; knows no files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hatcli.errors import InputError
from hatcli.image import color
from hatcli.image.light import Light
from hatcli.image.picture import Samples

if TYPE_CHECKING:
    from PIL import Image

GRAY_MODES = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
DEEP_MODES = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_BRIGHT = 2.0  # floating-point samples up to it have white at 1 and were sharpened or resized beyond it


@dataclass(frozen=True)
class Unpacked:
    """Samples `[H, W, 3]` or `[H, W, 1]`, alpha `[H, W]` or None, and what had to be decided on the way.

    `light` is as in `Picture.light`, where it is known only from the samples.
    """

    pixels: Samples
    alpha: Samples | None
    notes: tuple[str, ...] = ()
    light: Light | None = None


def unpack(image: Image.Image, icc: bytes | None) -> Unpacked:
    """The samples of a loaded image; colour spaces other than RGB and gray are converted to sRGB.

    A transparent colour in `image.info` counts for palettes only: PNG's rules for it are the PNG reader's business.
    """
    mode = image.mode
    if mode in DEEP_MODES:
        pixels, notes = sixteen_bits(np.asarray(image)[..., None])
        return Unpacked(pixels, None, notes)
    if mode == "CMYK":
        converted, note = color.cmyk_to_rgb(image, icc)
        return Unpacked(_planes(converted), None, (note,))
    if mode == "LAB":
        return Unpacked(_planes(color.lab_to_rgb(image)), None, ("CIELAB converted to sRGB",))
    if has_alpha(image):
        return from_array(np.asarray(image.convert("LA" if mode in ("LA", "La") else "RGBA")))
    wanted = "L" if mode in ("1", "L") else "RGB"
    return Unpacked(_planes(image if mode == wanted else image.convert(wanted)), None)


def has_alpha(image: Image.Image) -> bool:
    """Whether `unpack` will give alpha, known before the image is loaded."""
    if image.mode == "P":
        return "transparency" in image.info or (image.palette is not None and image.palette.mode == "RGBA")
    return image.mode in ALPHA_MODES


def from_array(array: NDArray[Any]) -> Unpacked:
    """Samples `[H, W, C]`, C of 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha), taken apart."""
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] in (1, 3):
        return Unpacked(np.ascontiguousarray(array), None)
    return Unpacked(np.ascontiguousarray(array[..., :-1]), np.ascontiguousarray(array[..., -1]))


def transparent_where(pixels: Samples, key: tuple[int, ...]) -> Samples:
    """Alpha `[H, W]` that is zero exactly where the pixel equals `key`."""
    peak = np.iinfo(pixels.dtype).max
    matches = np.all(pixels == np.array(key, dtype=pixels.dtype), axis=2)
    alpha: NDArray[Any] = np.where(matches, 0, peak).astype(pixels.dtype)
    return alpha


def upright(samples: Samples, orientation: int) -> Samples:
    """Samples `[H, W, ...]` turned as EXIF's orientation 1 to 8 asks."""
    swapped = samples.swapaxes(0, 1)
    turned = {
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: swapped,
        6: swapped[:, ::-1],
        7: swapped[::-1, ::-1],
        8: swapped[::-1],
    }
    upright: NDArray[Any] = np.ascontiguousarray(turned.get(orientation, samples))
    return upright


def _planes(image: Image.Image) -> Samples:
    samples: NDArray[np.uint8] = np.array(image, np.uint8)
    return samples[..., None] if samples.ndim == 2 else samples


def sixteen_bits(values: NDArray[Any]) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Samples of any shape of more than 16 bits, or floating point, as 16 bits, and a sentence where that was a guess.

    16-bit integers stay as they are, and so do others that hold no more; the rest by the range they are seen to use.

    Raises:
        InputError: there are values that are no numbers.
    """
    if values.dtype == np.uint16:
        return values.astype(np.uint16, copy=False), ()
    if not np.isfinite(values).all():
        raise InputError(
            "it holds values that are not numbers (NaN or infinity)", hint="clean it up in the program it comes from"
        )
    low, high = float(values.min()), float(values.max())
    is_integer = values.dtype.kind != "f"
    if is_integer and low >= 0 and high <= 65535:
        return values.astype(np.uint16), ()
    if values.dtype == np.uint32:
        return np.rint(values / 65537.0).astype(np.uint16), ("32-bit samples were read as 16-bit ones",)
    if low >= 0 and high <= 255 and not is_integer:
        white = 1.0 if high <= _BRIGHT else 255.0
        cut = ", and what is brighter cut off" if high > white else ""
        note = f"floating-point samples read with white at {white:g}{cut}"
    elif low >= 0 and high <= 65535:
        white, note = 65535.0, "floating-point samples read with white at 65535"
    else:
        white, note = max(high - low, 1e-30), f"samples from {low:.6g} to {high:.6g} stretched to the full range"
        values = values.astype(np.float64) - low
    scaled = np.rint(values.astype(np.float64) * (65535.0 / white)).clip(0, 65535)
    return scaled.astype(np.uint16), (note,)


def straightened(array: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """16-bit samples `[H, W, C]` that were multiplied by their last channel, divided by it again."""
    alpha = array[..., -1:].astype(np.float64)
    colors = np.divide(array[..., :-1] * 65535.0, alpha, out=np.zeros(array[..., :-1].shape), where=alpha > 0)
    return np.concatenate([np.rint(colors.clip(0, 65535)).astype(np.uint16), array[..., -1:]], axis=2)


def unmultiplied(unpacked: Unpacked) -> Unpacked:
    """Samples whose colours were multiplied by their alpha, with straight alpha."""
    pixels, alpha = unpacked.pixels, unpacked.alpha
    if alpha is None:
        return unpacked
    if pixels.dtype == np.uint16:
        joined = np.concatenate([pixels, alpha[..., None]], axis=2).astype(np.uint16, copy=False)
        return replace(unpacked, pixels=straightened(joined)[..., :-1])
    share = alpha[..., None].astype(np.float64)
    colors = np.divide(pixels * 255.0, share, out=np.zeros(pixels.shape), where=share > 0)
    return replace(unpacked, pixels=np.rint(colors.clip(0, 255)).astype(np.uint8))


def rescaled(array: Samples, *, peak: int) -> Samples:
    """Samples of 0..peak over the full range of their type, rounded to nearest."""
    full = np.iinfo(array.dtype).max
    values: NDArray[Any] = np.rint(array.astype(np.float64) * (full / peak)).clip(0, full).astype(array.dtype)
    return values


def widened(array: Samples, *, peak: int) -> NDArray[np.uint16]:
    """Samples of 0..peak as 0..65535, rounded to nearest."""
    if peak == 65535:
        return array.astype(np.uint16, copy=False)
    if array.dtype == np.uint16 and peak < 65535:  # a table needs a tenth of the time and of the memory
        table = np.rint(np.arange(peak + 1) * (65535.0 / peak)).astype(np.uint16)
        wide: NDArray[np.uint16] = table[np.minimum(array, peak)]
        return wide
    return np.rint(array.astype(np.float64) * (65535.0 / peak)).clip(0, 65535).astype(np.uint16)
