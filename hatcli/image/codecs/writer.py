"""What formats can hold, how they are asked to write, and what their encoders have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from hatcli.image import color, exif
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples, eight_bits

_WHITE = 255


@dataclass(frozen=True)
class Rows:
    """A picture as it is written row by row.

    Attributes:
        blocks: consecutive rows `[rows, width, channels]`, together `height` of them, alpha as the last channel.
        like: whose depth, profile, metadata and resolution the file has.
    """

    blocks: Iterable[Samples]
    like: Picture
    width: int
    height: int
    channels: int


@dataclass(frozen=True)
class Writer:
    """What a format can hold, and its encoder: one for whole pictures, or one for rows as they come.

    Attributes:
        largest_side: in pixels.
        encode: a whole picture to bytes, and a sentence for each thing that was not kept.
        write_rows: rows to an open file that can seek.
        largest_area: in pixels, or None where sides are the only limit.
        holds_depth: 16 bits a sample.
        holds_bits: bits a sample it is written with, of more than 8, where it does not hold 16.
        holds_alpha: transparency of any kind.
        holds_metadata: a colour profile, EXIF and XMP.
        holds_light: that samples are of high dynamic range.
    """

    largest_side: int
    encode: Callable[[Picture, EncodeOptions], tuple[bytes, list[str]]] | None = None
    write_rows: Callable[[BinaryIO, Rows, EncodeOptions], None] | None = None
    largest_area: int | None = None
    holds_depth: bool = False
    holds_bits: int = 8
    holds_alpha: bool = False
    holds_metadata: bool = True
    holds_light: bool = False


def rows_of(picture: Picture, *, rows: int = 256) -> Rows:
    """A whole picture in blocks of rows."""

    def blocks() -> Iterable[Samples]:
        for top in range(0, picture.height, rows):
            pixels = picture.pixels[top : top + rows]
            if picture.alpha is None:
                yield pixels
            else:
                yield np.concatenate([pixels, picture.alpha[top : top + rows, :, None]], axis=2)

    channels = int(picture.pixels.shape[2]) + (picture.alpha is not None)
    return Rows(blocks(), picture, picture.width, picture.height, channels)


def regrouped(blocks: Iterable[Samples], *, rows: int) -> Iterator[Samples]:
    """The same rows in blocks of `rows`, the last one smaller: so that a file does not depend on how they come."""
    waiting: list[Samples] = []
    count = 0
    for block in blocks:
        rest = block
        while len(rest):
            part = rest[: rows - count]
            waiting.append(part)
            count += len(part)
            rest = rest[len(part) :]
            if count == rows:
                yield _joined(waiting)
                waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[Samples]) -> Samples:
    return blocks[0] if len(blocks) == 1 else cast(Samples, np.concatenate(blocks))


def in_color(picture: Picture) -> Picture:
    """The picture with 8 bits, and RGB: gray through its profile."""
    pixels, alpha = eight_bits(picture.pixels), None if picture.alpha is None else eight_bits(picture.alpha)
    if not picture.is_gray:
        return replace(picture, pixels=pixels, alpha=alpha)
    return replace(picture, pixels=color.gray_to_srgb(pixels, picture.icc), alpha=alpha, icc=None)


def stacked(picture: Picture) -> NDArray[np.uint8]:
    """Samples of 8 bits `[H, W, C]`, alpha as the last channel."""
    pixels = eight_bits(picture.pixels)
    if picture.alpha is None:
        return pixels
    return np.concatenate([pixels, eight_bits(picture.alpha)[..., None]], axis=2)


def flattened(picture: Picture) -> NDArray[np.uint8]:
    """The picture with 8 bits and no transparency, laid on white."""
    pixels = eight_bits(picture.pixels)
    if picture.alpha is None:
        return pixels
    alpha = eight_bits(picture.alpha)[..., None].astype(np.uint16)
    return ((pixels * alpha + _WHITE * (255 - alpha) + 127) // 255).astype(np.uint8)


def carried_by_pillow(picture: Picture, options: EncodeOptions) -> dict[str, Any]:
    """Profile and metadata as Pillow takes them for a format that has no other place than EXIF for the resolution."""
    block = picture.exif
    if block is None and picture.dpi is not None and not options.strip_metadata:
        block = exif.for_resolution(picture.dpi)
    return {"icc_profile": picture.icc, "exif": block, "xmp": picture.xmp}
