"""PNG read by the book: 16 bits kept, transparent colours exact at every depth, checksums checked."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hatcli.image import metadata, opening, profiles, samples
from hatcli.image.codecs import opencv, png
from hatcli.image.codecs.reader import Beside, PillowReader, Shape
from hatcli.image.formats import DamageError
from hatcli.image.light import Light, of_codes

_SRGB_GAMMA = 45455  # as PNG writes it


@dataclass(frozen=True)
class PngReader(PillowReader):
    """A PNG that passed the gate."""

    gated: png.Gated

    def unpack(self) -> samples.Unpacked:
        """Pillow has the transparent colour of gray wrong for all depths but 8 and 1, so that is settled here."""
        self.image.load()
        header, transparency = self.gated.header, self.gated.transparency
        if header.depth == 16:
            unpacked = samples.from_array(deep_samples(self.gated))
        else:
            unpacked = samples.unpack(self.image, self.image.info.get("icc_profile"))
        length = {png.GRAY: 2, png.RGB: 6}.get(header.color)
        if length is None or transparency is None or len(transparency) != length:
            return unpacked
        mask = 2**header.depth - 1
        step = 1 if header.depth == 16 else 255 // mask
        key = tuple((value & mask) * step for value in struct.unpack(f">{length // 2}H", transparency))
        return replace(unpacked, alpha=samples.transparent_where(unpacked.pixels, key))

    def early_exif(self, info: dict[str, Any]) -> bytes | None:
        return metadata.find_exif(info) or png.find(self.data, b"eXIf")

    def shape(self) -> Shape:
        header = self.gated.header
        shape = super().shape()
        return replace(
            shape,
            channels=1 if header.color in (png.GRAY, png.GRAY_ALPHA) else 3,
            bits=16 if header.depth == 16 else shape.bits,
            alpha=self.gated.transparency is not None or header.color in (png.GRAY_ALPHA, png.RGB_ALPHA),
        )

    def remarks(self, *, has_profile: bool) -> list[str]:
        return [*self.gated.notes, *self._unkept_colors(has_profile=has_profile)]

    def beside(self) -> Beside:
        codes, beside = self._codes(), replace(super().beside(), texts=metadata.find_texts(self.image))
        if beside.icc or codes is None or self.gated.header.color in (png.GRAY, png.GRAY_ALPHA):
            return beside
        return replace(beside, icc=profiles.of_codes(codes[0], codes[1]))

    def light(self) -> Light | None:
        codes = self._codes()
        return None if codes is None else of_codes(codes[0], codes[1])

    def _codes(self) -> bytes | None:
        """What cICP says, which comes before every other description of colours."""
        codes = png.find(self.data, b"cICP", before=b"IDAT")
        return codes if codes is not None and len(codes) == 4 else None

    def _unkept_colors(self, *, has_profile: bool) -> list[str]:
        if self._codes() is not None:
            return []
        gamma = png.find(self.data, b"gAMA", before=b"IDAT")
        is_said_otherwise = has_profile or png.find(self.data, b"sRGB", before=b"IDAT") is not None
        if gamma is None or len(gamma) != 4 or is_said_otherwise:
            return []
        value = int.from_bytes(gamma, "big")
        usual = abs(value - _SRGB_GAMMA) <= _SRGB_GAMMA // 20
        return [] if usual else [f"its gamma of {value / 100000:g} is not kept: brightness may look different"]


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of a PNG.

    Raises:
        DamageError: it is damaged, or cut off before there are pixels.
        InputError: it is larger than `max_pixels`.
    """
    header = png.read_header(data)
    opening.check_pixels((header.width, header.height), name=name, max_pixels=max_pixels)
    gated = png.gate(data)
    image = opening.open_image(data, format, name=name, max_pixels=max_pixels)
    return PngReader(data, format, image, gated)


def deep_samples(gated: png.Gated) -> NDArray[np.uint16]:
    """The samples of a PNG of 16 bits `[H, W, C]`: gray, gray and alpha, RGB, or RGB and alpha."""
    if not gated.is_whole:
        raise DamageError("the file is cut off")
    array = opencv.decoded(gated.plain_bytes())
    channels = gated.header.channels
    if array.shape[2] == 4 and channels == 2:  # OpenCV has no gray with alpha
        array = array[..., [0, 3]]
    if array.shape != (gated.header.height, gated.header.width, channels):
        raise ValueError("the decoder gave another size or number of channels")
    return array
