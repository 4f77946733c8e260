"""Which codec writes a format."""

from __future__ import annotations

from hatcli.image.codecs import avif, bmp, exr, gif_writer, heif, jpeg, jxl, png_writer, tiff_writer, webp
from hatcli.image.codecs.writer import Writer

WRITERS: dict[str, Writer] = {
    "PNG": png_writer.WRITER,
    "JPEG": jpeg.WRITER,
    "WEBP": webp.WRITER,
    "TIFF": tiff_writer.WRITER,
    "AVIF": avif.WRITER,
    "GIF": gif_writer.WRITER,
    "BMP": bmp.WRITER,
    "HEIF": heif.WRITER,
    "JXL": jxl.WRITER,
    "EXR": exr.WRITER,
}
