"""JPEG 2000: how many bits a sample its codestream has."""

from __future__ import annotations

from hatcli.image.codecs.reader import PillowReader, opened_by_pillow

_START = b"\xff\x4f\xff\x51"  # start of the codestream and its size marker


class Jpeg2000Reader(PillowReader):
    """A JPEG 2000, alone or in its container."""

    def stored_bits(self) -> int:
        start = self.data.find(_START)
        return (self.data[start + 42] & 0x7F) + 1 if 0 <= start < len(self.data) - 42 else 8


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of a JPEG 2000."""
    return Jpeg2000Reader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)
