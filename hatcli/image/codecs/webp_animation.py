"""Animated WebP written frame by frame: each is encoded alone, as the rectangle that changed, and nothing is held back.

The layout is that of RFC 9649; what is inside a frame comes from Pillow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hatcli.image import saving
from hatcli.image.codecs import webp
from hatcli.image.codecs.writer import carried_by_pillow, in_color, stacked
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

_MOVES, _XMP, _EXIF, _ALPHA, _ICC = 0x02, 0x04, 0x08, 0x10, 0x20  # in VP8X
_REPLACE = 0x02  # a frame's pixels take the place of those below, transparent ones too
_LONGEST = (1 << 24) - 1  # milliseconds of a frame
_MOST_LOOPS = 65535
_PIXELS = (b"ALPH", b"VP8 ", b"VP8L")


def write(
    file: BinaryIO,
    frames: Iterable[tuple[Picture, float | Fraction]],
    head: Picture,
    *,
    loops: int,
    options: EncodeOptions,
) -> None:
    """Frames of one size and their milliseconds.

    Args:
        file: open for writing, can seek.
        head: whose profile and metadata the file has.
    """
    start = file.tell()
    beside = carried_by_pillow(head, options)
    flags = _MOVES | (_ICC if beside["icc_profile"] else 0) | (_EXIF if beside["exif"] else 0)
    flags |= (_XMP if beside["xmp"] else 0) | (_ALPHA if head.alpha is not None else 0)
    file.write(b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + _size(head.width, head.height)))
    if beside["icc_profile"]:
        file.write(_chunk(b"ICCP", beside["icc_profile"]))
    file.write(_chunk(b"ANIM", struct.pack("<IH", 0, min(loops, _MOST_LOOPS))))
    before: NDArray[np.uint8] | None = None
    for picture, duration in frames:
        shown = stacked(in_color(picture))
        top, left, bottom, right = _changed(before, shown)
        file.write(_frame(shown[top:bottom, left:right], top, left, duration, options))
        before = shown
    for name, key in ((b"EXIF", "exif"), (b"XMP ", "xmp")):
        if beside[key]:
            file.write(_chunk(name, bytes(beside[key])))
    end = file.tell()
    file.seek(start + 4)
    file.write(struct.pack("<I", end - start - 8))
    file.seek(end)


def _changed(before: NDArray[np.uint8] | None, shown: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The rectangle that differs, top, left, bottom, right; it begins at even numbers, and has a pixel at least."""
    if before is None:
        return 0, 0, *shown.shape[:2]
    differs: Any = (before != shown).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(rows[0]) & ~1, int(columns[0]) & ~1, int(rows[-1]) + 1, int(columns[-1]) + 1


def _frame(block: NDArray[np.uint8], top: int, left: int, duration: float | Fraction, options: EncodeOptions) -> bytes:
    still = saving.saved(block, "WEBP", **webp.keywords(options))
    pixels = b"".join(_chunk(name, body) for name, body in _chunks(still) if name in _PIXELS)
    place = _three(left // 2) + _three(top // 2) + _size(block.shape[1], block.shape[0])
    return _chunk(b"ANMF", place + _three(min(round(duration), _LONGEST)) + bytes([_REPLACE]) + pixels)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and bodies of the chunks in a WebP."""
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _size(width: int, height: int) -> bytes:
    return _three(width - 1) + _three(height - 1)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")
