"""What Python programs have in their hands to a `Picture` and back: Pillow images, arrays, names of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hatcli.errors import InputError
from hatcli.image import color, decode, exif, metadata, quality, samples, tone
from hatcli.image.picture import Picture, Samples

Readable: TypeAlias = Picture | Image.Image | NDArray[Any] | str | os.PathLike[str]
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
_CHANNELS = (1, 2, 3, 4)  # gray, gray and alpha, RGB, RGB and alpha


def picture(image: Readable) -> Picture:
    """The picture in a file, a Pillow image or an array.

    Raises:
        InputError: it cannot be read, or is no picture.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        return from_pil(image)
    if isinstance(image, np.ndarray):
        return from_numpy(image)
    return decode.read(Path(image))


def from_numpy(array: NDArray[Any]) -> Picture:
    """An array `[H, W]` or `[H, W, C]`, uint8 or uint16 over the full range, C of 1 or 2 (gray) or 3 or 4 (RGB).

    An even number of channels ends with alpha, straight.

    Raises:
        InputError: another type or shape.
    """
    if array.dtype not in (np.uint8, np.uint16):
        hint = "(values * 255).round().astype('uint8') for values in 0..1"
        raise InputError(f"an array of {array.dtype} is no picture: uint8 or uint16 is", hint=hint)
    planes = array[..., None] if array.ndim == 2 else array
    if planes.ndim != 3 or planes.shape[2] not in _CHANNELS or 0 in planes.shape:
        hint = "[H, W], or [H, W, C] with 1 to 4 channels"
        raise InputError(f"an array of shape {list(array.shape)} is no picture", hint=hint)
    unpacked = samples.from_array(planes)
    return Picture(unpacked.pixels, unpacked.alpha)


def from_pil(image: Image.Image) -> Picture:
    """A Pillow image of any mode, set upright, with its profile, EXIF, XMP and resolution.

    Raises:
        InputError: it has no pixels, or cannot be loaded.
    """
    if 0 in image.size:
        raise InputError("the Pillow image has no pixels")
    traces = quality.jpeg_quality(image)
    said = getattr(image, "tag_v2", {}).get(_ORIENTATION)  # Pillow turns a TIFF's pixels as it loads them, and forgets
    try:
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"the Pillow image cannot be loaded: {error}") from error
    info: dict[str, Any] = {str(key): value for key, value in image.info.items()}
    unpacked = samples.unpack(_with_alpha(image), info.get("icc_profile"))
    block, packet = metadata.find_exif(info), metadata.find_xmp(info)
    turn = 1 if image.format == "TIFF" else metadata.find_orientation(block, packet)
    pixels = samples.upright(unpacked.pixels, turn)
    dpi = metadata.plausible_dpi(info.get("dpi"))
    return Picture(
        pixels=pixels,
        alpha=None if unpacked.alpha is None else samples.upright(unpacked.alpha, turn),
        icc=_fitting_profile(info.get("icc_profile"), mode=image.mode, is_gray=pixels.shape[2] == 1),
        exif=_sized(block, pixels),
        xmp=packet,
        dpi=dpi[::-1] if dpi is not None and (turn in _ON_ITS_SIDE or said in _ON_ITS_SIDE) else dpi,
        format="JPEG" if traces is not None else image.format or "PNG",
        jpeg_quality=traces,
        texts=metadata.find_texts(image),
        notes=unpacked.notes,
    )


def to_pil(picture: Picture) -> Image.Image:
    """A Pillow image of mode L, LA, RGB or RGBA with profile, EXIF and resolution in its `info`.

    Pillow has no such modes of more than 8 bits: 16-bit samples are rounded to 8; only gray ones without transparency
    stay, in mode I;16. Linear light becomes sRGB.
    """
    picture = tone.shown_picture(picture)
    if picture.bits == 16 and picture.is_gray and picture.alpha is None:
        image = Image.fromarray(np.ascontiguousarray(picture.pixels[..., 0]))
    else:
        planes = to_numpy(picture)
        image = Image.fromarray(planes if planes.dtype == np.uint8 else _eight_bits(planes))
    carried = {"icc_profile": picture.icc, "exif": None if picture.exif is None else exif.PREFIX + picture.exif}
    image.info = {name: value for name, value in {**carried, "dpi": picture.dpi}.items() if value is not None}
    return image


def to_numpy(picture: Picture) -> Samples:
    """`[H, W]` for gray, `[H, W, 3]` for RGB, uint8 or uint16; transparency is one channel more."""
    picture = tone.shown_picture(picture)
    if picture.alpha is None:
        return picture.pixels[..., 0] if picture.is_gray else picture.pixels
    planes: Any = np.concatenate([picture.pixels, picture.alpha[..., None]], axis=2)
    return planes  # type: ignore[no-any-return]


def _with_alpha(image: Image.Image) -> Image.Image:
    """The image, a colour that stands for transparency made alpha."""
    if "transparency" in image.info and image.mode in ("1", "L", "RGB"):
        return image.convert("RGBA" if image.mode == "RGB" else "LA")
    return image


def _fitting_profile(icc: Any, *, mode: str, is_gray: bool) -> bytes | None:
    """The profile, if the samples still are in it."""
    if not isinstance(icc, bytes) or mode in ("CMYK", "LAB"):
        return None
    return icc if color.profile_space(icc) == ("GRAY" if is_gray else "RGB") else None


def _sized(block: bytes | None, pixels: Samples) -> bytes | None:
    """The EXIF block for the upright picture; None if it is damaged."""
    try:
        return None if block is None else exif.for_size(block, width=pixels.shape[1], height=pixels.shape[0], dpi=None)
    except ValueError:
        return None


def _eight_bits(planes: Samples) -> NDArray[np.uint8]:
    """16-bit samples rounded to the nearest of 8 bits."""
    return ((planes.astype(np.uint32) + 128) // 257).astype(np.uint8)
