"""Samples of 16 bits that Pillow would narrow to 8: from PNG, TIFF and PNM bytes; decides nothing about colour."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hatcli.image import ifd
from hatcli.image.formats import DamageError
from hatcli.image.picture import Samples
from hatcli.image.png import Gated, read_header

if TYPE_CHECKING:
    from types import ModuleType

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 259, 262, 274
STRIP_OFFSETS, SAMPLES, ROWS, STRIP_LENGTHS, PLANAR, PREDICTOR, EXTRA, FORMAT = 273, 277, 278, 279, 284, 317, 338, 339
FILL_ORDER, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_LENGTHS = 266, 322, 323, 324, 325
WHITE_IS_ZERO, BLACK_IS_ZERO, TIFF_RGB = 0, 1, 2
ASSOCIATED, UNASSOCIATED = 1, 2  # alpha that the colours have been multiplied by, and straight alpha
_DEFLATE = (8, 32946)
_PLACES = {STRIP_OFFSETS, STRIP_LENGTHS, TILE_OFFSETS, TILE_LENGTHS}
_STORAGE = {WIDTH, HEIGHT, COMPRESSION, ROWS, PREDICTOR, FILL_ORDER, TILE_WIDTH, TILE_LENGTH}
_ONE_CHANNEL = {BITS: 16, SAMPLES: 1, PHOTOMETRIC: BLACK_IS_ZERO}
_CODES = {ifd.BYTE: "u1", ifd.SHORT: "u2", ifd.LONG: "u4", ifd.LONG8: "u8"}
_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(rb"(P[56])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")


class Layout(Enum):
    """How the samples lie in a file, as far as Pillow alone would not read them whole."""

    PILLOW = "left to Pillow"
    PNG = "PNG of 16 bits"
    PNM = "binary PNM of more than 8 bits"
    TIFF_RGB = "16-bit RGB side by side"
    TIFF_PLANES = "16-bit channels one after the other"
    TIFF_GRAY_ALPHA = "16-bit gray and alpha side by side"


class TiffFields:
    """The fields of a TIFF's first page."""

    def __init__(self, data: bytes) -> None:
        head = ifd.header(data)
        self.order, self.big = head.order, head.big
        self.entries = ifd.read(data, head.first, order=head.order, big=head.big).entries

    def numbers(self, tag: int, *default: int) -> tuple[int, ...]:
        """The integers of a field, or `default` if it is not there or holds something else."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _CODES:
            return default
        return tuple(np.frombuffer(entry.value, self.order + _CODES[entry.kind]).tolist())


def layout_of(data: bytes, format: str) -> Layout:
    """Who reads the samples of this file."""
    if format == "PNG":
        return Layout.PNG if read_header(data).depth == 16 else Layout.PILLOW
    if format == "PPM":
        return Layout.PNM if _pnm_header(data) is not None else Layout.PILLOW
    if format != "TIFF":
        return Layout.PILLOW
    try:
        tiff = TiffFields(data)
    except ValueError:
        return Layout.PILLOW
    channels, photometric = tiff.numbers(SAMPLES, 1)[:1], tiff.numbers(PHOTOMETRIC)[:1]
    if set(tiff.numbers(BITS, 1)) != {16} or set(tiff.numbers(FORMAT, 1)) != {1}:
        return Layout.PILLOW
    is_gray_alpha = channels == (2,) and photometric in ((WHITE_IS_ZERO,), (BLACK_IS_ZERO,))
    is_rgb = channels in ((3,), (4,)) and photometric == (TIFF_RGB,)
    if not is_gray_alpha and not is_rgb:
        return Layout.PILLOW
    if tiff.numbers(PLANAR, 1)[:1] == (2,):
        return Layout.TIFF_PLANES
    return Layout.TIFF_RGB if is_rgb else Layout.TIFF_GRAY_ALPHA


def has_alpha(data: bytes) -> bool:
    """Whether a TIFF's last channel is transparency."""
    return TiffFields(data).numbers(EXTRA)[:1] in ((ASSOCIATED,), (UNASSOCIATED,))


def stored_bits(data: bytes, format: str) -> int:
    """Bits a sample in a file that was read as 8 bits a sample, where it may have more."""
    if format == "TIFF":
        try:
            return max(TiffFields(data).numbers(BITS, 1))
        except ValueError:
            return 8
    if format == "JPEG2000":
        start = data.find(b"\xff\x4f\xff\x51")  # start of the codestream and its size marker
        return (data[start + 42] & 0x7F) + 1 if 0 <= start < len(data) - 42 else 8
    if format == "AVIF":
        start = data.find(b"av1C")
        flags = data[start + 6] if 0 <= start < len(data) - 6 else 0
        return (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    if format == "SGI":
        return data[3] * 8
    return 8


def is_gray_alpha_tiff(data: bytes, layout: Layout) -> bool:
    """Whether it is a TIFF of 16-bit gray and alpha, which Pillow does not know."""
    return layout is Layout.TIFF_GRAY_ALPHA or (
        layout is Layout.TIFF_PLANES and TiffFields(data).numbers(SAMPLES, 1)[:1] == (2,)
    )


def settled_alpha(array: NDArray[np.uint16], data: bytes) -> NDArray[np.uint16]:
    """16-bit TIFF samples `[H, W, C]` with black at zero, and alpha straight, or dropped if it is none."""
    tiff = TiffFields(data)
    if tiff.numbers(PHOTOMETRIC)[:1] == (WHITE_IS_ZERO,):
        array = np.concatenate([65535 - array[..., :1], array[..., 1:]], axis=2)
    if array.shape[2] not in (2, 4):
        return array
    extra = tiff.numbers(EXTRA)[:1]
    if extra == (ASSOCIATED,):
        return straightened(array)
    return array if extra == (UNASSOCIATED,) else array[..., :-1]


def png(gated: Gated) -> NDArray[np.uint16]:
    """The samples of a PNG of 16 bits `[H, W, C]`: gray, gray and alpha, RGB, or RGB and alpha."""
    if not gated.is_whole:
        raise DamageError("the file is cut off")
    array = _opencv_decode(gated.plain_bytes())
    channels = gated.header.channels
    if array.shape[2] == 4 and channels == 2:  # OpenCV has no gray with alpha
        array = array[..., [0, 3]]
    if array.shape != (gated.header.height, gated.header.width, channels):
        raise ValueError("the decoder gave another size or number of channels")
    return array


def rgb_tiff(data: bytes) -> NDArray[np.uint16]:
    """The samples of a TIFF of 16-bit RGB side by side, with or without a fourth channel `[H, W, C]`, not turned."""
    tiff = TiffFields(data)
    turned = tiff.entries.get(ORIENTATION)
    if turned is not None and turned.kind in (ifd.SHORT, ifd.LONG):  # OpenCV turns some kinds of TIFF and others not
        upright = ifd.numbers(ORIENTATION, turned.kind, 1, order=tiff.order).value
        data = data[: turned.at] + upright + data[turned.at + len(upright) :]
    return _opencv_decode(data)


def tiff_planes(data: bytes) -> Iterator[bytes]:
    """A TIFF whose channels lie one after the other as one gray TIFF a channel, not turned: same bytes, new directory.

    OpenCV mixes such channels up and Pillow narrows them, but Pillow reads each of them alone exactly.
    """
    tiff = TiffFields(data)
    channels = tiff.numbers(SAMPLES, 1)[0]
    for channel in range(channels):
        fields = [ifd.numbers(tag, ifd.SHORT, number, order=tiff.order) for tag, number in _ONE_CHANNEL.items()]
        for tag, entry in tiff.entries.items():
            if tag in _PLACES:
                size = len(entry.value) // channels
                value = entry.value[channel * size : (channel + 1) * size]
                fields.append(ifd.Entry(tag, entry.kind, entry.count // channels, value))
            elif tag in _STORAGE:
                fields.append(entry)
        yield _with_directory(data, tiff, fields)


def gray_alpha_tiff(data: bytes) -> NDArray[np.uint16]:
    """The samples `[H, W, 2]` of a TIFF of 16-bit gray and alpha side by side, which neither library reads.

    Only strips, uncompressed or deflated, are read: that is how such files are written.
    """
    tiff = TiffFields(data)
    (width,), (height,) = tiff.numbers(WIDTH), tiff.numbers(HEIGHT)
    compression, predictor = tiff.numbers(COMPRESSION, 1)[0], tiff.numbers(PREDICTOR, 1)[0]
    starts, lengths = tiff.numbers(STRIP_OFFSETS), tiff.numbers(STRIP_LENGTHS)
    rows = min(tiff.numbers(ROWS, height)[0], height)
    if compression not in (1, *_DEFLATE) or predictor not in (1, 2) or not starts:
        raise NotImplementedError("16-bit gray with alpha in a compression of its own")
    if rows < 1 or len(starts) != len(lengths) or len(starts) != -(-height // rows):
        raise DamageError("its table of strips is damaged")
    strips = []
    for index, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        here = min(rows, height - index * rows)
        size = here * width * 4
        body = data[start : start + length]
        if compression in _DEFLATE:
            body = zlib.decompressobj().decompress(body, size)
        if len(body) < size:
            raise DamageError("the file is cut off")
        strip = np.frombuffer(body, tiff.order + "u2", count=size // 2).reshape(here, width, 2)
        strips.append(np.cumsum(strip, axis=1, dtype=np.uint16) if predictor == 2 else strip.astype(np.uint16))
    return np.concatenate(strips)


def as_gray_tiff(data: bytes) -> bytes:
    """The same TIFF claiming to have gray alone, so that Pillow opens it for everything but the pixels."""
    tiff = TiffFields(data)
    changed = {BITS: 16, SAMPLES: 1, FORMAT: 1}
    fields = [entry for tag, entry in tiff.entries.items() if tag not in changed and tag != EXTRA]
    fields += [ifd.numbers(tag, ifd.SHORT, number, order=tiff.order) for tag, number in changed.items()]
    return _with_directory(data, tiff, fields)


def pnm(data: bytes) -> NDArray[np.uint16]:
    """The samples `[H, W, 1 or 3]` of a binary PGM or PPM of more than 8 bits, white at 65535."""
    match = _pnm_header(data)
    if match is None:
        raise DamageError("its header is damaged")
    width, height, channels = int(match[2]), int(match[3]), 1 if match[1] == b"P5" else 3
    if len(data) - match.end() < width * height * channels * 2:
        raise DamageError("the file is cut off")
    values = np.frombuffer(data, ">u2", count=width * height * channels, offset=match.end())
    return widened(values.astype(np.uint16).reshape(height, width, channels), peak=int(match[4]))


def _pnm_header(data: bytes) -> re.Match[bytes] | None:
    match = _PNM.match(data[:4096])
    return match if match is not None and 255 < int(match[4]) < 65536 else None


def straightened(array: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """16-bit samples `[H, W, C]` that were multiplied by their last channel, divided by it again."""
    alpha = array[..., -1:].astype(np.float64)
    colors = np.divide(array[..., :-1] * 65535.0, alpha, out=np.zeros(array[..., :-1].shape), where=alpha > 0)
    return np.concatenate([np.rint(colors.clip(0, 65535)).astype(np.uint16), array[..., -1:]], axis=2)


def widened(array: Samples, *, peak: int) -> NDArray[np.uint16]:
    """Samples of 0..peak as 0..65535, rounded to nearest."""
    if peak == 65535:
        return array.astype(np.uint16, copy=False)
    return np.rint(array.astype(np.float64) * (65535.0 / peak)).clip(0, 65535).astype(np.uint16)


def _with_directory(data: bytes, tiff: TiffFields, fields: list[ifd.Entry]) -> bytes:
    """The file with another first directory, put behind everything else."""
    padding = b"\0" * (len(data) % 2)
    at, kind = (8, "Q") if tiff.big else (4, "I")
    size = struct.calcsize(kind)
    end = len(data) + len(padding)
    directory = ifd.layout(fields, at=end, order=tiff.order, big=tiff.big)
    return data[:at] + struct.pack(tiff.order + kind, end) + data[at + size :] + padding + directory


def _opencv() -> ModuleType:
    os.environ.setdefault(
        "OPENCV_LOG_LEVEL", "SILENT"
    )  # its complaints would reach the terminal past every progress bar
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # somebody may have imported it before
    return cv2


def _opencv_decode(data: bytes) -> NDArray[np.uint16]:
    """Decode with OpenCV, which must never see a path, nor a PNG that has not passed the gate: it dies on some."""
    cv2 = _opencv()
    array: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16:
        raise ValueError("the decoder gave no 16-bit samples")
    if array.ndim == 2:
        return array[..., None]
    order = [2, 1, 0] if array.shape[2] == 3 else [2, 1, 0, 3]
    return np.ascontiguousarray(array[..., order])
