"""Targa: 16 bits a pixel, whose highest bit means something only where the header says so."""

from __future__ import annotations

from dataclasses import replace

from hatcli.image import samples
from hatcli.image.codecs.reader import PillowReader, Shape, opened_by_pillow

_DEPTH, _DESCRIPTOR = 16, 17  # where they lie in the header
_ALPHA_BITS = 0x0F


class TgaReader(PillowReader):
    """A Targa."""

    def unpack(self) -> samples.Unpacked:
        unpacked = super().unpack()
        return replace(unpacked, alpha=None) if self._has_spare_bit else unpacked

    def shape(self) -> Shape:
        shape = super().shape()
        return replace(shape, alpha=False) if self._has_spare_bit else shape

    @property
    def _has_spare_bit(self) -> bool:
        """Whether a bit is left over that Pillow takes for transparency."""
        is_short = self.data[_DEPTH] == 16 and self.image.mode == "RGBA"
        return is_short and not self.data[_DESCRIPTOR] & _ALPHA_BITS


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of a Targa."""
    return TgaReader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)
