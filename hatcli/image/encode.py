"""`Picture` to files: whole or not at all, with profile, metadata and resolution as far as a format can carry them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hatcli.atomic import replacing
from hatcli.errors import OutputError, UsageError
from hatcli.image import extras, formats, metadata, saving, tone
from hatcli.image.codecs.writer import Rows, rows_of
from hatcli.image.light import Light
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples
from hatcli.image.writers import WRITERS

STREAMED = tuple(name for name, writer in WRITERS.items() if writer.write_rows is not None)  # rows as they come

_WRITTEN_BY_PEOPLE = ("Title", "Author", "Description", "Copyright", "Comment", "Disclaimer", "parameters")


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
    light: Light | None = None,
) -> list[str]:
    """A sentence for each thing the format cannot carry; cheap, meant to be asked before any work.

    Raises:
        OutputError: the format cannot hold a picture of this size or of this dynamic range, or its library is missing.
        UsageError: the options contradict the format.
    """
    _check_options(format, options or EncodeOptions())
    extras.check_writable(format)
    _check_light(format, light)
    writer, title = WRITERS[format], formats.title(format)
    side, area = writer.largest_side, writer.largest_area
    if max(width, height) > side or (area is not None and width * height > area):
        most = f"{side} pixels a side" if max(width, height) > side else f"{area / 1e6:.0f} megapixels" if area else ""
        message = f"{width} x {height} pixels are too many for {title}, which holds at most {most}"
        raise OutputError(message, hint="write PNG or TIFF instead: --format png")
    notes = []
    if alpha and not writer.holds_alpha:
        notes.append(f"{title} has no transparency: the picture is laid on white")
    if alpha and format == "GIF":
        notes.append("GIF knows no half-transparency: pixels are either seen or not")
    if bits > 8 and not writer.holds_depth:
        notes.append(f"{title} is written with {writer.holds_bits} bits a sample: the {bits} bits are rounded")
    if gray and format in ("WEBP", "AVIF"):
        notes.append(f"{title} is written in colour: the gray picture becomes RGB")
    if light is not None and light.is_scene and format != "EXR":
        notes.append(tone.NOTE)
    if format == "GIF" and (alpha or not gray):
        notes.append("GIF has 256 colours: the others are approximated")
    return notes


def _check_light(format: str, light: Light | None) -> None:
    """Refuse high dynamic range where it would silently become something else."""
    if light is None or light.is_scene or WRITERS[format].holds_light:
        return
    holding = " or ".join(formats.title(name) for name, writer in WRITERS.items() if writer.holds_light)
    raise OutputError(
        f"the picture is {light.name}, which {formats.title(format)} cannot say", hint=f"write {holding}: --format png"
    )


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
    write_rows = WRITERS[format].write_rows
    if write_rows is None:
        raise ValueError(f"{format} cannot be written row by row")
    notes = check_format(
        format,
        width=width,
        height=height,
        bits=like.bits,
        alpha=alpha,
        gray=like.is_gray,
        options=options,
        light=like.light,
    )
    if like.light is not None and like.light.is_scene:
        blocks = tone.shown_blocks(blocks, like.light, colors=like.pixels.shape[2])
        like = replace(like, light=None)
    like, lost = carried(like, width=width, height=height, options=options)
    lost += _lost_texts(like, format)
    channels = like.pixels.shape[2] + alpha
    with saving.explained(format):
        write_rows(file, Rows(saving.passed_on(blocks), like, width, height, channels), options)
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


def _lost_texts(picture: Picture, format: str) -> list[str]:
    """What to say where a format other than PNG has no room for what people wrote."""
    names = [name for name, value in picture.texts if name in _WRITTEN_BY_PEOPLE and value.strip()]
    return [f"PNG's texts are left out: {', '.join(names)}"] if names and format != "PNG" else []


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
    if options.lossless and format in ("JPEG", "AVIF", "GIF", "HEIF"):
        hint = "write webp, png, jxl or tiff, or leave --lossless out"
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
        light=picture.light,
    )
    picture = picture if format == "EXR" else tone.shown_picture(picture)
    picture, lost = carried(picture, width=picture.width, height=picture.height, options=options)
    lost += _lost_texts(picture, format)
    writer, title = WRITERS[format], formats.title(format)
    if picture.icc is not None and not writer.holds_metadata:
        lost.append(f"{title} holds no colour profile: it is left out")
    if (picture.exif or picture.xmp) is not None and not writer.holds_metadata:
        lost.append(f"{title} holds no EXIF and no XMP: they are left out")
    if writer.write_rows is not None:
        writer.write_rows(file, rows_of(picture), options)
    elif writer.encode is not None:
        encoded, more = writer.encode(picture, options)
        file.write(encoded)
        lost += more
    return [*notes, *lost]


def carried(picture: Picture, *, width: int, height: int, options: EncodeOptions) -> tuple[Picture, list[str]]:
    """The picture with the resolution and the metadata that its file will have, and what of them was left out."""
    if options.dpi is not None:
        picture = replace(picture, dpi=(options.dpi, options.dpi))
    block, packet, lost = metadata.for_output(picture, width=width, height=height, strip=options.strip_metadata)
    texts = () if options.strip_metadata else picture.texts
    return replace(picture, exif=block, xmp=packet, texts=texts), lost
