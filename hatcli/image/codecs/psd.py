"""Photoshop: the flattened picture, if the file was saved with one; layers are not put together here."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hatcli.errors import InputError
from hatcli.image import extras, metadata, opening, samples
from hatcli.image.codecs.reader import Beside, PillowReader, Reader, Shape, opened_by_pillow
from hatcli.image.formats import DamageError

_HEADER = struct.Struct(">4sH6xHIIHH")
_VERSION_INFO, _PROFILE, _EXIF, _XMP = 1057, 1039, 1058, 1060
_GRAY, _RGB = 1, 3  # colour modes
_RESOLUTION = 1005


class PsdReader(PillowReader):
    """A Photoshop file of 8 bits."""

    def count_frames(self, *, max_pixels: int) -> int:
        return 1  # its "frames" are layers; what was opened is all of them together


@dataclass(frozen=True)
class DeepPsdReader(Reader):
    """A Photoshop file of 16 bits, gray or RGB."""

    width: int
    height: int
    mode: int
    channels: int
    resources: dict[int, bytes]

    def unpack(self) -> samples.Unpacked:
        file = self._opened()
        color = _sixteen_bits(file.numpy("color"))
        shape = file.numpy("shape") if self._has_alpha else None
        color = color[..., None] if color.ndim == 2 else color
        alpha = None if shape is None else _sixteen_bits(shape).reshape(color.shape[:2])
        return samples.Unpacked(np.ascontiguousarray(color), alpha)

    def _opened(self) -> Any:
        from psd_tools import PSDImage

        return PSDImage.open(io.BytesIO(self.data))

    @property
    def _has_alpha(self) -> bool:
        return self.channels > self._colors

    @property
    def _colors(self) -> int:
        return 1 if self.mode == _GRAY else 3

    def beside(self) -> Beside:
        said = self.resources.get(_RESOLUTION, b"")
        per_inch = (int.from_bytes(said[:4], "big") / 65536, int.from_bytes(said[8:12], "big") / 65536)
        return Beside(
            icc=self.resources.get(_PROFILE),
            exif=self.resources.get(_EXIF) or None,
            xmp=metadata.find_xmp({"xmp": self.resources.get(_XMP)}),
            dpi=metadata.plausible_dpi(per_inch),
            turn=1,
        )

    def shape(self) -> Shape:
        return Shape(self.width, self.height, self._colors, 16, self._has_alpha)


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of a Photoshop file.

    Raises:
        InputError: it is larger than `max_pixels`, was saved without a flattened picture, or needs what is missing.
        DamageError: it is cut off.
    """
    if len(data) < _HEADER.size:
        raise DamageError("the file is cut off")
    _, version, channels, height, width, depth, mode = _HEADER.unpack_from(data)
    resources = dict(_resources(data))
    if resources.get(_VERSION_INFO, b"\0\0\0\0\1")[4:5] == b"\0":
        raise InputError(
            f"cannot read {name}: it was saved without its flattened picture",
            hint="save it again in Photoshop with 'Maximize Compatibility', or export it as TIFF",
        )
    if version != 1 or depth != 16 or mode not in (_GRAY, _RGB):
        return PsdReader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)
    opening.check_pixels((width, height), name=name, max_pixels=max_pixels)
    if not extras.has_module("psd_tools"):
        reason = "Photoshop of 16 bits needs psd-tools, which is not installed"
        raise InputError(f"cannot read {name}: {reason}", hint=extras.INSTALL)
    return DeepPsdReader(data, format, width, height, mode, channels, resources)


def _resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What is noted beside the pixels, by number, as far as it lies inside the data."""
    at = _HEADER.size
    at += 4 + int.from_bytes(data[at : at + 4], "big")  # the table of colours
    end = min(at + 4 + int.from_bytes(data[at : at + 4], "big"), len(data))
    at += 4
    while at + 12 <= end and data[at : at + 4] == b"8BIM":
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        at += 6 + (data[at + 6] + 2) // 2 * 2  # behind a name that is padded to an even length
        length = int.from_bytes(data[at : at + 4], "big")
        yield number, data[at + 4 : min(at + 4 + length, end)]
        at += 4 + (length + 1) // 2 * 2


def _sixteen_bits(values: Any) -> Any:
    return np.rint(np.asarray(values, np.float64).clip(0, 1) * 65535).astype(np.uint16)
