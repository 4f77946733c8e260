"""WebP written, lossy or without loss."""

from __future__ import annotations

from typing import Any

from hatcli.image import saving
from hatcli.image.codecs.writer import Writer, carried_by_pillow, in_color, stacked
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

DEFAULT_QUALITY = 90


def encode(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    """The bytes of a WebP."""
    picture = in_color(picture)
    return saving.saved(stacked(picture), "WEBP", **keywords(options), **carried_by_pillow(picture, options)), []


def keywords(options: EncodeOptions) -> dict[str, Any]:
    """What Pillow is told about the compression."""
    if options.lossless:  # quality is then how hard to try, and colours under transparency are kept as well
        return {"lossless": True, "exact": True, "quality": 50, "method": 4}
    return {"quality": options.quality or DEFAULT_QUALITY, "method": 4}


WRITER = Writer(largest_side=16383, encode=encode, holds_alpha=True)
