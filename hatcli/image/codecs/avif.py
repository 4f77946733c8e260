"""AVIF: what it says of its depth and colours, and pictures written, still or moving, without chroma subsampling."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np

from hatcli.image import exif, extras, profiles, samples, saving
from hatcli.image.codecs.reader import Beside, PillowReader, Shape, opened_by_pillow
from hatcli.image.codecs.writer import Writer, carried_by_pillow, in_color, stacked
from hatcli.image.light import Light, of_codes
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

DEFAULT_QUALITY = 85


class AvifReader(PillowReader):
    """An AVIF."""

    def unpack(self) -> samples.Unpacked:
        """What Pillow gives, which has 8 bits; high dynamic range keeps its 10 or 12 where opencodecs is installed."""
        if not self._is_read_deep:
            return super().unpack()
        from opencodecs.codecs import _avif

        array = np.asarray(_avif.decode(self.data))
        return samples.from_array(samples.widened(array, peak=2 ** self.stored_bits() - 1))

    @property
    def _is_read_deep(self) -> bool:
        return self.stored_bits() > 8 and self.light() is not None and extras.has_module("opencodecs")

    def shape(self) -> Shape:
        shape = super().shape()
        return replace(shape, bits=16) if self._is_read_deep else shape

    def stored_bits(self) -> int:
        start = self.data.find(b"av1C")
        flags = self.data[start + 6] if 0 <= start < len(self.data) - 6 else 0
        return (12 if flags & 0x20 else 10) if flags & 0x40 else 8

    def beside(self) -> Beside:
        beside, codes = super().beside(), self._codes()
        return beside if beside.icc or codes is None else replace(beside, icc=profiles.of_codes(*codes))

    def light(self) -> Light | None:
        codes = self._codes()
        return None if codes is None else of_codes(*codes)

    def _codes(self) -> tuple[int, int] | None:
        """Primaries and transfer as the container says them."""
        start = self.data.find(b"colrnclx")
        return struct.unpack_from(">HH", self.data, start + 8) if 0 <= start <= len(self.data) - 12 else None


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
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
