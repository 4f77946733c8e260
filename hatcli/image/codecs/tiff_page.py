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
UNSIGNED, FLOATING = 1, 3
_COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, INKS: 4}  # channels that are no alpha
_LOSSLESS = (1, 5, 8, 32773, 32946, 34925, 50000)  # nothing, LZW, deflate, PackBits, deflate, LZMA, Zstandard
_KINDS = {(8, UNSIGNED), (16, UNSIGNED), (32, UNSIGNED), (16, FLOATING), (32, FLOATING), (64, FLOATING)}
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
        """Bits a sample and what they are, `UNSIGNED` or `FLOATING`; (0, 0) where channels differ."""
        bits, kinds = set(self.numbers(BITS, 1)), set(self.numbers(FORMAT, UNSIGNED))
        return (bits.pop(), kinds.pop()) if len(bits) == len(kinds) == 1 else (0, 0)

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
        is_split = self.is_split
        if kind == (16, UNSIGNED) and colors == 3 and more <= 1 and not is_split:
            return Layout.RGB
        if self.channels == 1 and kind in ((8, UNSIGNED), (16, UNSIGNED)):
            return Layout.PILLOW
        is_plain = kind == (8, UNSIGNED) and colors < 4 and (more == 0 if is_split else more <= 1)
        return Layout.PILLOW if is_plain else Layout.BYTES

    def with_directory(self, fields: list[ifd.Entry]) -> bytes:
        """The file with another first directory, put behind everything else."""
        at, kind = (8, "Q") if self.big else (4, "I")
        padding = b"\0" * (len(self.data) % 2)
        end = len(self.data) + len(padding)
        directory = ifd.layout(fields, at=end, order=self.order, big=self.big)
        pointer = struct.pack(self.order + kind, end)
        return self.data[:at] + pointer + self.data[at + len(pointer) :] + padding + directory

    def as_gray(self) -> bytes:
        """The same file claiming to have 16-bit gray alone, so that Pillow opens it for everything but the pixels."""
        changed = {BITS: 16, SAMPLES: 1, FORMAT: UNSIGNED, PHOTOMETRIC: BLACK_IS_ZERO, PLANAR: 1}
        fields = [entry for tag, entry in self.entries.items() if tag not in changed and tag != EXTRA]
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
