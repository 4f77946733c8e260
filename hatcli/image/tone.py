"""A scene's linear light: encoded so that 16 bits hold it, decoded again, and as sRGB for formats that show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hatcli.image import profiles
from hatcli.image.light import PQ, Light
from hatcli.image.picture import Picture, Samples

NOTE = "linear light becomes sRGB: kept up to 0.8, rolled off above, where white is 1"
_LEAST_PEAK = 10_000 / 203  # of white, the usual one of 203 cd/m2; PQ ends at 10,000
_KNEE = 0.8  # of white, from which on brightness is rolled off
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128  # the constants of SMPTE ST 2084
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_BLOCK = 256  # rows worked on at a time


def encoded(linear: NDArray[np.floating[Any]], peak: float) -> NDArray[np.uint16]:
    """Linear light of 0..peak as PQ over 16 bits."""
    out = np.empty(linear.shape, np.uint16)
    for top in range(0, len(linear), _BLOCK):
        powers = (linear[top : top + _BLOCK].astype(np.float64) / peak).clip(0, 1) ** _M1
        out[top : top + _BLOCK] = np.rint(((_C1 + _C2 * powers) / (1 + _C3 * powers)) ** _M2 * 65535)
    return out


def linear(samples: Samples, light: Light) -> NDArray[np.float32]:
    """Samples that `encoded` made, as linear light again."""
    assert light.peak is not None, "only a scene has a peak"
    powers = (samples.astype(np.float64) / np.iinfo(samples.dtype).max) ** (1 / _M2)
    values = ((powers - _C1).clip(0) / (_C2 - _C3 * powers)) ** (1 / _M1)
    return (values * light.peak).astype(np.float32)


def scene(peak: float, chromaticities: tuple[float, ...] | None) -> Light:
    """What samples mean that `encoded` made."""
    return Light(1, PQ, max(peak, _LEAST_PEAK), chromaticities)


def shown(samples: Samples, light: Light) -> NDArray[np.uint16]:
    """Samples `[H, W, 1 or 3]` of a scene as sRGB: 1 is white, what is brighter than 0.8 is rolled off."""
    values = linear(samples, light).astype(np.float64)
    if light.chromaticities is not None and values.shape[-1] == 3:
        to_srgb = np.linalg.inv(profiles.to_xyz(profiles.SRGB_PRIMARIES)) @ profiles.to_xyz(light.chromaticities)
        values = (values @ to_srgb.T).clip(0)
    room = 1 - _KNEE
    rolled = np.where(values > _KNEE, _KNEE + room * -np.expm1(-(values - _KNEE) / room), values)
    curved = np.where(rolled <= 0.0031308, rolled * 12.92, 1.055 * rolled.clip(1e-9) ** (1 / 2.4) - 0.055)
    whole: NDArray[np.uint16] = np.rint(curved.clip(0, 1) * 65535).astype(np.uint16)
    return whole


def shown_picture(picture: Picture) -> Picture:
    """A picture for a format, or a screen, that holds no linear light; the same one if it is none."""
    if picture.light is None or not picture.light.is_scene:
        return picture
    return replace(picture, pixels=shown(picture.pixels, picture.light), light=None)


def shown_blocks(blocks: Iterable[Samples], light: Light, *, colors: int) -> Iterator[Samples]:
    """Rows `[rows, width, colors]`, or with alpha behind them, the colours made ready to be shown."""
    for block in blocks:
        yield np.concatenate([shown(block[..., :colors], light), block[..., colors:]], axis=2)


def from_srgb(samples: Samples) -> NDArray[np.float32]:
    """Samples of sRGB as linear light, 1 being white."""
    values = samples.astype(np.float64) / np.iinfo(samples.dtype).max
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)
