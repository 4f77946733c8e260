"""GIF written: pictures and animations in few colours and few pixels."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hatcli.image import color
from hatcli.image.codecs import gif
from hatcli.image.codecs.palette import MOST_COLORS, Palette, indices_of, packed, palette_of, squared_error
from hatcli.image.codecs.writer import Writer
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, eight_bits

MOST_DELAY = 65535  # hundredths of a second
_KEEP, _CLEAR = 1, 2  # what happens to a frame's rectangle before the next frame is shown
_ALIKE = 3  # levels a colour may be off and stay as it was drawn: far less than reduction to 256 colours does to it
_LOOKED_AT = 2**16  # pixels that tell whether an earlier frame's colours will do
_WORSE, _UNSEEN = 1.25, 2.0  # earlier colours will do up to so many times the squared error of new ones, and so much

_NOTHING = Palette(np.zeros((1, 3), np.uint8), is_exact=True)  # for what has no pixels to draw

Box = tuple[slice, slice]  # rows, columns
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Frame:
    """A frame's colours `[H, W, 3]`, which of its pixels are seen `[H, W]`, and its milliseconds."""

    pixels: NDArray[np.uint8]
    seen: Mask
    duration: float | Fraction
    has_alpha: bool


def write(file: BinaryIO, frames: Iterable[tuple[Picture, float | Fraction]], *, loops: int, is_animated: bool) -> None:
    """Frames of one size and their milliseconds, each as it comes; a frame holds only what changes.

    Colours that the first frame has not are a table of the frame's own; pixels below half opacity are not seen.
    """
    drawable = (_drawable(picture, duration) for picture, duration in frames)
    first = next(drawable)
    shared = _first_palette(first, is_animated=is_animated)
    file.write(_head(first.pixels.shape, shared, loops=loops, is_animated=is_animated))
    canvas = _Canvas(np.zeros_like(first.pixels), np.zeros_like(first.seen))
    whole: Box = (slice(0, first.pixels.shape[0]), slice(0, first.pixels.shape[1]))
    box, drawn = whole, first.seen
    for frame, following in itertools.pairwise(itertools.chain([first], drawable, [None])):
        assert frame is not None, "only the last one is followed by none"
        if frame is not first:
            box, drawn = canvas.difference(frame)
        will_vanish = np.zeros_like(drawn) if following is None else (frame.seen | canvas.seen) & ~following.seen
        box = _joined(box, will_vanish)
        is_cleared = bool(will_vanish.any())
        part = _part(frame.pixels[box], drawn[box], frame.seen[box], shared, has_alpha=frame.has_alpha)
        disposal = _CLEAR if is_cleared else _KEEP
        if is_animated or part.transparent is not None:
            file.write(_control(disposal, min(round(frame.duration / 10), MOST_DELAY), part.transparent))
        file.write(_image(part, box))
        canvas.draw(frame.pixels, box, part.drawn, is_cleared=is_cleared)
    file.write(bytes([gif.TRAILER]))


def _drawable(picture: Picture, duration: float | Fraction) -> _Frame:
    pixels = eight_bits(picture.pixels)
    if picture.is_gray:
        pixels = eight_bits(color.gray_to_srgb(pixels, None))
    if picture.alpha is None:
        return _Frame(pixels, np.ones(pixels.shape[:2], np.bool_), duration, False)
    return _Frame(pixels, eight_bits(picture.alpha) >= 128, duration, True)


@dataclass
class _Canvas:
    """What a viewer shows: true colours as they were when drawn `[H, W, 3]`, and where anything is seen `[H, W]`."""

    colors: NDArray[np.uint8]
    seen: Mask

    def difference(self, frame: _Frame) -> tuple[Box, Mask]:
        """What of a frame must be drawn: the rectangle, and in the whole picture which pixels."""
        off: NDArray[np.uint8] = np.maximum(frame.pixels, self.colors) - np.minimum(frame.pixels, self.colors)
        most = 0 if _has_few_colors(frame.pixels) else _ALIKE
        changed = frame.seen & (~self.seen | (off.max(axis=2) > most))
        return _joined((slice(0, 0), slice(0, 0)), changed), changed

    def draw(self, pixels: NDArray[np.uint8], box: Box, drawn: Mask, *, is_cleared: bool) -> None:
        """Take over the drawn pixels of the rectangle, or lose it."""
        self.colors[box][drawn] = pixels[box][drawn]
        self.seen[box] = False if is_cleared else self.seen[box] | drawn


def _has_few_colors(pixels: NDArray[np.uint8]) -> bool:
    from PIL import Image

    return Image.fromarray(pixels).getcolors(MOST_COLORS - 1) is not None


def _joined(box: Box, mask: Mask) -> Box:
    """The smallest rectangle around a rectangle and all that is set in the mask; at least one pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    spans = []
    for part, places in zip(box, (rows, columns), strict=True):
        edges = [part.start, part.stop] if part.stop > part.start else []
        edges += [int(places[0]), int(places[-1]) + 1] if len(places) else []
        spans.append(slice(min(edges), max(edges)) if edges else slice(0, 1))
    return spans[0], spans[1]


@dataclass(frozen=True)
class _Part:
    """A frame's rectangle: numbers of colours `[h, w]`, which of them is transparent, and its own colours if any."""

    indices: NDArray[np.uint8]
    drawn: Mask
    transparent: int | None
    own: Palette | None


def _part(pixels: NDArray[np.uint8], drawn: Mask, seen: Mask, shared: Palette, *, has_alpha: bool) -> _Part:
    """What a frame's rectangle holds.

    Where anything is ever transparent every frame has a transparent index, used or not: viewers clear a rectangle to
    the background's colour if it has none.
    """
    if not has_alpha and not drawn.all() and seen.all() and shared.is_exact and shared.spare_index is None:
        drawn = seen  # no index is left for "as before", so all of the rectangle is drawn
    needs_spare = has_alpha or not drawn.all()
    if drawn.any():
        palette = _suitable(pixels[drawn], shared, most=MOST_COLORS - needs_spare)
    else:
        palette = shared if shared.spare_index is not None else _NOTHING
    indices = indices_of(pixels, palette).copy()
    spare = palette.spare_index if needs_spare else None
    if spare is not None:
        indices[~drawn] = spare
    if palette is shared:
        return _Part(indices, drawn, spare, None)
    return _Part(indices, drawn, spare, palette.with_spare() if spare is not None else palette)


def _first_palette(frame: _Frame, *, is_animated: bool) -> Palette:
    """The first frame's colours; where there are too many, as many as leave room for what may be transparent."""
    if not frame.seen.any():
        return _NOTHING
    visible = frame.pixels[frame.seen]
    if not frame.has_alpha and not is_animated:
        return palette_of(visible, most=MOST_COLORS)
    exact = None if frame.has_alpha else palette_of(visible, most=MOST_COLORS)
    return exact if exact is not None and exact.is_exact else palette_of(visible, most=MOST_COLORS - 1)


def _suitable(pixels: NDArray[np.uint8], shared: Palette, *, most: int) -> Palette:
    """The shared colours if they are nearly as good for these pixels `[N, 3]` as ones of their own, else those."""
    has_room = len(shared.colors) <= most
    if has_room and shared.is_exact and bool(np.isin(packed(pixels), packed(shared.colors)).all()):
        return shared
    own = palette_of(pixels, most=most)
    if own.is_exact or shared.is_exact or not has_room:
        return own
    some = pixels[:: -(-len(pixels) // _LOOKED_AT)][None]
    error, least = (squared_error(some, palette) for palette in (shared, own))
    return shared if error <= _WORSE * least + _UNSEEN else own


def _head(shape: tuple[int, ...], shared: Palette, *, loops: int, is_animated: bool) -> bytes:
    table = shared.with_spare() if shared.spare_index is not None else shared
    size = struct.pack("<HHBBB", shape[1], shape[0], 0xF0 | table.size_bits, 0, 0)
    again = b""
    if is_animated and loops != 1:
        number = min(loops - 1, 65535) if loops else 0
        again = b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", number) + b"\0"
    return b"GIF89a" + size + table.table + again


def _control(disposal: int, delay: int, transparent: int | None) -> bytes:
    flags = disposal << 2 | (transparent is not None)
    return bytes([gif.INTRODUCER, gif.CONTROL]) + struct.pack("<BBHBB", 4, flags, delay, transparent or 0, 0)


def _image(part: _Part, box: Box) -> bytes:
    rows, columns = box
    size = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    flags = 0 if part.own is None else 0x80 | part.own.size_bits
    table = b"" if part.own is None else part.own.table
    return bytes([gif.DESCRIPTOR]) + struct.pack("<HHHHB", *size, flags) + table + _coded(part.indices)


def _coded(indices: NDArray[np.uint8]) -> bytes:
    """The indices compressed: what follows the tables where Pillow writes them as a gray picture, row after row."""
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(indices)).save(packed, "GIF", interlace=0, optimize=False)
    data = packed.getvalue()
    at = 13 + gif.table_bytes(data[10])
    while data[at] == gif.INTRODUCER:
        at = gif.behind_blocks(data, at + 2)
    start = at + 10 + gif.table_bytes(data[at + 9])
    return data[start : gif.behind_blocks(data, start + 1)]


def _encode(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    file = io.BytesIO()
    write(file, [(picture, 0.0)], loops=1, is_animated=False)
    return file.getvalue(), []


WRITER = Writer(largest_side=65535, encode=_encode, holds_alpha=True, holds_metadata=False)
