"""One page of a TIFF: its directory, parsed once, and who can read its samples."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

import numpy as np

from hatcli.errors import InputError
from hatcli.image import ifd

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 259, 262, 274
STRIP_OFFSETS, SAMPLES, ROWS, STRIP_LENGTHS, PLANAR, PREDICTOR, EXTRA, FORMAT = 273, 277, 278, 279, 284, 317, 338, 339
FILL_ORDER, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_LENGTHS, XMP = 266, 322, 323, 324, 325, 700
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, INKS = 0, 1, 2, 5
ASSOCIATED, UNASSOCIATED = 1, 2  # alpha that the colours have been multiplied by, and straight alpha
UNSIGNED, SIGNED, FLOATING = 1, 2, 3
COLOR_MAP, SUBSAMPLING, YCBCR, PALETTE = 320, 530, 6, 3
_COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, INKS: 4}  # channels that are no alpha
_LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 50000)  # nothing, LZW, deflate, PackBits, deflate, LZMA, Zstandard
_UNDONE_BY_NOBODY = {  # compressions that libtiff knows by name, but not as it comes with Pillow
    33003: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34712: "JPEG 2000", 34887: "LERC", 50001: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_WHOLE = (8, 16, 32)  # bits of integers that lie in bytes of their own
_KINDS = {
    *((bits, UNSIGNED) for bits in (*range(1, 17), 32)),
    *((bits, SIGNED) for bits in _WHOLE),
    *((bits, FLOATING) for bits in (16, 32, 64)),
}
_CODES = {ifd.BYTE: "u1", ifd.SHORT: "u2", ifd.LONG: "u4", ifd.LONG8: "u8"}


class Layout(Enum):
    """Who reads the samples of a page."""

    PILLOW = "Pillow"
    RGB = "OpenCV: 16-bit RGB side by side"
    BYTES = "we, from the bytes that Pillow unpacks"


@dataclass(frozen=True)
class Page:
    """A page of a TIFF: the file with nothing behind it, and its directory."""

    data: bytes
    order: str
    big: bool
    entries: dict[int, ifd.Entry]

    def numbers(self, tag: int, *default: int) -> tuple[int, ...]:
        """The integers of a field, or `default` if it is not there or holds something else."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _CODES:
            return default
        return tuple(np.frombuffer(entry.value, self.order + _CODES[entry.kind]).tolist())

    @property
    def channels(self) -> int:
        """Channels of all kinds."""
        return self.numbers(SAMPLES, 1)[0]

    @property
    def colors(self) -> int:
        """Channels of colour: 1, 3, or 4 inks; 0 for what only Pillow knows."""
        return _COLORS.get(self.numbers(PHOTOMETRIC, -1)[0], 0)

    @property
    def is_split(self) -> bool:
        """Whether the channels lie one after the other."""
        return self.numbers(PLANAR, 1)[0] == 2 and self.channels > 1

    @property
    def kind(self) -> tuple[int, int]:
        """Bits a sample and what they are, as `UNSIGNED`; (0, 0) where channels differ."""
        bits, kinds = set(self.numbers(BITS, 1)), set(self.numbers(FORMAT, UNSIGNED))
        return (bits.pop(), kinds.pop()) if len(bits) == len(kinds) == 1 else (0, 0)

    @property
    def is_narrow(self) -> bool:
        """Whether 8 bits hold its samples."""
        bits, kind = self.kind
        return bits <= 8 and kind == UNSIGNED

    @property
    def alpha(self) -> int | None:
        """Which channel is alpha, counted from 0; where nothing is said, as OpenCV writes it, a last one is."""
        extra = self.numbers(EXTRA)
        if not extra:
            return self.colors if self.channels == self.colors + 1 else None
        found = [at for at, said in enumerate(extra) if said in (ASSOCIATED, UNASSOCIATED)]
        at = self.colors + found[0] if found else self.channels
        return at if at < self.channels else None

    @property
    def is_multiplied(self) -> bool:
        """Whether the colours have been multiplied by alpha."""
        return self.alpha is not None and self.numbers(EXTRA)[self.alpha - self.colors :][:1] == (ASSOCIATED,)

    def layout(self) -> Layout:
        """Who reads the samples: Pillow where it reads all of them, as they are."""
        kind, colors, more = self.kind, self.colors, self.channels - self.colors
        if kind not in _KINDS or colors == 0 or more < 0 or self.numbers(COMPRESSION, 1)[0] not in _LOSSLESS:
            return Layout.PILLOW
        if colors == 4 and (more == 0 or kind[1] == FLOATING):
            return Layout.PILLOW
        if kind[0] < 32 and kind[0] not in _WHOLE and (colors == 4 or self.numbers(PREDICTOR, 1)[0] != 1):
            return Layout.PILLOW  # which refuses them
        is_split = self.is_split
        if kind == (16, UNSIGNED) and colors == 3 and more <= 1 and not is_split:
            return Layout.RGB
        is_negative = self.numbers(PHOTOMETRIC)[:1] == (WHITE_IS_ZERO,)
        if self.is_unknown_to_pillow or (is_negative and (more > 0 or kind[0] == 16)):
            return Layout.BYTES
        if self.channels == 1 and kind[1] == UNSIGNED and kind[0] in (1, 2, 4, 8, 16):
            return Layout.PILLOW
        is_plain = kind == (8, UNSIGNED) and colors < 4 and (more == 0 if is_split else more <= 1)
        return Layout.PILLOW if is_plain else Layout.BYTES

    @property
    def is_unknown_to_pillow(self) -> bool:
        """Whether it has bytes of more than a bit the wrong way round, or is a BigTIFF of the other byte order."""
        is_reversed = self.numbers(FILL_ORDER, 1)[0] == 2 and self.kind[0] >= 8
        return is_reversed or (self.big and self.order == ">")

    @property
    def unknown_compression(self) -> str | None:
        """The name of a compression that nobody here can undo."""
        return _UNDONE_BY_NOBODY.get(self.numbers(COMPRESSION, 1)[0])

    @property
    def is_cut_into_units(self) -> bool:
        """Whether its brightness and its coarser colours lie together, uncompressed, which Pillow takes for a cut."""
        is_plain = self.numbers(COMPRESSION, 1)[0] == 1 and self.numbers(PHOTOMETRIC)[:1] == (YCBCR,)
        return is_plain and self.numbers(SUBSAMPLING, 2, 2) != (1, 1)

    def for_pillow(self) -> bytes:
        """The file as Pillow is to open it, be it for everything but the pixels."""
        layout = self.layout()
        if layout is Layout.BYTES or (layout is Layout.RGB and self.is_unknown_to_pillow):
            return self.as_gray()
        colors = self.numbers(COLOR_MAP)
        if self.numbers(PHOTOMETRIC)[:1] == (PALETTE,) and colors and 0 < max(colors) < 256:
            wide = ifd.numbers(COLOR_MAP, ifd.SHORT, *(color * 257 for color in colors), order=self.order)
            return self.with_directory([wide, *(entry for tag, entry in self.entries.items() if tag != COLOR_MAP)])
        return self.with_directory(list(self.entries.values())) if self.big and self.order == ">" else self.data

    def with_directory(self, fields: list[ifd.Entry]) -> bytes:
        """The file with another first directory, put behind everything else.

        Pillow takes no BigTIFF whose bytes have the other order: that one becomes a TIFF.
        """
        big = self.big and self.order == "<"
        at, kind = (8, "Q") if big else (4, "I")
        padding = b"\0" * (len(self.data) % 2)
        end = len(self.data) + len(padding)
        if self.big and not big:
            fields = [ifd.shortened(entry, self.order) for entry in fields]
        directory = ifd.layout(fields, at=end, order=self.order, big=big)
        front = self.data[:at] if big or not self.big else b"MM\0*"
        pointer = struct.pack(self.order + kind, end)
        return front + pointer + self.data[at + len(pointer) :] + padding + directory

    def as_gray(self) -> bytes:
        """The same file claiming to have 16-bit gray alone, so that Pillow opens it for everything but the pixels."""
        changed = {BITS: 16, SAMPLES: 1, FORMAT: UNSIGNED, PHOTOMETRIC: BLACK_IS_ZERO, PLANAR: 1}
        fields = [entry for tag, entry in self.entries.items() if tag not in (*changed, EXTRA, FILL_ORDER)]
        fields += [ifd.numbers(tag, ifd.SHORT, number, order=self.order) for tag, number in changed.items()]
        return self.with_directory(fields)


def first_page(data: bytes) -> Page:
    """The first page, the only time that its directory is parsed.

    What follows is cut off: Pillow would go through all pages to load the first one.

    Raises:
        ValueError: this is no TIFF, or its directory does not lie inside the data.
    """
    head = ifd.header(data)
    first = ifd.read(data, head.first, order=head.order, big=head.big)
    if first.following:
        word = 8 if head.big else 4
        data = data[: first.end - word] + bytes(word) + data[first.end :]
    return Page(data, head.order, head.big, first.entries)


def with_page_in_front(data: bytes, number: int, *, name: str) -> bytes:
    """The file beginning with another page, counted from 1.

    Raises:
        InputError: there is no such page.
        ValueError: the way to it leads out of the file.
    """
    head, found = ifd.header(data), ifd.places(data, most=number)
    if len(found) < number:
        pages = f"{len(found)} page{'s' if len(found) > 1 else ''}"
        raise InputError(f"cannot read page {number} of {name}: it has {pages}", hint="hat upscale --pages all")
    at, kind = (8, "Q") if head.big else (4, "I")
    pointer = struct.pack(head.order + kind, found[number - 1])
    return data[:at] + pointer + data[at + len(pointer) :]
