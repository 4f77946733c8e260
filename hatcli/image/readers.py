"""Which codec reads a format."""

from __future__ import annotations

from typing import Protocol

from hatcli.image import opening
from hatcli.image.codecs import avif, exr, gif, heif, jpeg, jpeg2000, jxl, png_reader, pnm, psd, raw, sgi, tga, tiff
from hatcli.image.codecs.reader import Reader, opened_by_pillow
from hatcli.image.options import DecodeOptions


class _Opener(Protocol):
    def __call__(self, data: bytes, format: str, *, name: str, max_pixels: int) -> Reader: ...


_OPENERS: dict[str, _Opener] = {  # the others need nothing but Pillow
    "PNG": png_reader.opened,
    "JPEG": jpeg.opened,
    "AVIF": avif.opened,
    "GIF": gif.opened,
    "JPEG2000": jpeg2000.opened,
    "PPM": pnm.opened,
    "SGI": sgi.opened,
    "TGA": tga.opened,
    "PSD": psd.opened,
    "HEIF": heif.opened,
    "JXL": jxl.opened,
    "EXR": exr.opened,
}


def open_reader(
    data: bytes, format: str, *, name: str, max_pixels: int, options: DecodeOptions | None = None
) -> Reader:
    """A file of a known format, its header read; to be called inside `opening.explained` and `opening.pillow_limit`.

    Raises:
        InputError: the picture is larger than `max_pixels`, or a camera raw file.
        Exception: the file is damaged, in whatever way its decoder puts it.
    """
    opening.quiet()
    if format == "RAW":
        profile = (options or DecodeOptions()).raw_profile
        return raw.opened(data, format, name=name, max_pixels=max_pixels, profile=profile)
    if format == "TIFF":
        page = (options or DecodeOptions()).pages[0]
        return tiff.opened(data, format, name=name, max_pixels=max_pixels, page_number=page)
    return _OPENERS.get(format, opened_by_pillow)(data, format, name=name, max_pixels=max_pixels)
