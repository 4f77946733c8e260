"""Samples of a TIFF of every depth and number of channels; only the unpacking of its strips and tiles is Pillow's."""

from __future__ import annotations

import io
from dataclasses import replace
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
    if array.dtype not in (np.uint8, np.uint16):
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


def settled_gray(unpacked: samples.Unpacked, page: Page) -> samples.Unpacked:
    """Gray samples of more than 8 bits with black at zero and white at 65535, which Pillow leaves as they lie."""
    bits = max(page.numbers(tiff_page.BITS, 16))
    pixels = unpacked.pixels
    if 8 < bits < 16:
        pixels = samples.widened(pixels, peak=2**bits - 1)
    if bits <= 16 and page.numbers(tiff_page.PHOTOMETRIC)[:1] == (tiff_page.WHITE_IS_ZERO,):
        pixels = 65535 - pixels
    return replace(unpacked, pixels=pixels)


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
    """The samples as they are stored, integers or floating point `[H, W, C]`, not turned."""
    if not page.is_split:
        return _run(page, channels=page.channels, part=None)
    return np.concatenate([_run(page, channels=1, part=part) for part in range(page.channels)], axis=2)


def _run(page: Page, *, channels: int, part: int | None) -> NDArray[Any]:
    """The channels that lie side by side `[H, W, channels]`: all of them, or the one that `part` counts from 0."""
    bits, kind = page.kind
    width, across = page.numbers(tiff_page.WIDTH, 0)[0], page.numbers(tiff_page.TILE_WIDTH, 0)[0]
    across = across or width  # pixels that a strip or a tile has in a row
    if width < 1 or across < 1:
        raise DamageError("its table of strips is damaged")
    span = -(-width // across) * across
    packed = _bytes(page, width=span, tile=across, pixel=channels * bits // 8, part=part)
    code = ("u" if kind == tiff_page.UNSIGNED else "f") + str(bits // 8)
    rows = packed.reshape(packed.shape[0], span // across, across * channels * bits // 8)
    predictor = page.numbers(tiff_page.PREDICTOR, 1)[0]
    if predictor == _FLOATING_DIFFERENCES:  # bytes of one weight lie together, the highest first
        summed = np.cumsum(rows.reshape(*rows.shape[:2], -1, channels), axis=2, dtype=np.uint8)
        planes = summed.reshape(*rows.shape[:2], bits // 8, -1)
        values: NDArray[Any] = np.ascontiguousarray(planes.swapaxes(2, 3)).view(">" + code)
    else:
        values = rows.view(page.order + code)
    values = values.astype(code).reshape(*rows.shape[:2], across, channels)
    if predictor == _DIFFERENCES:
        values = np.cumsum(values, axis=2, dtype=values.dtype)
    return values.reshape(packed.shape[0], span, channels)[:, :width]


def _bytes(page: Page, *, width: int, tile: int, pixel: int, part: int | None) -> NDArray[np.uint8]:
    """The bytes of rows of `width` pixels, `pixel` bytes each, unpacked `[H, width * pixel]`.

    The file's own strips under a new directory: gray of 8 bits, a sample for each byte, no predictor. So every
    compression that Pillow has is undone exactly, whatever the samples are.
    """
    fields = [ifd.numbers(tag, ifd.SHORT, number, order=page.order) for tag, number in _ONE_BYTE.items()]
    fields.append(ifd.numbers(tiff_page.WIDTH, ifd.LONG, width * pixel, order=page.order))
    if tiff_page.TILE_WIDTH in page.entries:
        fields.append(ifd.numbers(tiff_page.TILE_WIDTH, ifd.LONG, tile * pixel, order=page.order))
    for tag, entry in page.entries.items():
        if tag in _PLACES and part is not None:
            size, count = len(entry.value) // page.channels, entry.count // page.channels
            fields.append(ifd.Entry(tag, entry.kind, count, entry.value[part * size : (part + 1) * size]))
        elif tag in _PLACES or tag in _STORAGE:
            fields.append(entry)
    with opening.pillow_limit(width * pixel * page.numbers(tiff_page.HEIGHT, 0)[0]):
        image = Image.open(io.BytesIO(page.with_directory(fields)), formats=["TIFF"])
        return np.array(image, np.uint8)
