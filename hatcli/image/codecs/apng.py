"""Animated PNGs: each frame as a still PNG of its own, composed here.

Pillow would narrow 16 bits to 8, and lays half-transparent frames over others by another rule than the format's.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hatcli.image.codecs import png, png_writer
from hatcli.image.formats import DamageError
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples

_KEEP, _CLEAR, _RESTORE = 0, 1, 2  # what happens to a frame's rectangle before the next frame is shown
_MOST_DELAY = 65535  # of the numbers of a fraction
_REPLACE = bytes([_KEEP, 0])  # how frames are written: each covers what was there
_OVER = 1  # a frame is laid over what is there, else it replaces it

Decoder = Callable[[bytes], Samples]


@dataclass(frozen=True)
class _Stored:
    """One frame as it lies in the file: where it goes, for how many milliseconds, and the parts of its pixels."""

    width: int
    height: int
    left: int
    top: int
    duration: float
    disposal: int
    blending: int
    parts: list[bytes] = field(default_factory=list[bytes])


def frames(data: bytes, decode: Decoder, *, most: int) -> Iterator[tuple[Samples, float]]:
    """Each frame as it is shown, `[H, W, 4]`, RGB and straight alpha, and its milliseconds.

    Args:
        data: a PNG that passed the gate.
        decode: gives the samples `[h, w, 4]` of a still PNG.
        most: frames beyond which the file is refused.

    Raises:
        DamageError: a frame is damaged, or lies outside the picture.
    """
    header = png.read_header(data)
    canvas: Any = np.zeros((header.height, header.width, 4), np.uint16 if header.depth == 16 else np.uint8)
    for number, stored in enumerate(_stored(data, header, most=most)):
        box = (slice(stored.top, stored.top + stored.height), slice(stored.left, stored.left + stored.width))
        before = canvas[box].copy()
        samples = decode(_still(data, stored))
        canvas[box] = _over(samples, before) if stored.blending == _OVER else samples
        yield canvas.copy(), stored.duration
        if stored.disposal == _CLEAR or (stored.disposal == _RESTORE and number == 0):
            canvas[box] = 0
        elif stored.disposal == _RESTORE:
            canvas[box] = before


def _stored(data: bytes, header: png.Header, *, most: int) -> Iterator[_Stored]:
    """The frames in order, each when it is complete; a still that is none of them is left out."""
    current: _Stored | None = None
    count = 0
    for kind, body, whole in png.chunks(data):
        if kind in (b"fcTL", b"fdAT") and png.checksum(whole) != int.from_bytes(whole[-4:], "big"):
            raise DamageError("it is damaged (a checksum is wrong)")
        if kind == b"fcTL":
            if current is not None:
                yield current
            current = _control(bytes(body), header)
            count += 1
            if count > most:
                raise DamageError(f"it has more than {most} frames")
        elif kind == b"fdAT" and current is not None:
            current.parts.append(bytes(body[4:]))
        elif kind == b"IDAT" and current is not None:
            current.parts.append(bytes(body))
    if current is not None:
        yield current


def _control(body: bytes, header: png.Header) -> _Stored:
    if len(body) != 26:
        raise DamageError("a frame of it is damaged")
    _, width, height, left, top, time, unit, disposal, blending = struct.unpack(">IIIIIHHBB", body)
    inside = 0 < width <= header.width - left and 0 < height <= header.height - top
    if not inside or disposal > _RESTORE or blending > _OVER:
        raise DamageError("a frame of it is damaged")
    return _Stored(width, height, left, top, 1000 * time / (unit or 100), disposal, blending)


def _still(data: bytes, stored: _Stored) -> bytes:
    """A PNG of one frame alone."""
    if not stored.parts:
        raise DamageError("a frame of it has no pixels")
    described = struct.pack(">II", stored.width, stored.height) + data[24:29]
    colors = ((kind, png.find(data, kind, before=b"IDAT")) for kind in (b"PLTE", b"tRNS"))
    between = b"".join(png.chunk(kind, body) for kind, body in colors if body is not None)
    pixels = b"".join(png.chunk(b"IDAT", part) for part in stored.parts)
    return png.SIGNATURE + png.chunk(b"IHDR", described) + between + pixels + png.chunk(b"IEND", b"")


def _over(samples: Samples, below: Samples) -> Samples:
    """Samples `[h, w, 4]` laid over others, both with straight alpha."""
    peak = np.iinfo(samples.dtype).max
    if (samples[..., 3] == peak).all():
        return samples
    opacity, opacity_below = (block[..., 3:].astype(np.float64) / peak for block in (samples, below))
    opacity_below = opacity_below * (1 - opacity)
    total = opacity + opacity_below
    colors = samples[..., :3] * opacity + below[..., :3] * opacity_below
    colors = np.divide(colors, total, out=np.zeros_like(colors), where=total > 0)
    laid: NDArray[Any] = np.rint(np.concatenate([colors, total * peak], axis=2)).astype(samples.dtype)
    return laid


def write(
    file: BinaryIO,
    frames: Iterable[tuple[Picture, float | Fraction]],
    head: Picture,
    still: Picture | None,
    *,
    count: int,
    loops: int,
    options: EncodeOptions,
) -> None:
    """Frames and their milliseconds, each as it comes: the first one (or the still) where a PNG has its pixels.

    Args:
        head: whose size, depth, profile, metadata and resolution the file has.
        count: of the frames.
    """
    number = itertools.count()  # of fcTL and fdAT chunks together
    file.write(_head(head, count=count, loops=loops))
    for part in () if still is None else _deflated(still, options):
        file.write(png.chunk(b"IDAT", part))
    is_first = still is None
    for frame, duration in frames:
        control = struct.pack(">IIIII", next(number), frame.width, frame.height, 0, 0)
        file.write(png.chunk(b"fcTL", control + struct.pack(">HH", *_fraction(duration)) + _REPLACE))
        for part in _deflated(frame, options):
            file.write(
                png.chunk(b"IDAT", part) if is_first else png.chunk(b"fdAT", struct.pack(">I", next(number)) + part)
            )
        is_first = False
    file.write(png.chunk(b"IEND", b""))


def representable(seconds: Fraction) -> Fraction:
    """The nearest time that a frame can be said to be shown for."""
    most = max(1, _MOST_DELAY // (int(seconds) + 1))
    return min(seconds.limit_denominator(most), Fraction(_MOST_DELAY))


def _fraction(duration: float | Fraction) -> tuple[int, int]:
    """Milliseconds as a fraction of seconds; those that are no fraction are taken for whole ones, if they may be."""
    exact = duration if isinstance(duration, Fraction) else Fraction(duration).limit_denominator(1000)
    time = representable(exact / 1000)
    return time.numerator, time.denominator


def _head(like: Picture, *, count: int, loops: int) -> bytes:
    color = png.RGB if like.alpha is None else png.RGB_ALPHA
    header = struct.pack(">IIBBBBB", like.width, like.height, like.bits, color, 0, 0, 0)
    extra = png.metadata_chunks(like)
    control = png.chunk(b"acTL", struct.pack(">II", count, loops))
    return png.SIGNATURE + png.chunk(b"IHDR", header) + extra + control


def _deflated(frame: Picture, options: EncodeOptions) -> Iterator[bytes]:
    block: Any = frame.pixels if frame.alpha is None else np.concatenate([frame.pixels, frame.alpha[..., None]], axis=2)
    return png_writer.deflated([block], row_bytes=block[0].nbytes, pixel=block.shape[2], level=options.zlib_level)
