"""TIFF read whole: its directory parsed once, 16-bit colour kept where Pillow would narrow it, pages counted."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hatcli.errors import InputError
from hatcli.image import exif, ifd, metadata, opening, samples
from hatcli.image.codecs import opencv
from hatcli.image.codecs.reader import Beside, PillowReader, Shape
from hatcli.image.formats import DamageError

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 259, 262, 274
STRIP_OFFSETS, SAMPLES, ROWS, STRIP_LENGTHS, PLANAR, PREDICTOR, EXTRA, FORMAT = 273, 277, 278, 279, 284, 317, 338, 339
FILL_ORDER, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_LENGTHS, XMP = 266, 322, 323, 324, 325, 700
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
ASSOCIATED, UNASSOCIATED = 1, 2  # alpha that the colours have been multiplied by, and straight alpha
_STRAIGHT = ((UNASSOCIATED,), ())  # where nothing is said, as OpenCV writes it, Pillow reads 8 bits as alpha, too
_DEFLATE = (8, 32946)
_PLACES = {STRIP_OFFSETS, STRIP_LENGTHS, TILE_OFFSETS, TILE_LENGTHS}
_STORAGE = {WIDTH, HEIGHT, COMPRESSION, ROWS, PREDICTOR, FILL_ORDER, TILE_WIDTH, TILE_LENGTH}
_ONE_CHANNEL = {BITS: 16, SAMPLES: 1, PHOTOMETRIC: BLACK_IS_ZERO}
_CODES = {ifd.BYTE: "u1", ifd.SHORT: "u2", ifd.LONG: "u4", ifd.LONG8: "u8"}


class Layout(Enum):
    """How the samples lie in a file, as far as Pillow alone would not read them whole."""

    PILLOW = "left to Pillow"
    RGB = "16-bit RGB side by side"
    PLANES = "16-bit channels one after the other"
    GRAY_ALPHA = "16-bit gray and alpha side by side"


@dataclass(frozen=True)
class Page:
    """The first page of a TIFF: the file with nothing behind it, and its directory."""

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

    def layout(self) -> Layout:
        """Who reads the samples."""
        channels, photometric = self.numbers(SAMPLES, 1)[:1], self.numbers(PHOTOMETRIC)[:1]
        if set(self.numbers(BITS, 1)) != {16} or set(self.numbers(FORMAT, 1)) != {1}:
            return Layout.PILLOW
        is_gray_alpha = channels == (2,) and photometric in ((WHITE_IS_ZERO,), (BLACK_IS_ZERO,))
        is_rgb = channels in ((3,), (4,)) and photometric == (RGB,)
        if not is_gray_alpha and not is_rgb:
            return Layout.PILLOW
        if self.numbers(PLANAR, 1)[:1] == (2,):
            return Layout.PLANES
        return Layout.RGB if is_rgb else Layout.GRAY_ALPHA

    @property
    def is_gray_alpha(self) -> bool:
        """Whether it is 16-bit gray and alpha, which Pillow does not know."""
        layout = self.layout()
        return layout is Layout.GRAY_ALPHA or (layout is Layout.PLANES and self.numbers(SAMPLES, 1)[:1] == (2,))

    @property
    def is_split_and_multiplied(self) -> bool:
        """Whether it is RGB of 8 bits multiplied by its alpha, one channel after the other, which Pillow refuses."""
        is_eight_bits = set(self.numbers(BITS, 1)) == {8} and self.numbers(PHOTOMETRIC)[:1] == (RGB,)
        return is_eight_bits and self.numbers(PLANAR, 1)[:1] == (2,) and self.numbers(EXTRA)[:1] == (ASSOCIATED,)

    def with_directory(self, fields: list[ifd.Entry]) -> bytes:
        """The file with another first directory, put behind everything else."""
        at, kind = (8, "Q") if self.big else (4, "I")
        padding = b"\0" * (len(self.data) % 2)
        end = len(self.data) + len(padding)
        directory = ifd.layout(fields, at=end, order=self.order, big=self.big)
        pointer = struct.pack(self.order + kind, end)
        return self.data[:at] + pointer + self.data[at + len(pointer) :] + padding + directory


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


@dataclass(frozen=True)
class TiffReader(PillowReader):
    """A TIFF; `page` is None where its directory is too damaged for this file, and Pillow may try."""

    page: Page | None
    layout: Layout
    whole: bytes

    def unpack(self) -> samples.Unpacked:
        """The samples; Pillow turns upright what it reads, the others are left as they lie."""
        if self.page is None or self.layout is Layout.PILLOW:
            unpacked = super().unpack()
            if self.page is not None and self.page.is_split_and_multiplied:
                return samples.unmultiplied(unpacked)
            if unpacked.pixels.dtype != np.uint16 or unpacked.pixels.shape[2] != 1:
                return unpacked
            if self.page is None:
                raise ValueError("no TIFF header")
            return _settled_gray(unpacked, self.page)
        read: dict[Layout, Callable[[Page], NDArray[np.uint16]]] = {
            Layout.GRAY_ALPHA: _gray_alpha,
            Layout.RGB: _rgb,
            Layout.PLANES: _planes,
        }
        return samples.from_array(_settled_alpha(read[self.layout](self.page), self.page))

    def beside(self) -> Beside:
        info = self.information()
        if self.page is None:
            return Beside(info.get("icc_profile"), None, metadata.find_xmp(info), None, 1, is_exif_damaged=True)
        packet = self.page.entries.get(XMP)
        try:
            block, is_damaged = exif.from_tiff(self.page.data, self.page.entries, order=self.page.order), False
        except ValueError:
            block, is_damaged = None, True
        return Beside(
            icc=info.get("icc_profile"),
            exif=block,
            xmp=metadata.find_xmp({**info, "xmp": None if packet is None else packet.value}),
            dpi=metadata.plausible_dpi(exif.entries_resolution(self.page.entries, order=self.page.order)),
            turn=1 if self.layout is Layout.PILLOW else (self.page.numbers(ORIENTATION) or (1,))[0],
            is_exif_damaged=is_damaged,
        )

    def shape(self) -> Shape:
        width, height = self.image.size  # turned by Pillow already
        shape = replace(super().shape(), width=width, height=height)
        if self.page is None or self.layout is Layout.PILLOW:
            return shape
        if not self.page.is_gray_alpha:
            return replace(shape, bits=16)
        has_alpha = self.page.numbers(EXTRA)[:1] in ((ASSOCIATED,), *_STRAIGHT)
        return replace(shape, bits=16, alpha=has_alpha)

    def stored_bits(self) -> int:
        return 8 if self.page is None else max(self.page.numbers(BITS, 1))

    def count_frames(self, *, max_pixels: int) -> int:
        try:
            return len(ifd.places(self.whole, most=opening.MOST_FRAMES + 1))
        except ValueError:
            return 0

    @property
    def frames_title(self) -> str:
        return "pages"


def opened(data: bytes, format: str, *, name: str, max_pixels: int, page_number: int = 1) -> PillowReader:
    """The reader of a page of a TIFF, counted from 1.

    Raises:
        InputError: it is larger than `max_pixels`, a camera raw file, or has no such page.
    """
    whole = data
    if page_number > 1:
        data = with_page_in_front(data, page_number, name=name)
    try:
        page = first_page(data)
    except ValueError:  # Pillow will say what is wrong
        image = opening.open_image(data, format, name=name, max_pixels=max_pixels)
        return TiffReader(data, format, image, None, Layout.PILLOW, whole)
    known = _as_gray(page) if page.is_gray_alpha else _as_straight(page) if page.is_split_and_multiplied else page.data
    image = opening.open_image(known, format, name=name, max_pixels=max_pixels)
    return TiffReader(page.data, format, image, page, page.layout(), whole)


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


def _settled_gray(unpacked: samples.Unpacked, page: Page) -> samples.Unpacked:
    """Gray samples of more than 8 bits with black at zero and white at 65535, which Pillow leaves as they lie."""
    bits = max(page.numbers(BITS, 16))
    pixels = unpacked.pixels
    if 8 < bits < 16:
        pixels = samples.widened(pixels, peak=2**bits - 1)
    if bits <= 16 and page.numbers(PHOTOMETRIC)[:1] == (WHITE_IS_ZERO,):
        pixels = 65535 - pixels
    return replace(unpacked, pixels=pixels)


def _settled_alpha(array: NDArray[np.uint16], page: Page) -> NDArray[np.uint16]:
    """16-bit samples `[H, W, C]` with black at zero, and alpha straight, or dropped if it is none."""
    if page.numbers(PHOTOMETRIC)[:1] == (WHITE_IS_ZERO,):
        array = np.concatenate([65535 - array[..., :1], array[..., 1:]], axis=2)
    if array.shape[2] not in (2, 4):
        return array
    extra = page.numbers(EXTRA)[:1]
    if extra == (ASSOCIATED,):
        return samples.straightened(array)
    return array if extra in _STRAIGHT else array[..., :-1]


def _rgb(page: Page) -> NDArray[np.uint16]:
    """16-bit RGB side by side, with or without a fourth channel `[H, W, C]`, not turned."""
    data, turned = page.data, page.entries.get(ORIENTATION)
    if turned is not None and turned.kind in (ifd.SHORT, ifd.LONG):  # OpenCV turns some kinds of TIFF and others not
        upright = ifd.numbers(ORIENTATION, turned.kind, 1, order=page.order).value
        data = data[: turned.at] + upright + data[turned.at + len(upright) :]
    return opencv.decoded(data)


def _planes(page: Page) -> NDArray[np.uint16]:
    """16-bit channels that lie one after the other `[H, W, C]`, not turned."""
    planes = [np.asarray(Image.open(io.BytesIO(plane), formats=["TIFF"])) for plane in _channel_files(page)]
    return np.stack(planes, axis=2).astype(np.uint16)


def _channel_files(page: Page) -> Iterator[bytes]:
    """One gray TIFF a channel, not turned: same bytes, new directory.

    OpenCV mixes such channels up and Pillow narrows them, but Pillow reads each of them alone exactly.
    """
    channels = page.numbers(SAMPLES, 1)[0]
    for channel in range(channels):
        fields = [ifd.numbers(tag, ifd.SHORT, number, order=page.order) for tag, number in _ONE_CHANNEL.items()]
        for tag, entry in page.entries.items():
            if tag in _PLACES:
                size = len(entry.value) // channels
                value = entry.value[channel * size : (channel + 1) * size]
                fields.append(ifd.Entry(tag, entry.kind, entry.count // channels, value))
            elif tag in _STORAGE:
                fields.append(entry)
        yield page.with_directory(fields)


def _gray_alpha(page: Page) -> NDArray[np.uint16]:
    """16-bit gray and alpha side by side `[H, W, 2]`, which neither library reads.

    Only strips, uncompressed or deflated, are read: that is how such files are written.
    """
    (width,), (height,) = page.numbers(WIDTH), page.numbers(HEIGHT)
    compression, predictor = page.numbers(COMPRESSION, 1)[0], page.numbers(PREDICTOR, 1)[0]
    starts, lengths = page.numbers(STRIP_OFFSETS), page.numbers(STRIP_LENGTHS)
    rows = min(page.numbers(ROWS, height)[0], height)
    if compression not in (1, *_DEFLATE) or predictor not in (1, 2) or not starts:
        raise NotImplementedError("16-bit gray with alpha in a compression of its own")
    if rows < 1 or len(starts) != len(lengths) or len(starts) != -(-height // rows):
        raise DamageError("its table of strips is damaged")
    strips = []
    for index, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        here = min(rows, height - index * rows)
        body = _strip(page.data[start : start + length], size=here * width * 4, is_packed=compression in _DEFLATE)
        strip = np.frombuffer(body, page.order + "u2", count=here * width * 2).reshape(here, width, 2)
        strips.append(np.cumsum(strip, axis=1, dtype=np.uint16) if predictor == 2 else strip.astype(np.uint16))
    return np.concatenate(strips)


def _strip(body: bytes, *, size: int, is_packed: bool) -> bytes:
    """A strip unpacked, at least `size` bytes of it."""
    if is_packed:
        body = zlib.decompressobj().decompress(body, size)
    if len(body) < size:
        raise DamageError("the file is cut off")
    return body


def _as_gray(page: Page) -> bytes:
    """The same file claiming to have gray alone, so that Pillow opens it for everything but the pixels."""
    changed: dict[int, Any] = {BITS: 16, SAMPLES: 1, FORMAT: 1}
    fields = [entry for tag, entry in page.entries.items() if tag not in changed and tag != EXTRA]
    fields += [ifd.numbers(tag, ifd.SHORT, number, order=page.order) for tag, number in changed.items()]
    return page.with_directory(fields)


def _as_straight(page: Page) -> bytes:
    """The same file claiming that its colours were not multiplied by its alpha, so that Pillow reads both."""
    fields = [entry for tag, entry in page.entries.items() if tag != EXTRA]
    return page.with_directory([*fields, ifd.numbers(EXTRA, ifd.SHORT, UNASSOCIATED, order=page.order)])
