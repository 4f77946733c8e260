"""Colours reduced to at most 256 of them; knows no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hatcli.image.picture import Samples

MOST_COLORS = 256


@dataclass(frozen=True)
class Palette:
    """Colours `[N, 3]`, N up to 256; exact ones are all that the pixels have, in ascending order."""

    colors: NDArray[np.uint8]
    is_exact: bool

    @property
    def table(self) -> bytes:
        """As it stands in a file: a power of two of colours, at least two."""
        return self.colors.tobytes().ljust(3 * (2 << self.size_bits), b"\0")

    @property
    def size_bits(self) -> int:
        """What the file says of the table's size: it has `2 << size_bits` colours."""
        return max(len(self.colors) - 1, 1).bit_length() - 1

    @property
    def spare_index(self) -> int | None:
        """An index that no colour has, for what is transparent."""
        return len(self.colors) if len(self.colors) < MOST_COLORS else None

    def with_spare(self) -> Palette:
        """The same with a last colour nobody uses, so that the table has room for the transparent index."""
        return Palette(np.concatenate([self.colors, np.zeros((1, 3), np.uint8)]), self.is_exact)


def palette_of(pixels: Samples, *, most: int) -> Palette:
    """The colours of the pixels `[N, 3]` as they are if they are at most `most`, else as many that represent them."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels[None]))
    found = image.getcolors(most)
    if found is not None:
        colors: NDArray[np.uint8] = np.array(sorted(value for _, value in found), np.uint8).reshape(-1, 3)
        return Palette(colors, is_exact=True)
    table = image.quantize(most).getpalette() or []
    return Palette(np.array(table[: 3 * most], np.uint8).reshape(-1, 3), is_exact=False)


def indices_of(pixels: Samples, palette: Palette) -> NDArray[np.uint8]:
    """The pixels `[H, W, 3]` as numbers of colours `[H, W]`: looked up where all are there, else dithered."""
    if palette.is_exact:
        places: NDArray[Any] = np.searchsorted(packed(palette.colors), packed(pixels))
        return places.clip(0, len(palette.colors) - 1).astype(np.uint8)
    return _reduced(pixels, palette, dithered=True)


def packed(colors: Samples) -> NDArray[np.uint32]:
    """Colours `[..., 3]` as one number each, in their ascending order."""
    wide = colors.astype(np.uint32)
    packed: NDArray[Any] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def _reduced(pixels: Samples, palette: Palette, *, dithered: bool) -> NDArray[np.uint8]:
    from PIL import Image

    like = Image.new("P", (1, 1))
    like.putpalette(palette.colors.tobytes())
    dither = Image.Dither.FLOYDSTEINBERG if dithered else Image.Dither.NONE
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).quantize(palette=like, dither=dither))


def squared_error(pixels: NDArray[np.uint8], palette: Palette) -> float:
    """The mean squared error of the pixels `[H, W, 3]` with the nearest of these colours."""
    nearest = palette.colors[_reduced(pixels, palette, dithered=False)]
    return float(np.square(nearest.astype(np.float32) - pixels).mean())
