"""SGI pictures: how many bits a sample they have."""

from __future__ import annotations

from hatcli.image.codecs.reader import Reader, opened_by_pillow


class SgiReader(Reader):
    """An SGI picture."""

    def stored_bits(self) -> int:
        return self.data[3] * 8


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of an SGI picture."""
    return SgiReader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)
