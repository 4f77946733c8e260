"""What a run will take, before it runs: pieces of the very pictures are enlarged and encoded, and the rest follows."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hatcli.image import encode
from hatcli.image.decode import PictureInfo
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.upscaling.size import SizePlan, Target
from hatcli.upscaling.upscaler import Upscaler

TIME_SLACK, SIZE_SLACK = 1.35, 1.25  # an estimate is said as a range, from a part of it to so many times as much
_STRIP = 32  # rows of a piece; pieces from all over a picture are laid one below the other
_FIRST_SIDE = 48  # pixels of the piece that tells how large the others may be
_LONGEST = 1.5  # seconds for the pieces of one picture ...
_ALL = 30.0  # ... and of all; what comes later is told from those before
_COMPARED = 1 << 22  # pixels of a picture that are encoded as they are
_LEAST, _MOST = 64**2, 512**2  # pixels of the pieces of one picture
# Bytes a pixel of enlarged photographs at the default settings, measured on one of 64 megapixels.
_BYTES_A_PIXEL = {"PNG": 0.7, "TIFF": 0.62, "JPEG": 0.16, "WEBP": 0.045, "AVIF": 0.04, "GIF": 0.6, "BMP": 3.0}
_BYTES_A_PIXEL |= {"HEIF": 0.1, "JXL": 0.6, "EXR": 1.5}
_MOST_COMPRESSED = {"PNG": 1032, "TIFF": 1032, "JPEG": 512}  # samples in a byte: deflate's limit; a bit for 64 samples


@dataclass(frozen=True)
class Estimate:
    """What one picture will take: seconds, and bytes on the disk."""

    seconds: float
    file_bytes: int


@dataclass(frozen=True)
class _Tried:
    """What pieces of a picture took: seconds a pixel that a network is run on, bytes a pixel of the result."""

    seconds: float
    bytes: float


class Estimator:
    """Estimates for pictures, by trying pieces of them on this device.

    Args:
        upscaler: what will enlarge them.
        target: how large they become.
        options: of the encoder.
        load: the picture in a file.
    """

    def __init__(
        self, upscaler: Upscaler, target: Target, options: EncodeOptions, *, load: Callable[[Path], Picture]
    ) -> None:
        self._upscaler, self._target, self._options, self._load = upscaler, target, options, load
        self._spent = 0.0
        self._most_pixels: dict[tuple[str, tuple[int, ...]], int] = {}
        self._tried: dict[tuple[str, tuple[int, ...], str], list[_Tried]] = {}

    def of(self, path: Path, info: PictureInfo, size: SizePlan, container: str) -> Estimate:
        """What a picture of one frame will take.

        Raises:
            HatError: it cannot be read, or its pieces cannot be enlarged.
        """
        suited = self._upscaler.suited(info.width, info.height, jpeg_quality=info.jpeg_quality, target=self._target)
        way = ("" if suited.model is None else suited.model.name, size.passes)
        known = self._tried.setdefault((*way, container), [])
        if known and self._spent >= _ALL:
            return self._extrapolated(_mean(known), suited, info, size, header=0)
        picture = self._load(path)
        pieces = self._pieces_to_try(suited, picture, info, size, way)
        header = self._encoded_bytes(_pieces(picture, rows=8, columns=8, pixels=64), container)
        took = self._try(suited, picture, pieces, container)
        run = _network_pixels(suited, pieces.width, pieces.height, size.passes, pieces.bits)
        share = pieces.width * pieces.height / (picture.width * picture.height)
        density = max(took.file_bytes - header, 1) / (size.width * size.height * share)
        known.append(_Tried(took.seconds / run, density * self._unevenness(picture, pieces, container, header)))
        return took if pieces is picture else self._extrapolated(known[-1], suited, info, size, header=header)

    def _extrapolated(
        self, tried: _Tried, upscaler: Upscaler, info: PictureInfo, size: SizePlan, *, header: int
    ) -> Estimate:
        pixels = _network_pixels(upscaler, info.width, info.height, size.passes, info.bits)
        return Estimate(tried.seconds * pixels, round(header + tried.bytes * size.width * size.height))

    def _try(self, upscaler: Upscaler, picture: Picture, pieces: Picture, container: str) -> Estimate:
        """What pieces of a picture, or all of it, take."""
        began = time.monotonic()
        result = upscaler.upscale(pieces, self._target_of(pieces, picture))
        made = self._encoded_bytes(result, container)
        took = time.monotonic() - began
        self._spent += took
        return Estimate(took, made)

    def _pieces_to_try(
        self, upscaler: Upscaler, picture: Picture, info: PictureInfo, size: SizePlan, way: tuple[str, tuple[int, ...]]
    ) -> Picture:
        """As much of a picture as can be tried in the time there is, as wide as one of its tiles."""
        rows, columns = info.height, info.width
        if size.passes:
            tiles = upscaler.tile_plan(info.width, info.height, size.passes[0], bits=info.bits)
            rows, columns = tiles.rows[0].end, tiles.columns[0].end
        return _pieces(picture, rows=rows, columns=columns, pixels=self._allowed_pixels(upscaler, picture, way))

    def _unevenness(self, picture: Picture, pieces: Picture, container: str, header: int) -> float:
        """How much harder the whole picture is to compress than its pieces, as it is, which takes little time."""
        most = _pieces(picture, rows=picture.height, columns=picture.width, pixels=_COMPARED)
        whole, some = (
            max(self._encoded_bytes(part, container) - header, 1) / (part.width * part.height)
            for part in (most, pieces)
        )
        return whole / some

    def _allowed_pixels(self, upscaler: Upscaler, picture: Picture, way: tuple[str, tuple[int, ...]]) -> int:
        """How many pixels are enlarged in the time there is; tried once for each way."""
        if way not in self._most_pixels:
            piece = _pieces(picture, rows=_FIRST_SIDE, columns=_FIRST_SIDE, pixels=_FIRST_SIDE**2)
            target, took = self._target_of(piece, picture), 0.0
            for _ in range(2):  # the first one warms up
                began = time.monotonic()
                upscaler.upscale(piece, target)
                took = time.monotonic() - began
                self._spent += took
            allowed = piece.width * piece.height * _LONGEST / max(took, 1e-6)
            self._most_pixels[way] = round(min(max(allowed, _LEAST), _MOST))
        return self._most_pixels[way]

    def _target_of(self, piece: Picture, whole: Picture) -> Target:
        """The target that enlarges a piece as much as the whole is enlarged."""
        factor = self._target.factor(whole.width, whole.height)
        if factor is None or not self._target.is_size:
            return self._target
        return Target(scale=factor) if factor > 1 else Target(width=max(1, round(piece.width * factor)))

    def _encoded_bytes(self, picture: Picture, container: str) -> int:
        file = io.BytesIO()
        encode.write_into(file, picture, format=container, options=self._options)
        return len(file.getbuffer())


def _pieces(picture: Picture, *, rows: int, columns: int, pixels: int) -> Picture:
    """Strips from all over a picture, one below the other: at most so many rows, columns and pixels.

    The whole picture if that is not more.
    """
    width, height = min(picture.width, columns), min(picture.height, rows)
    if (width, height) == (picture.width, picture.height) and width * height <= pixels:
        return picture
    strip = min(_STRIP, height)
    width = max(min(width, pixels // strip), 1)
    count = max(1, min(pixels // (width * strip), height // strip))
    tops = [round(number * (picture.height - strip) / max(count - 1, 1)) for number in range(count)]
    lefts = [round(number * (picture.width - width) / max(count - 1, 1)) for number in range(count)]
    if count == 1:
        tops, lefts = [(picture.height - strip) // 2], [(picture.width - width) // 2]
    windows = [(slice(top, top + strip), slice(left, left + width)) for top, left in zip(tops, lefts, strict=True)]
    alpha = None if picture.alpha is None else np.concatenate([picture.alpha[window] for window in windows])
    return replace(picture, pixels=np.concatenate([picture.pixels[window] for window in windows]), alpha=alpha)


def _network_pixels(upscaler: Upscaler, width: int, height: int, passes: tuple[int, ...], bits: int) -> int:
    """Pixels that networks are run on, overlaps of tiles as often as they are; without a pass, the picture's."""
    run = 0
    for scale in passes:
        run += upscaler.tile_plan(width, height, scale, bits=bits).pixels
        width, height = width * scale, height * scale
    return run or width * height


def _mean(tried: list[_Tried]) -> _Tried:
    return _Tried(sum(one.seconds for one in tried) / len(tried), sum(one.bytes for one in tried) / len(tried))


def span(value: float, slack: float) -> tuple[float, float]:
    """From what to what an estimate stands for."""
    return value / slack, value * slack


def file_bytes(format: str, *, width: int, height: int, bits: int) -> int:
    """About what a file of this size and format takes on the disk, if it is a photograph."""
    deep = bits // 8 if format in ("PNG", "TIFF", "JXL") else 1
    return int(width * height * _BYTES_A_PIXEL[format] * deep)


def least_bytes(format: str, *, width: int, height: int, compression: int | None = None) -> int:
    """What no file of this size and format can do with less of: gray, 8 bits, one value all over."""
    if format == "BMP" or (format in ("PNG", "TIFF") and compression == 0):
        return width * height
    return width * height // _MOST_COMPRESSED.get(format, width * height)
