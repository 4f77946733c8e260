"""HEIC and HEIF by pillow-heif: 10 and 12 bits kept as 16, already turned upright, one picture of a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hatcli.errors import OutputError
from hatcli.image import exif, gain_maps, metadata, opening, profiles, samples
from hatcli.image.codecs import boxes, heif_items
from hatcli.image.codecs.reader import Beside, Reader, Shape
from hatcli.image.codecs.writer import Writer, carried_by_pillow
from hatcli.image.formats import DamageError
from hatcli.image.light import Light, of_codes
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples, eight_bits

DEFAULT_QUALITY = 90
_TILE = 2048  # pixels a side from which it is cut into tiles, as phones do: decoders refuse what takes too much at once
_MOST_AT_ONCE = 15 << 20  # bytes of a picture that is not cut, which readers take
_WRITTEN_BITS = 10  # the most that phones and browsers show
_UNSPECIFIED = 2
_BLANK = (0.27, 0.55)  # green of a tile that was not decoded, all zero in YCbCr: its share of white by the matrix used


@dataclass(frozen=True)
class HeifReader(Reader):
    """A HEIC that libheif has opened; `image` is its primary picture."""

    image: Any
    count: int

    def unpack(self) -> samples.Unpacked:
        array: NDArray[Any] = np.asarray(self.image)
        if self._is_color and any(_is_blank(tile) for tile in self._tiles(array)):
            raise DamageError("a tile of the picture is damaged")
        bits = int(self.image.info["bit_depth"])
        if array.dtype == np.uint16:
            array = samples.widened(
                (array >> (16 - bits)).astype(np.uint16), peak=2**bits - 1
            )  # they lie in the upper bits
        unpacked = samples.from_array(array)
        if unpacked.alpha is not None and self.image.premultiplied_alpha:
            return samples.unmultiplied(unpacked)
        return unpacked

    def _tiles(self, array: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The tiles that it is put together from; counted from each side, since it may have been turned."""
        tiling = self.image.info.get("tiling") or {}
        width, height = int(tiling.get("tile_width", 0)), int(tiling.get("tile_height", 0))
        if not width or not height:
            return
        for sheet in (array, array[:, ::-1], array[::-1], array[::-1, ::-1]):
            for top in range(0, sheet.shape[0], height):
                for left in range(0, sheet.shape[1], width):
                    yield sheet[top : top + height, left : left + width]

    def beside(self) -> Beside:
        info = self.image.info
        block = metadata.find_exif(info)
        icc = info.get("icc_profile") or (profiles.of_codes(*self._codes()) if self._is_color else None)
        return Beside(icc=icc, exif=block, xmp=metadata.find_xmp(info), dpi=None, turn=1)

    def shape(self) -> Shape:
        width, height = self.image.size
        mode = self.image.mode
        return Shape(width, height, 3 if self._is_color else 1, 16 if ";16" in mode else 8, "A" in mode or "a" in mode)

    def light(self) -> Light | None:
        return of_codes(*self._codes())

    def remarks(self, *, has_profile: bool) -> list[str]:
        info, notes = self.image.info, []
        auxiliary = {str(kind) for kind in info.get("aux", {})}
        if any("gainmap" in kind.lower() for kind in auxiliary) or self._has_derived_gain_map():
            notes.append(gain_maps.NOTE)
        others = len([kind for kind in auxiliary if "gainmap" not in kind.lower()])
        if info.get("depth_images") or others:
            notes.append("depth and auxiliary images in it are left out")
        if self.count > 1:
            more = f"{self.count - 1} further picture{'s' if self.count > 2 else ''}"
            notes.append(f"{more} in the file {'are' if self.count > 2 else 'is'} left out")
        return notes

    def _has_derived_gain_map(self) -> bool:
        brands = boxes.find(self.data, b"ftyp")
        return brands is not None and b"tmap" in bytes(brands[8:])

    @property
    def _is_color(self) -> bool:
        return str(self.image.mode).startswith("RGB")

    def _codes(self) -> tuple[int, int]:
        """Primaries and transfer, by codes of ITU-T H.273."""
        said = self.image.info.get("nclx_profile") or {}
        return (
            int(said.get("color_primaries", _UNSPECIFIED)),
            int(said.get("transfer_characteristics", _UNSPECIFIED)),
        )


def _is_blank(tile: NDArray[Any]) -> bool:
    """Whether a tile `[H, W, C]` holds what libheif leaves where it could not decode one, without saying so."""
    red, green, blue = (int(value) for value in tile[tile.shape[0] // 2, tile.shape[1] // 2, :3])
    low, high = (share * np.iinfo(tile.dtype).max for share in _BLANK)
    return red == blue == 0 and low < green < high and bool((tile[..., :3] == (red, green, blue)).all())


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of a HEIC.

    Raises:
        InputError: it is larger than `max_pixels`.
        DamageError: it is cut off.
        Exception: it is damaged, in whatever way libheif puts it.
    """
    import pillow_heif

    if heif_items.is_cut_off(data):
        raise DamageError("the file is cut off")
    file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    image = file[file.primary_index]
    opening.check_pixels(image.size, name=name, max_pixels=max_pixels)
    return HeifReader(data, format, image, len(file))


def encode(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    """The bytes of a HEIC, without chroma subsampling; more than 8 bits become 10."""
    import pillow_heif

    planes, mode = _planes(picture)
    beside = carried_by_pillow(picture, options)
    if beside["exif"] is not None:
        beside["exif"] = exif.PREFIX + beside["exif"]
    light = picture.light
    codes = (1, 13, 6) if light is None else (light.primaries, light.transfer, 9 if light.primaries == 9 else 1)
    keywords: dict[str, Any] = {name: value for name, value in beside.items() if value is not None}
    keywords.update(zip(("color_primaries", "transfer_characteristics", "matrix_coefficients"), codes, strict=True))
    if not picture.is_gray:
        keywords["chroma"] = "444"
    made = pillow_heif.from_bytes(mode, (picture.width, picture.height), planes.tobytes())
    file = io.BytesIO()
    tile = 0 if picture.alpha is not None else _TILE  # alpha would get lost on tiles
    made.save(file, quality=options.quality or DEFAULT_QUALITY, full_range_flag=1, tile_size=tile, **keywords)
    if not tile and file.tell() > _MOST_AT_ONCE:
        raise OutputError("the picture with its transparency is too large for HEIC", hint="write it as --format png")
    return file.getvalue(), []


def _planes(picture: Picture) -> tuple[NDArray[Any], str]:
    """Samples `[H, W, C]` as pillow-heif takes them, and its name for their kind."""
    mode = "L" if picture.is_gray else "RGB"
    planes: Samples = picture.pixels
    if picture.alpha is not None:
        mode += "A"
        planes = np.concatenate([planes, picture.alpha[..., None]], axis=2)
    if picture.bits == 8:
        return eight_bits(planes), mode
    peak = 2**_WRITTEN_BITS - 1
    rounded = np.rint(planes.astype(np.float64) * (peak / 65535)).astype(np.uint16)
    return rounded << (16 - _WRITTEN_BITS), f"{mode};16"


WRITER = Writer(largest_side=16384, encode=encode, holds_alpha=True, holds_bits=10, holds_light=True)
