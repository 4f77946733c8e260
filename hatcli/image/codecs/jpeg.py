"""JPEG: what it says of its resolution, and pictures written without chroma subsampling."""

from __future__ import annotations

from typing import Any

from hatcli.image import exif, gain_maps, saving
from hatcli.image.codecs.reader import PillowReader, opened_by_pillow
from hatcli.image.codecs.writer import Writer, flattened
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

DEFAULT_QUALITY = 95
_MOST_EXIF, _MOST_XMP = 65533 - len(exif.PREFIX), 65504 - 29  # one marker's worth


class JpegReader(PillowReader):
    """A JPEG."""

    def remarks(self, *, has_profile: bool) -> list[str]:
        return [gain_maps.NOTE] if gain_maps.in_jpeg(self.data) else []

    def said_resolution(self, info: dict[str, Any]) -> Any:
        """Not what Pillow makes of it, which is 72 where nothing is said."""
        per_inch = {1: 1.0, 2: 2.54}.get(info.get("jfif_unit", 0))
        return None if per_inch is None else tuple(value * per_inch for value in info["jfif_density"])


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> PillowReader:
    """The reader of a JPEG."""
    return JpegReader(data, format, opened_by_pillow(data, format, name=name, max_pixels=max_pixels).image)


def encode(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    """The bytes of a JPEG, and what did not fit into one marker."""
    keywords: dict[str, Any] = {"quality": options.quality or DEFAULT_QUALITY, "subsampling": "4:4:4"}
    lost = []
    if picture.exif is not None and len(picture.exif) > _MOST_EXIF:
        lost.append(f"EXIF of {len(picture.exif) // 1000} kB is more than JPEG holds: it is left out")
    elif picture.exif is not None:
        keywords["exif"] = exif.PREFIX + picture.exif
    if picture.xmp is not None and len(picture.xmp) > _MOST_XMP:
        lost.append(f"XMP of {len(picture.xmp) // 1000} kB is more than JPEG holds in one piece: it is left out")
    elif picture.xmp is not None:
        keywords["xmp"] = picture.xmp
    if picture.dpi is not None and all(1 <= round(value) <= 65535 for value in picture.dpi):
        keywords["dpi"] = tuple(round(value) for value in picture.dpi)
    return saving.saved(flattened(picture), "JPEG", icc_profile=picture.icc, **keywords), lost


WRITER = Writer(largest_side=65500, encode=encode)
