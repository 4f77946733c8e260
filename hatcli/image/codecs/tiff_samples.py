"""Samples of a TIFF of every depth and number of channels; only the unpacking of its strips and tiles is Pillow's."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hatcli.image import color, ifd, opening, samples
from hatcli.image.codecs import opencv, tiff_page
from hatcli.image.codecs.tiff_page import Layout, Page
from hatcli.image.formats import DamageError
from hatcli.image.picture import Samples, eight_bits

_PLACES = {tiff_page.STRIP_OFFSETS, tiff_page.STRIP_LENGTHS, tiff_page.TILE_OFFSETS, tiff_page.TILE_LENGTHS}
_STORAGE = {tiff_page.HEIGHT, tiff_page.COMPRESSION, tiff_page.ROWS, tiff_page.FILL_ORDER, tiff_page.TILE_LENGTH}
_ONE_BYTE = {tiff_page.BITS: 8, tiff_page.SAMPLES: 1, tiff_page.PHOTOMETRIC: tiff_page.BLACK_IS_ZERO}
_DIFFERENCES, _FLOATING_DIFFERENCES = 2, 3  # what PREDICTOR says


def unpack(page: Page, icc: bytes | None) -> samples.Unpacked:
    """The samples of a page that is not left to Pillow, not turned; alpha straight, channels of other kinds left out.

    Raises:
        DamageError: it is cut off, or contradicts itself.
        InputError: it holds values that are no numbers.
    """
    array = _rgb(page) if page.layout() is Layout.RGB else _stored(page)
    colors, alpha = array[..., : page.colors], None if page.alpha is None else array[..., page.alpha]
    notes: tuple[str, ...] = ()
    if array.dtype in (np.int8, np.int16):
        colors, notes = _from_signed(colors)
        alpha = None if alpha is None else _from_signed(alpha)[0]
    elif array.dtype not in (np.uint8, np.uint16):
        colors, notes = samples.sixteen_bits(colors)
        alpha = None if alpha is None else samples.sixteen_bits(alpha)[0]
    if page.numbers(tiff_page.PHOTOMETRIC)[:1] == (tiff_page.WHITE_IS_ZERO,):
        colors = np.iinfo(colors.dtype).max - colors
    if page.colors == 4:
        colors, note = _from_inks(colors, icc)
        alpha, notes = None if alpha is None else eight_bits(alpha), (*notes, note)
    unpacked = samples.Unpacked(
        np.ascontiguousarray(colors), None if alpha is None else np.ascontiguousarray(alpha), notes
    )
    return samples.unmultiplied(unpacked) if page.is_multiplied else unpacked


def _from_signed(values: NDArray[Any]) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Signed integers of 8 or 16 bits as 16 bits, white at their highest where none is below zero."""
    peak = np.iinfo(values.dtype).max
    if values.min() < 0:
        return samples.sixteen_bits(values.astype(np.int32))
    return samples.widened(values.astype(np.uint16), peak=peak), (f"signed samples were read with white at {peak}",)


def _from_inks(inks: Samples, icc: bytes | None) -> tuple[Samples, str]:
    image, note = color.cmyk_to_rgb(Image.fromarray(np.ascontiguousarray(eight_bits(inks)), "CMYK"), icc)
    converted: NDArray[np.uint8] = np.array(image, np.uint8)
    return converted, note


def _rgb(page: Page) -> NDArray[np.uint16]:
    """16-bit RGB side by side, with or without a fourth channel `[H, W, C]`, not turned."""
    data, turned = page.data, page.entries.get(tiff_page.ORIENTATION)
    if turned is not None and turned.kind in (ifd.SHORT, ifd.LONG):  # OpenCV turns some kinds of TIFF and others not
        upright = ifd.numbers(tiff_page.ORIENTATION, turned.kind, 1, order=page.order).value
        data = data[: turned.at] + upright + data[turned.at + len(upright) :]
    return opencv.decoded(data)


def _stored(page: Page) -> NDArray[Any]:
    """The samples as they are stored, integers or floating point `[H, W, C]`, not turned.

    Those of other than whole bytes lie over the full range of 8 or 16 bits.
    """
    if not page.is_split:
        array = _run(page, channels=page.channels, part=None)
    else:
        array = np.concatenate([_run(page, channels=1, part=part) for part in range(page.channels)], axis=2)
    bits = page.kind[0]
    if bits < 8:
        return samples.rescaled(array, peak=2**bits - 1)
    return samples.widened(array, peak=2**bits - 1) if 8 < bits < 16 else array


def _run(page: Page, *, channels: int, part: int | None) -> NDArray[Any]:
    """The channels that lie side by side `[H, W, channels]`: all of them, or the one that `part` counts from 0."""
    bits, kind = page.kind
    width, across = page.numbers(tiff_page.WIDTH, 0)[0], page.numbers(tiff_page.TILE_WIDTH, 0)[0]
    across = across or width  # pixels that a strip or a tile has in a row
    if width < 1 or across < 1:
        raise DamageError("its table of strips is damaged")
    span = -(-width // across) * across
    length = -(-across * channels * bits // 8)  # of its bytes
    packed = _bytes(page, width=span // across * length, tile=length, part=part)
    rows = packed.reshape(packed.shape[0], span // across, length)
    if bits < 8 or 8 < bits < 16:
        values = _unpacked(rows.reshape(-1, length), bits=bits, count=across * channels)
        return values.reshape(packed.shape[0], span, channels)[:, :width]
    code = {tiff_page.UNSIGNED: "u", tiff_page.SIGNED: "i", tiff_page.FLOATING: "f"}[kind] + str(bits // 8)
    predictor = page.numbers(tiff_page.PREDICTOR, 1)[0]
    if predictor == _FLOATING_DIFFERENCES:  # bytes of one weight lie together, the highest first
        summed = np.cumsum(rows.reshape(*rows.shape[:2], -1, channels), axis=2, dtype=np.uint8)
        planes = summed.reshape(*rows.shape[:2], bits // 8, -1)
        values = np.ascontiguousarray(planes.swapaxes(2, 3)).view(">" + code)
    else:
        values = rows.view(page.order + code)
    values = values.astype(code).reshape(*rows.shape[:2], across, channels)
    if predictor == _DIFFERENCES:
        values = np.cumsum(values, axis=2, dtype=values.dtype)
    return values.reshape(packed.shape[0], span, channels)[:, :width]


def _unpacked(rows: NDArray[np.uint8], *, bits: int, count: int) -> NDArray[Any]:
    """So many samples of each row of bytes, the highest bit first, as 8 or 16 bits `[N, count]`."""
    values = np.empty((len(rows), count), np.uint8 if bits < 8 else np.uint16)
    weights = (1 << np.arange(bits)[::-1]).astype(values.dtype)
    for at, row in enumerate(rows):  # at once they would take eight times the memory
        values[at] = np.unpackbits(row, count=count * bits).reshape(count, bits) @ weights
    return values


def _bytes(page: Page, *, width: int, tile: int, part: int | None) -> NDArray[np.uint8]:
    """The bytes of rows, unpacked `[H, width]`; `tile` is how many of them lie in a row of a tile.

    The file's own strips under a new directory: gray of 8 bits, a sample for each byte, no predictor. So every
    compression that Pillow has is undone exactly, whatever the samples are.
    """
    fields = [ifd.numbers(tag, ifd.SHORT, number, order=page.order) for tag, number in _ONE_BYTE.items()]
    fields.append(ifd.numbers(tiff_page.WIDTH, ifd.LONG, width, order=page.order))
    if tiff_page.TILE_WIDTH in page.entries:
        fields.append(ifd.numbers(tiff_page.TILE_WIDTH, ifd.LONG, tile, order=page.order))
    for tag, entry in page.entries.items():
        if tag in _PLACES and part is not None:
            size, count = len(entry.value) // page.channels, entry.count // page.channels
            fields.append(ifd.Entry(tag, entry.kind, count, entry.value[part * size : (part + 1) * size]))
        elif tag in _PLACES or tag in _STORAGE:
            fields.append(entry)
    with opening.pillow_limit(width * page.numbers(tiff_page.HEIGHT, 0)[0]):
        image = Image.open(io.BytesIO(page.with_directory(fields)), formats=["TIFF"])
        return np.array(image, np.uint8)
