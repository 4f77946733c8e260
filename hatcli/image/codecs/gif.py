"""GIF files as blocks: frames counted without decoding them."""

from __future__ import annotations

import struct

from hatcli.image import opening
from hatcli.image.codecs.reader import PillowReader, opened_by_pillow

INTRODUCER, CONTROL, DESCRIPTOR, TRAILER = 0x21, 0xF9, 0x2C, 0x3B


class GifReader(PillowReader):
    """A GIF."""

    def count_frames(self, *, max_pixels: int) -> int:
        return count_frames(self.data, most=opening.MOST_FRAMES + 1, max_pixels=max_pixels)


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of a GIF."""
    return GifReader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)


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
