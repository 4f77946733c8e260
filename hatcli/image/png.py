"""PNG files as chunks: the gate that lets only sound, still PNGs through, and the chunks that carry metadata."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from hatcli.image.formats import DamageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
DEPTHS = {GRAY: {1, 2, 4, 8, 16}, RGB: {8, 16}, PALETTE: {1, 2, 4, 8}, GRAY_ALPHA: {8, 16}, RGB_ALPHA: {8, 16}}
METRE_IN_INCHES = 1 / 0.0254
XMP_KEYWORD = b"XML:com.adobe.xmp"
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


@dataclass(frozen=True)
class Header:
    """What IHDR says."""

    width: int
    height: int
    depth: int
    color: int

    @property
    def channels(self) -> int:
        return {GRAY: 1, RGB: 3, PALETTE: 3, GRAY_ALPHA: 2, RGB_ALPHA: 4}[self.color]


@dataclass(frozen=True)
class Gated:
    """A PNG that passed the gate.

    Attributes:
        header: what IHDR says.
        transparency: the body of tRNS, or None.
        plain: the same picture with nothing but IHDR, PLTE, IDAT and IEND: no animation, no text, no profile.
    """

    header: Header
    transparency: bytes | None
    plain: list[memoryview]

    def plain_bytes(self) -> bytes:
        return SIGNATURE + b"".join(self.plain)


def chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Each chunk up to IEND: its kind, its body, and the whole of it.

    Raises:
        DamageError: the file is cut off.
    """
    view = memoryview(data)
    at = len(SIGNATURE)
    while True:
        if at + 12 > len(view):
            raise DamageError("the file is cut off")
        length, kind = struct.unpack_from(">I4s", view, at)
        end = at + 12 + length
        if end > len(view):
            raise DamageError("the file is cut off")
        yield kind, view[at + 8 : end - 4], view[at:end]
        if kind == b"IEND":
            return
        at = end


def read_header(data: bytes) -> Header:
    """What IHDR says; DamageError if it says something that cannot be."""
    if len(data) < 33 or data[12:16] != b"IHDR" or data[8:12] != b"\0\0\0\x0d":
        raise DamageError("its header is damaged")
    width, height, depth, color, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    possible = depth in DEPTHS.get(color, ()) and compression == 0 and filtering == 0 and interlace in (0, 1)
    if not possible or not (0 < width < 2**31 and 0 < height < 2**31):
        raise DamageError("its header is damaged")
    return Header(width, height, depth, color)


def gate(data: bytes) -> Gated:
    """Check the structure and the checksums of every chunk that makes pixels.

    Raises:
        DamageError: the file is cut off or damaged.
    """
    header = read_header(data)
    transparency = None
    kept: list[memoryview] = []
    for kind, body, whole in chunks(data):
        if kind in _CRITICAL:
            if zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:], "big"):
                raise DamageError("it is damaged (a checksum is wrong)")
            kept.append(whole)
        elif kind == b"tRNS":
            transparency = bytes(body)
    return Gated(header, transparency, kept)


def find(data: bytes, wanted: bytes) -> bytes | None:
    """The body of the first chunk of this kind, or None; damage behind it does not matter."""
    try:
        for kind, body, _ in chunks(data):
            if kind == wanted:
                return bytes(body)
    except DamageError:
        return None
    return None


def chunk(kind: bytes, body: bytes) -> bytes:
    """A whole chunk: length, kind, body, checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def metadata_chunks(
    *, icc: bytes | None, exif: bytes | None, xmp: bytes | None, dpi: tuple[float, float] | None
) -> bytes:
    """The chunks between IHDR and the pixels that carry a profile, resolution, EXIF and XMP."""
    parts = []
    if icc is not None:
        parts.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc, 9)))
    if dpi is not None:
        across, down = (round(value * METRE_IN_INCHES) for value in dpi)
        parts.append(chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if exif is not None:
        parts.append(chunk(b"eXIf", exif))
    if xmp is not None:
        parts.append(chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + xmp))
    return b"".join(parts)
