"""Colour spaces and ICC profiles: what a profile is for, and how CMYK, Lab and gray become sRGB."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hatcli.image.picture import Samples

if TYPE_CHECKING:
    from PIL import Image

_HEADER_LENGTH = 128
_PICTURE_CLASSES = {b"scnr", b"mntr", b"prtr", b"spac"}  # not device links, abstract or named-colour profiles


def profile_space(icc: bytes) -> str | None:
    """`RGB`, `GRAY`, `CMYK`, `Lab`, ..., or None if this is no usable ICC profile."""
    sound = len(icc) > _HEADER_LENGTH and icc[36:40] == b"acsp" and icc[12:16] in _PICTURE_CLASSES
    if not sound or int.from_bytes(icc[:4], "big") > len(icc):
        return None
    return icc[16:20].decode("latin-1").strip()


def cmyk_to_rgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, str]:
    """A CMYK image as sRGB, and a sentence on how; through its profile where that works, else by the plain formula."""
    if icc is None:
        return image.convert("RGB"), "CMYK converted to sRGB by the plain formula: it has no profile"
    converted = _to_srgb(image, icc) if profile_space(icc) == "CMYK" else None
    if converted is None:
        return image.convert("RGB"), "CMYK converted to sRGB by the plain formula: its profile is damaged"
    return converted, "CMYK converted to sRGB through its own profile"


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """A CIELAB (D50) image as sRGB."""
    from PIL import ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"),
        ImageCms.createProfile("sRGB"),
        "LAB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # only None when asked to work in place
    return converted


def gray_to_srgb(gray: Samples, icc: bytes | None) -> Samples:
    """Gray samples `[H, W]` or `[H, W, 1]` as sRGB `[H, W, 3]`, uint8; through the gray profile where there is one."""
    from PIL import Image

    plane = gray[..., 0] if gray.ndim == 3 else gray
    if icc is not None and profile_space(icc) == "GRAY":
        converted = _to_srgb(Image.fromarray(plane), icc)
        if converted is not None:
            samples: NDArray[np.uint8] = np.asarray(converted, np.uint8)
            return samples
    repeated: NDArray[Any] = np.repeat(plane[..., None], 3, axis=2)
    return repeated


def rgb_to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """An RGB image as sRGB; as it is without a usable profile."""
    converted = _to_srgb(image, icc) if icc is not None and profile_space(icc) == "RGB" else None
    return image if converted is None else converted


def _to_srgb(image: Image.Image, icc: bytes) -> Image.Image | None:
    """Relative colorimetric with black point compensation, as photo editors do; None if the profile is refused."""
    from PIL import ImageCms

    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
