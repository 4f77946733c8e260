"""ICC profiles made from chromaticities and a curve, for pictures that say their colours by numbers alone."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from hatcli.image.light import HLG, PQ

_D65, _DCI = (0.3127, 0.3290), (0.314, 0.351)
_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of the space profiles connect to
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
P3_PRIMARIES = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65)
ADOBE_PRIMARIES = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65)
PROPHOTO_PRIMARIES = (0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001, 0.3457, 0.3585)
_WIDE = {  # x and y of red, green, blue and white by H.273's code for colour primaries
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (*P3_PRIMARIES[:6], *_DCI),
    12: P3_PRIMARIES,
}
_NAMES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES = {1: _VIDEO_CURVE, 6: _VIDEO_CURVE, 14: _VIDEO_CURVE, 15: _VIDEO_CURVE, 4: (2.2,), 5: (2.8,), 8: (1.0,)}


def of_codes(primaries: int, transfer: int) -> bytes | None:
    """The profile for a wide gamut told by codes of ITU-T H.273; None for what is sRGB's, not known, or HDR."""
    if primaries not in _WIDE or transfer in (PQ, HLG):
        return None
    return made(_NAMES[primaries], _WIDE[primaries], _CURVES.get(transfer, SRGB_CURVE))


def made(name: str, chromaticities: tuple[float, ...], curve: tuple[float, ...]) -> bytes:
    """A profile for RGB.

    Args:
        chromaticities: x and y of red, green, blue and white.
        curve: one exponent, or the five numbers of ICC's parametric curve of type 3.
    """
    white = _xyz(*chromaticities[6:8])
    adapted = _adaptation(white)
    colorants = adapted @ to_xyz(chromaticities)
    tone = b"para\0\0\0\0" + struct.pack(">HH", 0 if len(curve) == 1 else 3, 0) + _fixed(*curve)
    tags = {
        b"desc": _text(name),
        b"cprt": _text("No copyright"),
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(*adapted.ravel()),
        **{tag: b"XYZ \0\0\0\0" + _fixed(*colorants[:, at]) for at, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone),
    }
    return _assembled(tags)


def to_xyz(chromaticities: tuple[float, ...]) -> NDArray[np.float64]:
    """Linear RGB of these primaries to XYZ, `[3, 3]`."""
    red, green, blue = (_xyz(*chromaticities[at : at + 2]) for at in (0, 2, 4))
    primaries = np.stack([red, green, blue], axis=1)
    scaled: NDArray[np.float64] = primaries * np.linalg.solve(primaries, _xyz(*chromaticities[6:8]))
    return scaled


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """From colours under `white` to those under D50, by Bradford's method."""
    gain = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adaptation: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ gain @ _BRADFORD
    return adaptation


def _fixed(*values: float) -> bytes:
    """Numbers as ICC's s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    """A profile of version 4 for a display, its equal tags stored once."""
    at = 128 + 4 + 12 * len(tags)
    table, body, places = struct.pack(">I", len(tags)), b"", {}
    for name, value in tags.items():
        if value not in places:
            places[value] = at + len(body)
            body += value + b"\0" * (-len(value) % 4)
        table += name + struct.pack(">II", places[value], len(value))
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp").ljust(28 + 4, b"\0")
    head = head.ljust(64, b"\0") + struct.pack(">I", 1) + _fixed(*_D50)
    return head.ljust(128, b"\0") + table + body
