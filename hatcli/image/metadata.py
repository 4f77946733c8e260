"""EXIF, XMP and resolution of a picture: gathered from what a decoder found, made true for what is written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from PIL import Image

from hatcli.image import exif
from hatcli.image.picture import Picture

_LEAST_DPI, _MOST_DPI = 0.1, 400_000.0  # what EXIF, PNG and TIFF can all write down
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([0-9])")
_XMP_THUMBNAILS = (b"<xmp:Thumbnails", b"</xmp:Thumbnails>")
_XMP_EXTENDED = re.compile(rb"xmpNote:HasExtendedXMP\s*=\s*(?:\"[^\"<]{0,99}\"|'[^'<]{0,99}')")
_RAW_PROFILES = "Raw profile type "
_RAW_PROFILE = f"{_RAW_PROFILES}exif"
_XMP_TEXT = "XML:com.adobe.xmp"


def find_exif(info: Mapping[str, Any]) -> bytes | None:
    """The EXIF block among what Pillow found, without its prefix; also ImageMagick's, which is text in a PNG."""
    found = info.get("exif")
    if isinstance(found, bytes) and found:
        return found.removeprefix(exif.PREFIX)
    text = info.get(_RAW_PROFILE)
    if isinstance(text, str):
        try:
            return bytes.fromhex("".join(text.split("\n")[3:])).removeprefix(exif.PREFIX) or None
        except ValueError:
            return None
    return None


def find_xmp(info: Mapping[str, Any]) -> bytes | None:
    """The XMP packet among what Pillow found."""
    for key in ("xmp", _XMP_TEXT):
        found = info.get(key)
        if isinstance(found, str):
            found = found.encode("utf-8", "surrogateescape")
        if isinstance(found, bytes) and found.strip(b"\0 \t\r\n"):
            return found.rstrip(b"\0")
    return None


def find_orientation(exif_block: bytes | None, xmp: bytes | None) -> int:
    """How the stored picture must be turned, 1 to 8; EXIF has precedence over XMP, nonsense means 1."""
    said = exif.orientation(exif_block) if exif_block is not None else None
    if said is None and xmp is not None:
        match = _XMP_ORIENTATION.search(xmp)
        said = int(match[1]) if match else None
    return said if said is not None and 1 <= said <= 8 else 1


def find_texts(image: Image.Image) -> tuple[tuple[str, str], ...]:
    """The texts of a PNG that Pillow has loaded, but for those that are EXIF, XMP or others' metadata in disguise."""
    found: dict[str, str] = getattr(image, "text", {})
    return tuple(
        (str(name), str(value))
        for name, value in found.items()
        if name != _XMP_TEXT and not name.startswith(_RAW_PROFILES)
    )


def plausible_dpi(dpi: Any) -> tuple[float, float] | None:
    """The resolution as two positive numbers, or None where it is nonsense."""
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    sane = all(math.isfinite(value) and _LEAST_DPI <= value <= _MOST_DPI for value in (across, down))
    return (across, down) if sane else None


def for_output(
    picture: Picture, *, width: int, height: int, strip: bool = False
) -> tuple[bytes | None, bytes | None, list[str]]:
    """The EXIF block and the XMP packet to write with this picture at this size, and notes on what had to go.

    Orientation is 1, pixel dimensions and resolution are true, stale thumbnails are gone.
    """
    if strip:
        return None, None, []
    notes = []
    block = picture.exif
    if block is not None:
        try:
            block = exif.for_size(block, width=width, height=height, dpi=picture.dpi)
        except ValueError:
            block = None
            notes.append("damaged EXIF was dropped")
    packet = None if picture.xmp is None else xmp_for_size(picture.xmp, width=width, height=height, dpi=picture.dpi)
    return block, packet, notes


def xmp_for_size(xmp: bytes, *, width: int, height: int, dpi: tuple[float, float] | None) -> bytes:
    """The packet for an upright picture of this size; only what is there already is changed."""
    values = {
        b"tiff:Orientation": b"1",
        b"tiff:ImageWidth": b"%d" % width,
        b"tiff:ImageLength": b"%d" % height,
        b"exif:PixelXDimension": b"%d" % width,
        b"exif:PixelYDimension": b"%d" % height,
    }
    if dpi is not None:
        values[b"tiff:XResolution"] = b"%d/10000" % round(dpi[0] * 10000)
        values[b"tiff:YResolution"] = b"%d/10000" % round(dpi[1] * 10000)
        values[b"tiff:ResolutionUnit"] = b"2"
    for name, value in values.items():
        attribute = (
            rb"(\b" + name + rb"\s*=\s*)(?:\"[^\"<]{0,99}\"|'[^'<]{0,99}')"
        )  # bounded, as all input is untrusted
        xmp = re.sub(attribute, rb'\g<1>"' + value + b'"', xmp)
        xmp = re.sub(rb"(<" + name + rb"\s*>)[^<]{0,99}(</)", rb"\g<1>" + value + rb"\g<2>", xmp)
    return _XMP_EXTENDED.sub(b"", _without_thumbnails(xmp))


def _without_thumbnails(xmp: bytes) -> bytes:
    """The packet without the small copies of the old picture."""
    start_mark, end_mark = _XMP_THUMBNAILS
    start = xmp.find(start_mark)
    end = xmp.rfind(end_mark)
    return xmp if not 0 <= start < end else xmp[:start] + xmp[end + len(end_mark) :]
