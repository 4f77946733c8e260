"""Rows of samples to the bytes of a PNG, block by block, so that a picture need never be in memory whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hatcli.image.codecs import png
from hatcli.image.codecs.writer import Rows, Writer, regrouped
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Samples

_BLOCK = 2**20  # bytes of samples filtered at a time
_CHUNK = 2**18  # bytes of compressed data that make an IDAT worth closing
_ADAPTIVE_FROM = 6  # compression from which every row gets the filter that suits it best
_COLORS = {1: png.GRAY, 2: png.GRAY_ALPHA, 3: png.RGB, 4: png.RGB_ALPHA}


def encode(
    blocks: Iterable[Samples], *, width: int, height: int, channels: int, bits: int, level: int, extra: bytes = b""
) -> Iterator[bytes]:
    """The bytes of a PNG of these rows.

    Args:
        blocks: consecutive rows `[rows, width, channels]`, together `height` of them; gray, gray and alpha, RGB, or
            RGB and alpha.
        level: zlib's, 0 to 9. Up to 5 the filter is "up" throughout, which costs next to nothing and compresses
            photographs better than a choice row by row does at the level it saves.
        extra: whole chunks to stand between the header and the pixels.
    """
    header = struct.pack(">IIBBBBB", width, height, bits, _COLORS[channels], 0, 0, 0)
    yield png.SIGNATURE + png.chunk(b"IHDR", header) + extra
    for part in deflated(blocks, row_bytes=width * channels * (bits // 8), pixel=channels * bits // 8, level=level):
        yield png.chunk(b"IDAT", part)
    yield png.chunk(b"IEND", b"")


def deflated(blocks: Iterable[Samples], *, row_bytes: int, pixel: int, level: int) -> Iterator[bytes]:
    """Rows filtered and compressed, as IDAT and fdAT chunks hold them, in pieces; `pixel` bytes make one pixel."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, 15, 9)
    above = np.zeros(row_bytes, np.uint8)
    waiting = b""
    for block in regrouped(blocks, rows=max(1, _BLOCK // row_bytes)):
        rows = _bytes_of_rows(block)
        waiting += compressor.compress(_filtered(rows, above, pixel=pixel, level=level))
        above = rows[-1]
        if len(waiting) >= _CHUNK:
            yield waiting
            waiting = b""
    yield waiting + compressor.flush()


def _bytes_of_rows(block: Samples) -> NDArray[np.uint8]:
    """Samples as rows of bytes `[rows, bytes]`, the high byte first."""
    ordered = block.astype(">u2") if block.dtype == np.uint16 else block
    return np.ascontiguousarray(ordered).view(np.uint8).reshape(len(block), -1)


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8], *, pixel: int, level: int) -> bytes:
    """The rows as PNG wants them compressed: each behind the number of its filter."""
    over = np.concatenate([above[None], rows[:-1]])
    if level < _ADAPTIVE_FROM:
        numbers: NDArray[np.intp] | int = 2 if level else 0
        chosen = rows - over if level else rows
    else:
        candidates = np.stack([rows, *_predicted(rows, over, pixel=pixel)])
        cost = np.abs(candidates.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
        numbers = cost.argmin(axis=0)
        chosen = candidates[numbers, np.arange(len(rows))]
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0] = numbers
    out[:, 1:] = chosen
    return out.tobytes()


def _predicted(rows: NDArray[np.uint8], over: NDArray[np.uint8], *, pixel: int) -> Iterator[NDArray[np.uint8]]:
    """What filters 1 to 4 leave of the rows: sub, up, average, Paeth."""
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, pixel:], corner[:, pixel:] = rows[:, :-pixel], over[:, :-pixel]
    yield rows - left
    yield rows - over
    yield rows - ((left.astype(np.uint16) + over) >> 1).astype(np.uint8)
    a, b, c = (plane.astype(np.int16) for plane in (left, over, corner))
    to_left, to_over, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    is_left = (to_left <= to_over) & (to_left <= to_corner)
    yield rows - np.where(is_left, left, np.where(to_over <= to_corner, over, corner))


def write_rows(file: BinaryIO, rows: Rows, options: EncodeOptions) -> None:
    """A picture as it comes, with its profile, metadata and resolution."""
    like = rows.like
    extra = png.metadata_chunks(like)
    parts = encode(
        rows.blocks,
        width=rows.width,
        height=rows.height,
        channels=rows.channels,
        bits=like.bits,
        level=options.zlib_level,
        extra=extra,
    )
    for part in parts:
        file.write(part)


WRITER = Writer(largest_side=2**31 - 1, write_rows=write_rows, holds_depth=True, holds_alpha=True, holds_light=True)
