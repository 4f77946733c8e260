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
_GRAY, _RGB, _DUOTONE = 1, 3, 8  # colour modes
_MODES = {0: "bitmap", 1: "gray", 2: "indexed", 3: "RGB", 4: "CMYK", 7: "multichannel", 8: "duotone", 9: "Lab"}
_COLORS = {3: 3, 4: 4, 9: 3}  # channels of colour, where there are several
_BY_PILLOW = {0, 1, 2, 3, 4, 8, 9}
_RESOLUTION = 1005
_MARKS = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")  # of resources: Photoshop's own, and other programs'


@dataclass(frozen=True)
class Head:
    """What stands at the beginning of a Photoshop file: `version` 2 is one for large pictures, PSB."""

    version: int
    channels: int
    height: int
    width: int
    depth: int
    mode: int
    resources: dict[int, bytes]

    @property
    def further(self) -> int:
        """Channels beside the colours."""
        return self.channels - _COLORS.get(self.mode, 1)

    @property
    def is_for_pillow(self) -> bool:
        """Whether Pillow reads all of it that can be read."""
        is_gray = self.mode in (_GRAY, _DUOTONE)
        plain = self.version == 1 and self.depth in (1, 8) and self.mode in _BY_PILLOW
        return plain and not (is_gray and self.further)

    def beside(self) -> Beside:
        """What lies beside the pixels."""
        said = self.resources.get(_RESOLUTION, b"")
        per_inch = (int.from_bytes(said[:4], "big") / 65536, int.from_bytes(said[8:12], "big") / 65536)
        return Beside(
            icc=self.resources.get(_PROFILE),
            exif=self.resources.get(_EXIF) or None,
            xmp=metadata.find_xmp({"xmp": self.resources.get(_XMP)}),
            dpi=metadata.plausible_dpi(per_inch),
            turn=1,
        )

    def remarks(self, *, has_alpha: bool) -> list[str]:
        """A sentence for each thing that is left out."""
        left = self.further - has_alpha
        notes = [f"{left} further channel{'s' if left > 1 else ''} left out"] if left > 0 else []
        return [*notes, "a duotone is read as gray, without its inks"] if self.mode == _DUOTONE else notes


@dataclass(frozen=True)
class PsdReader(PillowReader):
    """A Photoshop file of 8 bits."""

    head: Head

    def beside(self) -> Beside:
        return self.head.beside()

    def remarks(self, *, has_profile: bool) -> list[str]:
        return self.head.remarks(has_alpha=samples.has_alpha(self.image))

    def count_frames(self, *, max_pixels: int) -> int:
        return 1  # its "frames" are layers; what was opened is all of them together


@dataclass(frozen=True)
class DeepPsdReader(Reader):
    """A Photoshop file that Pillow would not read whole: gray or RGB of 16 bits, large ones, gray with transparency."""

    head: Head

    def unpack(self) -> samples.Unpacked:
        from psd_tools import PSDImage

        file = PSDImage.open(io.BytesIO(self.data))
        color = self._whole_numbers(file.numpy("color"))
        shape = file.numpy("shape") if self.head.further else None
        color = color[..., None] if color.ndim == 2 else color
        alpha = None if shape is None else self._whole_numbers(shape).reshape(color.shape[:2])
        return samples.Unpacked(np.ascontiguousarray(color), alpha)

    def _whole_numbers(self, values: Any) -> Any:
        kind: Any = np.uint16 if self.head.depth == 16 else np.uint8
        return np.rint(np.asarray(values, np.float64).clip(0, 1) * np.iinfo(kind).max).astype(kind)

    def beside(self) -> Beside:
        return self.head.beside()

    def shape(self) -> Shape:
        head = self.head
        return Shape(head.width, head.height, _COLORS.get(head.mode, 1), head.depth, head.further > 0)

    def remarks(self, *, has_profile: bool) -> list[str]:
        return self.head.remarks(has_alpha=self.head.further > 0)


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of a Photoshop file.

    Raises:
        InputError: it is larger than `max_pixels`, was saved without a flattened picture, holds a kind of colours that
            is not read, or needs what is missing.
        DamageError: it is cut off, or contradicts itself.
    """
    if len(data) < _HEADER.size:
        raise DamageError("the file is cut off")
    _, version, channels, height, width, depth, mode = _HEADER.unpack_from(data)
    head = Head(version, channels, height, width, depth, mode, dict(_resources(data)))
    if head.resources.get(_VERSION_INFO, b"\0\0\0\0\1")[4:5] == b"\0":
        raise InputError(
            f"cannot read {name}: it was saved without its flattened picture",
            hint="save it again in Photoshop with 'Maximize Compatibility', or export it as TIFF",
        )
    if version not in (1, 2) or mode not in _MODES:
        raise DamageError("it is a damaged Photoshop")
    if head.is_for_pillow:
        image = opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image
        return PsdReader(data, format, image, head)
    if mode not in (_GRAY, _RGB, _DUOTONE) or depth not in (8, 16):
        reason = f"a Photoshop file of {depth} bits in {_MODES[mode]} cannot be read"
        raise InputError(f"cannot read {name}: {reason}", hint="save it with 8 or 16 bits in RGB, or export it as TIFF")
    opening.check_pixels((width, height), name=name, max_pixels=max_pixels)
    if not extras.has_module("psd_tools"):
        kind = f"of {depth} bits" if depth == 16 else "of this kind"
        reason = f"Photoshop {kind} needs psd-tools, which is not installed"
        raise InputError(f"cannot read {name}: {reason}", hint=extras.INSTALL)
    return DeepPsdReader(data, format, head)


def _resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What is noted beside the pixels, by number, as far as it lies inside the data."""
    at = _HEADER.size
    at += 4 + int.from_bytes(data[at : at + 4], "big")  # the table of colours
    end = min(at + 4 + int.from_bytes(data[at : at + 4], "big"), len(data))
    at += 4
    while at + 12 <= end and data[at : at + 4] in _MARKS:
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        at += 6 + (data[at + 6] + 2) // 2 * 2  # behind a name that is padded to an even length
        length = int.from_bytes(data[at : at + 4], "big")
        yield number, data[at + 4 : min(at + 4 + length, end)]
        at += 4 + (length + 1) // 2 * 2
