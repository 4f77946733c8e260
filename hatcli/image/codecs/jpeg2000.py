"""JPEG 2000: how many bits a sample its codestream has, and colours of more than 8, which Pillow cannot keep."""

from __future__ import annotations

from dataclasses import replace

from hatcli.image import samples
from hatcli.image.codecs import opencv
from hatcli.image.codecs.reader import PillowReader, Shape, opened_by_pillow

_START = b"\xff\x4f\xff\x51"  # start of the codestream and its size marker
_YCBCR = b"\0\0\0\x12"  # a number of the container's for a space of colours
_COUNT, _FIRST, _LENGTH = 40, 42, 3  # where behind it the channels are counted and told, each in three bytes


class Jpeg2000Reader(PillowReader):
    """A JPEG 2000, alone or in its container."""

    def unpack(self) -> samples.Unpacked:
        """What Pillow gives, but for colours of more than 8 bits: it takes the brightest of them for the darkest."""
        if not self._is_deep_color:
            return super().unpack()
        if self.image.mode not in ("RGB", "RGBA") or len(set(self._channels())) > 1 or self._is_ycbcr:
            raise NotImplementedError("gray with alpha, inks, channels of several depths or sizes, or YCbCr")
        self.image.load()  # this tells what is cut off; OpenCV does not
        array = opencv.decoded(self.data)
        if array.shape[:2] != self.image.size[::-1]:
            raise ValueError("the decoder gave another size")
        return samples.from_array(samples.widened(array, peak=2 ** min(self.stored_bits(), 16) - 1))

    def shape(self) -> Shape:
        shape = super().shape()
        return replace(shape, bits=16) if self._is_deep_color else shape

    def stored_bits(self) -> int:
        return max((told[0] & 0x7F) + 1 for told in self._channels() or [b"\x07"])

    @property
    def _is_deep_color(self) -> bool:
        return self.stored_bits() > 8 and self.image.mode not in samples.DEEP_MODES

    @property
    def _is_ycbcr(self) -> bool:
        """Whether the container says so; in a codestream alone that cannot be told."""
        at = self.data.find(b"colr\x01", 0, max(self.data.find(_START), 0))
        return at >= 0 and self.data[at + 7 : at + 11] == _YCBCR

    def _channels(self) -> list[bytes]:
        """What the codestream says of each channel: bits, and how many pixels each sample stands for."""
        start = self.data.find(_START)
        if start < 0:
            return []
        count = int.from_bytes(self.data[start + _COUNT : start + _FIRST], "big")
        told = self.data[start + _FIRST : start + _FIRST + count * _LENGTH]
        return [told[at : at + _LENGTH] for at in range(0, len(told), _LENGTH)]


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of a JPEG 2000."""
    return Jpeg2000Reader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)
