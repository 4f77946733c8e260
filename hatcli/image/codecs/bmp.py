"""BMP written: 8 bits a sample, no transparency."""

from __future__ import annotations

from hatcli.image import saving
from hatcli.image.codecs.writer import Writer, flattened
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture


def encode(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    """The bytes of a BMP."""
    return saving.saved(flattened(picture), "BMP", dpi=picture.dpi or (0, 0)), []  # else Pillow writes 96


# What a BMP can count in bytes.
WRITER = Writer(largest_side=2**31 - 1, largest_area=(2**32 - 2**16) // 4, encode=encode, holds_metadata=False)
