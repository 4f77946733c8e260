"""A camera raw file made in code: a DNG of a mosaic, with a thumbnail in front, as cameras write them."""

from __future__ import annotations

import struct
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hatcli.image import ifd

_ORDER = "<"
WHITE = 65535
NEUTRAL = (0.5, 1.0, 0.8)  # how the camera sees white: the balance that makes it gray


def _rationals(tag: int, *values: float, signed: bool = False) -> ifd.Entry:
    packed = b"".join(struct.pack("<ii" if signed else "<II", round(value * 10000), 10000) for value in values)
    return ifd.Entry(tag, 10 if signed else 5, len(values), packed)


def _ascii(tag: int, text: bytes) -> ifd.Entry:
    return ifd.Entry(tag, ifd.ASCII, len(text) + 1, text + b"\0")


def mosaic(scene: NDArray[np.floating]) -> NDArray[np.uint16]:
    """What a sensor of the pattern RGGB records of linear light `[H, W, 3]` in 0..1 under that white."""
    seen = (scene * np.array(NEUTRAL)).clip(0, 1) * WHITE
    out = seen[..., 1].copy()
    out[::2, ::2], out[1::2, 1::2] = seen[::2, ::2, 0], seen[1::2, 1::2, 2]
    recorded: NDArray[np.uint16] = np.rint(out).astype(np.uint16)
    return recorded


def dng(scene: NDArray[np.floating], *, orientation: int = 1, samples_last: bool = False) -> bytes:
    """A DNG of linear light `[H, W, 3]`, sides even; its first directory is a gray thumbnail of 2 x 2 pixels.

    Args:
        samples_last: the mosaic lies behind the directories, as cameras put it.
    """
    height, width = scene.shape[:2]
    pixels, thumbnail = mosaic(scene).astype("<u2").tobytes(), bytes([128] * 4)
    body = thumbnail + pixels
    number = partial(ifd.numbers, order=_ORDER)
    short, long = ifd.SHORT, ifd.LONG
    raw = [
        number(254, long, 0), number(256, long, width), number(257, long, height), number(258, short, 16),
        number(259, short, 1), number(262, short, 32803), number(273, long, 8 + len(thumbnail)), number(277, short, 1),
        number(278, long, height), number(279, long, len(pixels)), number(284, short, 1), number(33421, short, 2, 2),
        ifd.Entry(33422, ifd.BYTE, 4, bytes([0, 1, 1, 2])), number(50714, short, 0), number(50717, long, WHITE),
    ]  # fmt: skip
    raw_at = 8 + len(body)
    raw_bytes = ifd.layout(raw, at=raw_at, order=_ORDER)
    exif_at = raw_at + len(raw_bytes)
    details = ifd.layout([_rationals(0x829A, 0.01), number(0x8827, short, 200)], at=exif_at, order=_ORDER)
    first_at = exif_at + len(details)
    xyz_to_srgb = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
    first = [
        number(254, long, 1), number(256, long, 2), number(257, long, 2), number(258, short, 8), number(259, short, 1),
        number(262, short, 1), number(273, long, 8), number(274, short, orientation), number(277, short, 1),
        number(278, long, 2), number(279, long, 4), number(330, long, raw_at), number(0x8769, long, exif_at),
        _ascii(0x010F, b"Maker"), _ascii(0x0110, b"Model"),
        ifd.Entry(50706, ifd.BYTE, 4, bytes([1, 4, 0, 0])), ifd.Entry(50707, ifd.BYTE, 4, bytes([1, 1, 0, 0])),
        _ascii(50708, b"Maker Model"),
        _rationals(50721, *_seen_by_camera(xyz_to_srgb), signed=True),
        _rationals(50728, *NEUTRAL), number(50778, short, 21),
    ]  # fmt: skip
    directory = ifd.layout(first, at=first_at, order=_ORDER)
    if samples_last:
        place, moved = (
            struct.pack("<HHII", 273, long, 1, at) for at in (8 + len(thumbnail), first_at + len(directory))
        )
        raw_bytes, directory = raw_bytes.replace(place, moved), directory + pixels
    return struct.pack("<2sHI", b"II", 42, first_at) + body + raw_bytes + details + directory


def linear_dng(scene: NDArray[np.floating], *, channels: int) -> bytes:
    """A DNG that has been put together from its mosaic already, or one of a sensor that sees no colours."""
    height, width = scene.shape[:2]
    data, number, short, long = bytearray(dng(scene)), partial(ifd.numbers, order=_ORDER), ifd.SHORT, ifd.LONG
    seen = np.rint((scene * np.array(NEUTRAL)).clip(0, 1) * WHITE).astype("<u2")
    pixels = (seen if channels == 3 else seen[..., 1:2]).tobytes()
    raw = [
        number(254, long, 0), number(256, long, width), number(257, long, height), number(258, short, *[16] * channels),
        number(259, short, 1), number(262, short, 34892), number(273, long, len(data)), number(277, short, channels),
        number(278, long, height), number(279, long, len(pixels)), number(284, short, 1),
    ]  # fmt: skip
    at = len(data) + len(pixels)
    head = ifd.header(bytes(data))
    pointer = ifd.read(bytes(data), head.first, order=_ORDER).entries[330].position + 8
    data[pointer : pointer + 4] = struct.pack("<I", at)
    return b"".join((data, pixels, ifd.layout(raw, at=at, order=_ORDER)))


def _seen_by_camera(matrix: tuple[float, ...]) -> list[float]:
    """The matrix from XYZ to the camera's colours: sRGB's own, each of them weakened as by `NEUTRAL`."""
    return [value * NEUTRAL[at // 3] for at, value in enumerate(matrix)]
