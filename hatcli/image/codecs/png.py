"""PNG files as chunks: the gate that lets only sound, still PNGs through, and the chunks that carry metadata."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from hatcli.image.formats import DamageError
from hatcli.image.picture import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
DEPTHS = {GRAY: {1, 2, 4, 8, 16}, RGB: {8, 16}, PALETTE: {1, 2, 4, 8}, GRAY_ALPHA: {8, 16}, RGB_ALPHA: {8, 16}}
METRE_IN_INCHES = 1 / 0.0254
XMP_KEYWORD = b"XML:com.adobe.xmp"
LONGEST_KEYWORD, LONG_TEXT = 79, 1024
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_WRONG_CHECKSUM = "it is damaged (a checksum is wrong)"


class CutError(DamageError):
    """A file that ends in the middle of a chunk."""


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
        is_whole: whether the file goes on to its end; if not, the cut may still lie behind the first frame's pixels.
        notes: a sentence if a checksum was wrong while the pixels are provably right.
    """

    header: Header
    transparency: bytes | None
    is_whole: bool
    notes: tuple[str, ...]
    _parts: list[memoryview | bytes]

    def plain_bytes(self) -> bytes:
        """The same picture with nothing but IHDR, IDAT and IEND: no animation, no text, no profile."""
        return SIGNATURE + b"".join(self._parts)


def chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Each chunk up to IEND: its kind, its body, and the whole of it.

    Raises:
        CutError: the file is cut off.
    """
    view = memoryview(data)
    at = len(SIGNATURE)
    while True:
        if at + 12 > len(view):
            raise CutError("the file is cut off")
        length, kind = struct.unpack_from(">I4s", view, at)
        end = at + 12 + length
        if end > len(view):
            raise CutError("the file is cut off")
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
        DamageError: the file is damaged, or cut off before there are pixels.
    """
    header = read_header(data)
    transparency = None
    parts: list[memoryview | bytes] = []
    pixels: list[memoryview] = []
    is_right = is_whole = True
    try:
        for kind, body, whole in chunks(data):
            if kind == b"tRNS":
                transparency = bytes(body)
            if kind not in _CRITICAL:
                continue
            mended = _mended(kind, body, whole)
            is_right = is_right and mended is whole
            parts.append(mended)
            if kind == b"IDAT":
                pixels.append(body)
    except CutError:
        is_whole = False
        if b"IDAT" not in data:
            raise
    if is_right:
        return Gated(header, transparency, is_whole, (), parts)
    if not is_whole or not _inflates(pixels, most=header.height * (header.width * header.channels * 2 + 16) + 64):
        raise DamageError(_WRONG_CHECKSUM)
    return Gated(header, transparency, is_whole, ("a checksum in the file is wrong, but its pixels are right",), parts)


def _mended(kind: bytes, body: memoryview, whole: memoryview) -> memoryview | bytes:
    """The whole chunk; with another checksum where that of pixels is wrong, which is not yet to say that they are."""
    if checksum(whole) == int.from_bytes(whole[-4:], "big"):
        return whole
    if kind != b"IDAT":
        raise DamageError(_WRONG_CHECKSUM)
    return chunk(kind, bytes(body))


def _inflates(pixels: list[memoryview], *, most: int) -> bool:
    """Whether the compressed data is complete and right by its own checksum, which covers every pixel."""
    inflater = zlib.decompressobj()
    size = 0
    try:
        for part in pixels:
            rest = bytes(part)
            while rest and not inflater.eof and size <= most:
                size += len(inflater.decompress(rest, 2**20))
                rest = inflater.unconsumed_tail
    except zlib.error:
        return False
    return inflater.eof and size <= most


def find(data: bytes, wanted: bytes, *, before: bytes | None = None) -> bytes | None:
    """The body of the first chunk of this kind (in front of the first one of kind `before`), or None."""
    try:
        for kind, body, _ in chunks(data):
            if kind == wanted:
                return bytes(body)
            if kind == before:
                return None
    except DamageError:
        return None
    return None


def checksum(whole: memoryview) -> int:
    """What the checksum of a whole chunk should be."""
    return zlib.crc32(whole[4:-4])


def chunk(kind: bytes, body: bytes) -> bytes:
    """A whole chunk: length, kind, body, checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def metadata_chunks(like: Picture) -> bytes:
    """The chunks between IHDR and the pixels that carry a profile, what samples mean, resolution, EXIF, XMP, texts."""
    parts = []
    if like.light is not None and not like.light.is_scene:
        parts.append(chunk(b"cICP", bytes((like.light.primaries, like.light.transfer, 0, 1))))  # RGB itself, full range
    if like.icc is not None:
        parts.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(like.icc, 9)))
    if like.dpi is not None:
        across, down = (round(value * METRE_IN_INCHES) for value in like.dpi)
        parts.append(chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if like.exif is not None:
        parts.append(chunk(b"eXIf", like.exif))
    if like.xmp is not None:
        parts.append(chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + like.xmp))
    return b"".join([*parts, *(_text_chunk(*text) for text in like.texts)])


def _text_chunk(name: str, value: str) -> bytes:
    """A name, which PNG wants in Latin-1, and its text; long ones are compressed."""
    keyword = name.encode("latin-1", "replace")[:LONGEST_KEYWORD] + b"\0"
    try:
        plain = value.encode("latin-1")
    except UnicodeEncodeError:
        return chunk(b"iTXt", keyword + b"\1\0\0\0" + zlib.compress(value.encode("utf-8", "replace"), 9))
    if len(plain) < LONG_TEXT:
        return chunk(b"tEXt", keyword + plain)
    return chunk(b"zTXt", keyword + b"\0" + zlib.compress(plain, 9))
