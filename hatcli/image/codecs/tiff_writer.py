"""Rows of samples to a TIFF of strips, with profile, EXIF, XMP and resolution; a BigTIFF where it must be one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hatcli.image import exif, ifd
from hatcli.image.codecs.writer import Rows, Writer, regrouped
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Samples

_STRIP = 2**19  # bytes of samples a strip holds
_CLASSIC_LIMIT = 2**32 - 2**24  # bytes; above it, offsets may not fit 32 bits
_XMP, _ICC = 700, 34675


@dataclass(frozen=True)
class Appended:
    """A TIFF that more pages may follow: where it begins, how it is written, where the next page's place is said."""

    base: int
    order: str
    big: bool
    following: int


def write(
    file: BinaryIO,
    blocks: Iterable[Samples],
    *,
    width: int,
    height: int,
    channels: int,
    bits: int,
    level: int,
    icc: bytes | None = None,
    exif_block: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    big: bool | None = None,
    page: Appended | None = None,
) -> Appended:
    """Write a whole TIFF to `file`, which must be able to seek and is written from where it stands; or one more page.

    Args:
        blocks: consecutive rows `[rows, width, channels]`, together `height` of them; gray, gray and alpha, RGB, or
            RGB and alpha, alpha straight.
        level: zlib's, 1 to 9, or 0 for no compression.
        exif_block: stands at the very beginning, so that all its offsets, a MakerNote's too, are right as they are.
        big: BigTIFF or not; by default as the size needs it.
        page: what is in the file already, of which this becomes the next page.

    Returns:
        What is in the file now.
    """
    row_bytes = width * channels * bits // 8
    if page is not None:
        big = page.big
    if big is None:
        big = row_bytes * height + sum(len(part or b"") for part in (icc, exif_block, xmp)) > _CLASSIC_LIMIT
    front = exif_block if exif_block is not None and not big and page is None else None
    order = page.order if page is not None else ifd.header(front).order if front is not None else "<"
    base = file.tell() if page is None else page.base
    if page is None:
        start = front if front is not None else _header(order=order, big=big, first=0)
        file.write(start + b"\0" * (len(start) % 2))
    rows_a_strip = max(1, min(height, _STRIP // row_bytes))
    places = [
        _written(file, _packed(strip, order=order, level=level), base=base)
        for strip in regrouped(blocks, rows=rows_a_strip)
    ]

    kind = ifd.LONG8 if big else ifd.LONG
    fields = _pixel_fields(width, height, channels=channels, bits=bits, level=level, order=order)
    fields += [
        ifd.numbers(273, kind, *(at for at, _ in places), order=order),
        ifd.numbers(278, ifd.LONG, rows_a_strip, order=order),
        ifd.numbers(279, kind, *(length for _, length in places), order=order),
    ]
    fields += _plain_fields(icc=icc, xmp=xmp, dpi=dpi, exif_block=exif_block, order=order)
    if exif_block is not None:
        for tag, entries in exif.pointed_directories(exif_block, order=order).items():
            at = file.tell() - base
            if front is not None:
                at = exif.pointer(exif_block, tag)
            else:
                file.write(ifd.layout(entries, at=at, order=order, big=big))
            fields.append(ifd.numbers(tag, kind, at, order=order))
    at = file.tell() - base
    file.write(ifd.layout(fields, at=at, order=order, big=big))
    file.seek(base if page is None else base + page.following)
    file.write(_header(order=order, big=big, first=at) if page is None else _pointer(at, order=order, big=big))
    file.seek(0, 2)
    return Appended(base, order, big, at + (8 + 20 * len(fields) if big else 2 + 12 * len(fields)))


def _pointer(at: int, *, order: str, big: bool) -> bytes:
    return struct.pack(order + ("Q" if big else "I"), at)


def _written(file: BinaryIO, body: bytes, *, base: int) -> tuple[int, int]:
    """Where in the TIFF a strip begins, and its bytes; the next one begins at an even place."""
    at = file.tell() - base
    file.write(body + b"\0" * (len(body) % 2))
    return at, len(body)


def _header(*, order: str, big: bool, first: int) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, first)
    return mark + struct.pack(order + "HI", 42, first)


def _pixel_fields(width: int, height: int, *, channels: int, bits: int, level: int, order: str) -> list[ifd.Entry]:
    """The fields that say how the pixels lie."""
    fields = [
        ifd.numbers(256, ifd.LONG, width, order=order),
        ifd.numbers(257, ifd.LONG, height, order=order),
        ifd.numbers(258, ifd.SHORT, *[bits] * channels, order=order),
        ifd.numbers(259, ifd.SHORT, 8 if level else 1, order=order),  # Adobe deflate, or nothing
        ifd.numbers(262, ifd.SHORT, 2 if channels >= 3 else 1, order=order),  # RGB, or black is zero
        ifd.numbers(277, ifd.SHORT, channels, order=order),
        ifd.numbers(284, ifd.SHORT, 1, order=order),  # channels side by side
    ]
    if level:
        fields.append(ifd.numbers(317, ifd.SHORT, 2, order=order))  # differences to the pixel on the left
    if channels in (2, 4):
        fields.append(ifd.numbers(338, ifd.SHORT, 2, order=order))  # straight alpha
    return fields


def _plain_fields(
    *, icc: bytes | None, xmp: bytes | None, dpi: tuple[float, float] | None, exif_block: bytes | None, order: str
) -> list[ifd.Entry]:
    """The fields that stand for profile, XMP, resolution and the first directory of an EXIF block."""
    fields = []
    if icc is not None:
        fields.append(ifd.Entry(_ICC, ifd.UNDEFINED, len(icc), icc))
    if xmp is not None:
        fields.append(ifd.Entry(_XMP, ifd.BYTE, len(xmp), xmp))
    if dpi is not None:
        fields += exif.resolution_fields(dpi, order=order)
    if exif_block is not None:
        fields += exif.descriptive_fields(exif_block, order=order)
    return fields


def _packed(strip: Samples, *, order: str, level: int) -> bytes:
    values: NDArray[np.generic] = strip
    if level:
        differences = strip.copy()
        differences[:, 1:] -= strip[:, :-1]
        values = differences
    if strip.dtype == np.uint16:
        values = values.astype(order + "u2")
    return zlib.compress(values.tobytes(), level) if level else values.tobytes()


def write_rows(file: BinaryIO, rows: Rows, options: EncodeOptions) -> None:
    """A picture as it comes, with its profile, metadata and resolution."""
    write_page(file, rows, options)


def write_page(
    file: BinaryIO, rows: Rows, options: EncodeOptions, *, big: bool | None = None, page: Appended | None = None
) -> Appended:
    """The same as the first or the next page of a file."""
    like = rows.like
    return write(
        file,
        rows.blocks,
        width=rows.width,
        height=rows.height,
        channels=rows.channels,
        bits=like.bits,
        level=options.zlib_level,
        icc=like.icc,
        exif_block=like.exif,
        xmp=like.xmp,
        dpi=like.dpi,
        big=big,
        page=page,
    )


WRITER = Writer(largest_side=2**32 - 1, write_rows=write_rows, holds_depth=True, holds_alpha=True)
