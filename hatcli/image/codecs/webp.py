"""WebP written, still or moving, lossy or without loss."""

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
    keywords: dict[str, Any] = {"quality": options.quality or DEFAULT_QUALITY}
    if options.lossless:  # quality is then how hard to try, and colours under transparency are kept as well
        keywords = {"lossless": True, "exact": True, "quality": 50}
    return saving.saved(stacked(picture), "WEBP", method=4, **keywords, **carried_by_pillow(picture, options)), []


def animation_keywords(first: Picture, options: EncodeOptions) -> dict[str, Any]:
    """What Pillow is told for an animation that begins with this picture."""
    keywords: dict[str, Any] = {"quality": options.quality or DEFAULT_QUALITY, "method": 4}
    if options.lossless:
        keywords = {"lossless": True, "exact": True, "quality": 50}
    return {**keywords, **carried_by_pillow(first, options)}


WRITER = Writer(largest_side=16383, encode=encode, holds_alpha=True)
