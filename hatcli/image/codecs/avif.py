"""AVIF: what it says of its depth and colours, and pictures written, still or moving, without chroma subsampling."""

from __future__ import annotations

import struct
from typing import Any

from hatcli.image import color, exif, saving
from hatcli.image.codecs.reader import Reader, opened_by_pillow
from hatcli.image.codecs.writer import Writer, carried_by_pillow, in_color, stacked
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

DEFAULT_QUALITY = 85


class AvifReader(Reader):
    """An AVIF."""

    def stored_bits(self) -> int:
        start = self.data.find(b"av1C")
        flags = self.data[start + 6] if 0 <= start < len(self.data) - 6 else 0
        return (12 if flags & 0x20 else 10) if flags & 0x40 else 8

    def remarks(self, *, has_profile: bool) -> list[str]:
        start = self.data.find(b"colrnclx")
        is_said = 0 <= start <= len(self.data) - 12
        primaries, transfer = struct.unpack_from(">HH", self.data, start + 8) if is_said else (1, 13)
        return color.wide_note(primaries=primaries, transfer=transfer)


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of an AVIF."""
    return AvifReader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)


def encode(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    """The bytes of an AVIF."""
    picture = in_color(picture)
    return saving.saved(stacked(picture), "AVIF", **animation_keywords(picture, options)), []


def animation_keywords(first: Picture, options: EncodeOptions) -> dict[str, Any]:
    """What Pillow is told for a picture, or an animation that begins with it."""
    beside = carried_by_pillow(first, options)
    if beside["exif"] is not None:
        beside["exif"] = exif.without_orientation(beside["exif"])  # Pillow would write it anew, with losses
    return {"quality": options.quality or DEFAULT_QUALITY, "subsampling": "4:4:4", "speed": 8, **beside}


WRITER = Writer(largest_side=32768, largest_area=16384 * 16384, encode=encode, holds_alpha=True)  # what readers accept
