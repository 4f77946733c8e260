"""`Picture` to files: whole or not at all, with profile, metadata and resolution as far as a format can carry them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hatcli.atomic import replacing
from hatcli.errors import OutputError, UsageError
from hatcli.image import color, exif, formats, metadata, png, png_writer, saving, tiff_writer
from hatcli.image.codecs import gif
from hatcli.image.picture import Picture, Samples, eight_bits

FAST_COMPRESSION = 1  # zlib's level; 6 takes five times as long for an eighth less
DEFAULT_QUALITY = {"JPEG": 95, "WEBP": 90, "AVIF": 85}
_SIDES = {
    "PNG": png_writer.LARGEST_SIDE, "TIFF": tiff_writer.LARGEST_SIDE,
    "JPEG": 65500, "WEBP": 16383, "AVIF": 32768, "GIF": 65535, "BMP": 2**31 - 1,
}  # fmt: skip
_AREAS = {"AVIF": 16384 * 16384, "BMP": (2**32 - 2**16) // 4}  # what AVIF readers accept; what BMP can count in bytes
_DEEP = ("PNG", "TIFF")
_TRANSPARENT = ("PNG", "TIFF", "WEBP", "AVIF", "GIF")
_WITHOUT_PROFILE = ("BMP", "GIF")
_MOST_JPEG_EXIF, _MOST_JPEG_XMP = 65533 - len(exif.PREFIX), 65504 - 29  # one marker's worth
_WHITE = 255


@dataclass(frozen=True)
class EncodeOptions:
    """What the user may decide about a file.

    Attributes:
        quality: 1 to 100 for JPEG, WebP and AVIF; None for the format's default.
        lossless: WebP without loss; no effect on formats that never lose anything.
        compression: 0 to 9 for PNG and TIFF, higher is smaller and slower; None for a fast one.
        strip_metadata: leave EXIF and XMP out; the colour profile stays, since colours would change without it.
        dpi: pixels an inch to write instead of the picture's own.
    """

    quality: int | None = None
    lossless: bool = False
    compression: int | None = None
    strip_metadata: bool = False
    dpi: float | None = None


def format_for(name: str | Path) -> str | None:
    """The format to write by a path, a suffix or a format's name: `WEBP` for `a.webp`, `.webp`, `webp`; or None."""
    text = str(name)
    suffix = Path(text).suffix or text
    known = formats.SUFFIXES.get("." + suffix.removeprefix(".").lower())
    if known is None and suffix.upper() in formats.WRITABLE:
        known = suffix.upper()
    return known if known in formats.WRITABLE else None


def ending_for(format: str) -> str:
    """The usual file ending of a format that can be written."""
    return formats.SUFFIX_OF[format]


def check_format(
    format: str,
    *,
    width: int,
    height: int,
    bits: int,
    alpha: bool,
    gray: bool,
    options: EncodeOptions | None = None,
) -> list[str]:
    """A sentence for each thing the format cannot carry; cheap, meant to be asked before any work.

    Raises:
        OutputError: the format cannot hold a picture of this size.
        UsageError: the options contradict the format.
    """
    _check_options(format, options or EncodeOptions())
    title = formats.title(format)
    side, area = _SIDES[format], _AREAS.get(format)
    if max(width, height) > side or (area is not None and width * height > area):
        most = f"{side} pixels a side" if max(width, height) > side else f"{area / 1e6:.0f} megapixels" if area else ""
        message = f"{width} x {height} pixels are too many for {title}, which holds at most {most}"
        raise OutputError(message, hint="write PNG or TIFF instead: --format png")
    notes = []
    if alpha and format not in _TRANSPARENT:
        notes.append(f"{title} has no transparency: the picture is laid on white")
    if alpha and format == "GIF":
        notes.append("GIF knows no half-transparency: pixels are either seen or not")
    if bits > 8 and format not in _DEEP:
        notes.append(f"{title} is written with 8 bits a sample: the {bits} bits are rounded")
    if gray and format in ("WEBP", "AVIF"):
        notes.append(f"{title} is written in colour: the gray picture becomes RGB")
    if format == "GIF" and (alpha or not gray):
        notes.append("GIF has 256 colours: the others are approximated")
    return notes


def write(
    picture: Picture,
    path: Path,
    *,
    format: str | None = None,
    options: EncodeOptions | None = None,
    overwrite: bool,
) -> list[str]:
    """Write a picture to a file, which is whole or absent at any time, and tell what of it could not be kept.

    Args:
        format: one of `formats.WRITABLE`; by the path's suffix if None.
        overwrite: replace a file that is there.

    Raises:
        UsageError: the suffix is of no known format, or the file is there already.
        OutputError: the format cannot hold the picture, or the file cannot be written.
    """
    format = format or format_for(path)
    if format is None:
        known = " ".join(formats.SUFFIX_OF.values())
        raise UsageError(f"{path.name} has no suffix that says its format", hint=f"use one of {known}")
    if not overwrite and _exists(path):
        raise UsageError(f"{path} is there already", hint="add --overwrite to replace it")
    with replacing(path, replace=overwrite) as file:
        return write_into(file, picture, format=format, options=options)


def write_into(file: BinaryIO, picture: Picture, *, format: str, options: EncodeOptions | None = None) -> list[str]:
    """Encode a picture into an open file that can seek, and tell what of it could not be kept.

    Raises:
        OutputError: the format cannot hold the picture, or its encoder fails.
        MemoryLimitError: encoding needs more memory than there is.
    """
    with saving.explained(format):
        return _encode_into(file, picture, format, options or EncodeOptions())


STREAMED = ("PNG", "TIFF")  # formats whose rows can be written as they come


def write_rows_into(
    file: BinaryIO,
    blocks: Iterable[Samples],
    like: Picture,
    *,
    width: int,
    height: int,
    alpha: bool,
    format: str,
    options: EncodeOptions | None = None,
) -> list[str]:
    """Encode a picture that need never be in memory whole, and tell what of it could not be kept.

    Args:
        blocks: consecutive rows `[rows, width, channels]`, together `height` of them, alpha as the last channel.
        like: whose depth, profile, metadata and resolution the result has.
        alpha: whether there is an alpha channel.
        format: one of `STREAMED`.

    Raises:
        OutputError: the format cannot hold the picture, or its encoder fails.
        MemoryLimitError: encoding needs more memory than there is.
    """
    options = options or EncodeOptions()
    if format not in STREAMED:
        raise ValueError(f"{format} cannot be written row by row")
    notes = check_format(
        format, width=width, height=height, bits=like.bits, alpha=alpha, gray=like.is_gray, options=options
    )
    like, lost = carried(like, width=width, height=height, options=options)
    write = _write_png if format == "PNG" else _write_tiff
    channels = like.pixels.shape[2] + alpha
    with saving.explained(format):
        rows = saving.passed_on(blocks)
        write(file, rows, like, width=width, height=height, channels=channels, options=options)
    return [*notes, *lost]


def encode(picture: Picture, *, format: str, options: EncodeOptions | None = None) -> bytes:
    """The bytes of a file, for where there is none: a pipe, or an answer.

    Raises:
        OutputError: the format cannot hold the picture, or its encoder fails.
        MemoryLimitError: encoding needs more memory than there is.
    """
    file = io.BytesIO()
    write_into(file, picture, format=format, options=options)
    return file.getvalue()


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:  # a name too long, a folder missing: writing will say which
        return False
    return True


def _check_options(format: str, options: EncodeOptions) -> None:
    title = formats.title(format)
    if options.quality is not None and not 1 <= options.quality <= 100:
        raise UsageError(f"a quality of {options.quality} is not between 1 and 100", hint="try --quality 90")
    if options.compression is not None and not 0 <= options.compression <= 9:
        raise UsageError(f"a compression of {options.compression} is not between 0 and 9", hint="try --compression 6")
    if options.lossless and format in ("JPEG", "AVIF", "GIF"):
        hint = "write webp, png or tiff, or leave --lossless out"
        raise UsageError(f"{title} cannot be written without loss", hint=hint)


def _encode_into(file: BinaryIO, picture: Picture, format: str, options: EncodeOptions) -> list[str]:
    """Encode in any format; returns a sentence for each thing that was not kept."""
    notes = check_format(
        format,
        width=picture.width,
        height=picture.height,
        bits=picture.bits,
        alpha=picture.alpha is not None and bool((picture.alpha < np.iinfo(picture.alpha.dtype).max).any()),
        gray=picture.is_gray,
        options=options,
    )
    picture, lost = carried(picture, width=picture.width, height=picture.height, options=options)
    block, packet = picture.exif, picture.xmp
    if picture.icc is not None and format in _WITHOUT_PROFILE:
        lost.append(f"{formats.title(format)} holds no colour profile: it is left out")
    if (block or packet) is not None and format in _WITHOUT_PROFILE:
        lost.append(f"{formats.title(format)} holds no EXIF and no XMP: they are left out")
    if format in STREAMED:
        write = _write_png if format == "PNG" else _write_tiff
        width, height = picture.width, picture.height
        channels = int(picture.pixels.shape[2]) + (picture.alpha is not None)
        write(file, _blocks(picture), picture, width=width, height=height, channels=channels, options=options)
    elif format == "GIF":
        gif.write(file, [(picture, 0.0)], loops=1, is_animated=False)
    else:
        encoded, more = {"JPEG": _jpeg, "WEBP": _webp, "AVIF": _avif, "BMP": _bmp}[format](picture, options)
        file.write(encoded)
        lost += more
    return [*notes, *lost]


def carried(picture: Picture, *, width: int, height: int, options: EncodeOptions) -> tuple[Picture, list[str]]:
    """The picture with the resolution and the metadata that its file will have, and what of them was left out."""
    if options.dpi is not None:
        picture = replace(picture, dpi=(options.dpi, options.dpi))
    block, packet, lost = metadata.for_output(picture, width=width, height=height, strip=options.strip_metadata)
    return replace(picture, exif=block, xmp=packet), lost


def _blocks(picture: Picture, *, rows: int = 256) -> Iterable[Samples]:
    """The picture's rows in blocks, alpha as the last channel."""
    for top in range(0, picture.height, rows):
        pixels = picture.pixels[top : top + rows]
        if picture.alpha is None:
            yield pixels
        else:
            yield np.concatenate([pixels, picture.alpha[top : top + rows, :, None]], axis=2)


def _write_png(
    file: BinaryIO,
    blocks: Iterable[Samples],
    like: Picture,
    *,
    width: int,
    height: int,
    channels: int,
    options: EncodeOptions,
) -> None:
    level = FAST_COMPRESSION if options.compression is None else options.compression
    extra = png.metadata_chunks(icc=like.icc, exif=like.exif, xmp=like.xmp, dpi=like.dpi)
    parts = png_writer.encode(
        blocks, width=width, height=height, channels=channels, bits=like.bits, level=level, extra=extra
    )
    for part in parts:
        file.write(part)


def _write_tiff(
    file: BinaryIO,
    blocks: Iterable[Samples],
    like: Picture,
    *,
    width: int,
    height: int,
    channels: int,
    options: EncodeOptions,
) -> None:
    tiff_writer.write(
        file,
        blocks,
        width=width,
        height=height,
        channels=channels,
        bits=like.bits,
        level=FAST_COMPRESSION if options.compression is None else options.compression,
        icc=like.icc,
        exif_block=like.exif,
        xmp=like.xmp,
        dpi=like.dpi,
    )


def _jpeg(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    keywords: dict[str, Any] = {"quality": options.quality or DEFAULT_QUALITY["JPEG"], "subsampling": "4:4:4"}
    lost = []
    if picture.exif is not None and len(picture.exif) > _MOST_JPEG_EXIF:
        lost.append(f"EXIF of {len(picture.exif) // 1000} kB is more than JPEG holds: it is left out")
    elif picture.exif is not None:
        keywords["exif"] = exif.PREFIX + picture.exif
    if picture.xmp is not None and len(picture.xmp) > _MOST_JPEG_XMP:
        lost.append(f"XMP of {len(picture.xmp) // 1000} kB is more than JPEG holds in one piece: it is left out")
    elif picture.xmp is not None:
        keywords["xmp"] = picture.xmp
    if picture.dpi is not None and all(1 <= round(value) <= 65535 for value in picture.dpi):
        keywords["dpi"] = tuple(round(value) for value in picture.dpi)
    return saving.saved(_flattened(picture), "JPEG", icc_profile=picture.icc, **keywords), lost


def _webp(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    picture = in_color(picture)
    keywords: dict[str, Any] = {"quality": options.quality or DEFAULT_QUALITY["WEBP"], "method": 4}
    if options.lossless:  # quality is then how hard to try, and colours under transparency are kept as well
        keywords = {"lossless": True, "exact": True, "quality": 50, "method": 4}
    keywords |= carried_by_pillow(picture, "WEBP", options)
    return saving.saved(stacked(picture), "WEBP", **keywords), []


def _avif(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    picture = in_color(picture)
    quality = options.quality or DEFAULT_QUALITY["AVIF"]
    beside = carried_by_pillow(picture, "AVIF", options)
    return saving.saved(stacked(picture), "AVIF", quality=quality, subsampling="4:4:4", speed=8, **beside), []


def carried_by_pillow(picture: Picture, format: str, options: EncodeOptions) -> dict[str, Any]:
    """Profile and metadata as Pillow takes them for WebP and AVIF, which have no other place for the resolution."""
    block = picture.exif
    if block is None and picture.dpi is not None and not options.strip_metadata:
        block = exif.for_resolution(picture.dpi)
    if block is not None and format == "AVIF":
        block = exif.without_orientation(block)  # Pillow would write it anew, with losses
    return {"icc_profile": picture.icc, "exif": block, "xmp": picture.xmp}


def _bmp(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    return saving.saved(_flattened(picture), "BMP", dpi=picture.dpi or (0, 0)), []  # else Pillow writes 96


def in_color(picture: Picture) -> Picture:
    """The picture with 8 bits, and RGB: gray through its profile."""
    pixels, alpha = eight_bits(picture.pixels), None if picture.alpha is None else eight_bits(picture.alpha)
    if not picture.is_gray:
        return replace(picture, pixels=pixels, alpha=alpha)
    return replace(picture, pixels=color.gray_to_srgb(pixels, picture.icc), alpha=alpha, icc=None)


def stacked(picture: Picture) -> NDArray[np.uint8]:
    pixels = eight_bits(picture.pixels)
    if picture.alpha is None:
        return pixels
    return np.concatenate([pixels, eight_bits(picture.alpha)[..., None]], axis=2)


def _flattened(picture: Picture) -> NDArray[np.uint8]:
    """The picture with 8 bits and no transparency, laid on white."""
    pixels = eight_bits(picture.pixels)
    if picture.alpha is None:
        return pixels
    alpha = eight_bits(picture.alpha)[..., None].astype(np.uint16)
    return ((pixels * alpha + _WHITE * (255 - alpha) + 127) // 255).astype(np.uint8)
