"""GIF files as blocks: frames counted without decoding them, and composed here.

Pillow decodes each frame's rectangle. What it makes of several ones is now and then not what other programs show: a
frame without transparency after one that is taken back, or tables of colours of frames' own, mislead it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hatcli.image import opening, samples
from hatcli.image.codecs.reader import PillowReader, Shape, opened_by_pillow
from hatcli.image.formats import DamageError

INTRODUCER, CONTROL, DESCRIPTOR, TRAILER = 0x21, 0xF9, 0x2C, 0x3B
_CLEAR, _RESTORE = 2, 3  # what happens to a frame's rectangle before the next frame is shown; else it stays
_INTERLACED, _HAS_TABLE, _HAS_TRANSPARENCY = 0x40, 0x80, 0x01


class GifReader(PillowReader):
    """A GIF."""

    def unpack(self) -> samples.Unpacked:
        """The first frame, composed here where it leaves something uncovered, for which Pillow takes any colour."""
        first = self._partial()
        if first is None:
            return super().unpack()
        frame, _ = next(frames(self.data, self.image.size))
        unpacked = samples.from_array(frame)
        return unpacked if self._has_alpha(first) else replace(unpacked, alpha=None)

    def shape(self) -> Shape:
        first, shape = self._partial(), super().shape()
        return shape if first is None else replace(shape, channels=3, alpha=self._has_alpha(first))

    def _partial(self) -> _Stored | None:
        """The first frame, if it leaves something of the picture uncovered."""
        first = next(_stored(self.data), None)
        whole = (0, 0, *self.image.size)
        return None if first is None or (first.left, first.top, first.width, first.height) == whole else first

    def _has_alpha(self, first: _Stored) -> bool:
        return first.has_transparency or _background(self.data)[3] == 0

    def count_frames(self, *, max_pixels: int) -> int:
        return count_frames(self.data, most=opening.MOST_FRAMES + 1, max_pixels=max_pixels)


@dataclass(frozen=True)
class _Stored:
    """One frame as it lies in the file: where it goes, its milliseconds, and a GIF of it alone."""

    left: int
    top: int
    width: int
    height: int
    duration: float
    disposal: int
    has_transparency: bool
    alone: bytes


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of a GIF."""
    return GifReader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)


def frames(data: bytes, size: tuple[int, int]) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Each frame as it is shown, `[H, W, 4]`, RGB and straight alpha, and its milliseconds.

    As ffmpeg and Pillow see it, what nothing covers has the background colour, unless the frame in question knows
    transparency; browsers show it transparent whatever the file says.

    Args:
        size: width and height of the picture; what frames have beyond it is not seen.

    Raises:
        DamageError: a frame is cut off. Others of Pillow's exceptions tell other damage.
    """
    background = _background(data)
    canvas: NDArray[np.uint8] | None = None
    for stored in _stored(data):
        uncovered = 0 if stored.has_transparency else background
        if canvas is None:
            canvas = np.full((size[1], size[0], 4), uncovered, np.uint8)
        box = (slice(stored.top, stored.top + stored.height), slice(stored.left, stored.left + stored.width))
        before = canvas[box].copy()
        if before.size:
            with Image.open(io.BytesIO(stored.alone), formats=["GIF"]) as image:
                drawn = np.asarray(image.convert("RGBA"))[: before.shape[0], : before.shape[1]]
            canvas[box] = np.where(drawn[..., 3:] > 0, drawn, before)
        yield canvas.copy(), stored.duration
        if stored.disposal == _CLEAR:
            canvas[box] = uncovered
        elif stored.disposal == _RESTORE:
            canvas[box] = before


def _background(data: bytes) -> tuple[int, int, int, int]:
    """The colour of what nothing covers; transparent where the file has no table that says it."""
    at = 13 + 3 * data[11]
    is_there = data[11] * 3 < table_bytes(data[10]) and at + 3 <= len(data)
    return (*data[at : at + 3], 255) if is_there else (0, 0, 0, 0)


def _stored(data: bytes) -> Iterator[_Stored]:
    """The frames in order."""
    shared = data[13 : 13 + table_bytes(data[10])] if len(data) > 13 else b""
    control, at = b"", 13 + len(shared)
    while at < len(data) and data[at] != TRAILER:
        start = at
        if data[at] == DESCRIPTOR:
            if at + 10 >= len(data):
                raise DamageError("the file is cut off")
            own = data[at + 10 : at + 10 + table_bytes(data[at + 9])]
            pixels = at + 10 + len(own)
            at = behind_blocks(data, pixels + 1)
            yield _frame(data[start:pixels], data[pixels:at], own or shared, control)
            control = b""
        elif data[at] == INTRODUCER:
            at = behind_blocks(data, at + 2)
            if data[start + 1 : start + 2] == bytes([CONTROL]) and at - start >= 8:
                control = data[start:at]
        else:
            at += 1


def _frame(descriptor: bytes, pixels: bytes, table: bytes, control: bytes) -> _Stored:
    left, top, width, height, flags = struct.unpack_from("<HHHHB", descriptor, 1)
    packed, delay = struct.unpack_from("<BH", control, 3) if control else (0, 0)
    size = struct.pack("<HH", width, height)
    length = (len(table) // 3).bit_length() - 2  # of a table of 2 ** (length + 1) colours
    head = b"GIF89a" + size + bytes([_HAS_TABLE | length if table else 0, 0, 0]) + table
    place = bytes([DESCRIPTOR]) + bytes(4) + size + bytes([flags & _INTERLACED])
    alone = head + control + place + pixels + bytes([TRAILER])
    return _Stored(left, top, width, height, 10.0 * delay, packed >> 2 & 7, bool(packed & _HAS_TRANSPARENCY), alone)


def count_frames(data: bytes, *, most: int, max_pixels: int) -> int:
    """Frames told by the blocks alone, no further than `most`; 0 where a later frame claims more than `max_pixels`."""
    count, at = 0, 13 + table_bytes(data[10]) if len(data) > 13 else len(data)
    while at < len(data) and count < most:
        if data[at] == DESCRIPTOR and at + 10 < len(data):
            left, top, width, height = struct.unpack_from("<HHHH", data, at + 1)
            if count and (left + width) * (top + height) > max_pixels:
                return 0
            count += 1
            at = behind_blocks(data, at + 11 + table_bytes(data[at + 9]))
        elif data[at] == INTRODUCER:
            at = behind_blocks(data, at + 2)
        elif data[at] == TRAILER:
            break
        else:
            at += 1
    return count


def table_bytes(flags: int) -> int:
    """The bytes of a table of colours, by the flags that announce it."""
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def behind_blocks(data: bytes, at: int) -> int:
    """Where a chain of sub-blocks that begins at `at` has ended."""
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1
