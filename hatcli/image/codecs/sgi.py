"""SGI pictures: how many bits a sample they have."""

from __future__ import annotations

from hatcli.image.codecs.reader import PillowReader, opened_by_pillow


class SgiReader(PillowReader):
    """An SGI picture."""

    def stored_bits(self) -> int:
        return self.data[3] * 8


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of an SGI picture."""
    return SgiReader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)
