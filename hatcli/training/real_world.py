"""Second-order degradations for real photos: blur, resize, noise and JPEG, twice, then ringing and JPEG once more.

After Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data" (2021), whose
ranges and probabilities these are; what the paper leaves open is marked as ours. Values are float32, 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hatcli.training.lossy import Pixels, jpeg

Values = NDArray[np.float32]
Kernel = NDArray[np.float64]

KERNEL_SIDES = range(7, 22, 2)
SINC_SHARE, LAST_SINC_SHARE = 0.1, 0.8
FAMILIES = {"gaussian": 0.7, "generalised": 0.15, "plateau": 0.15}
ISOTROPIC_SHARE = 0.6  # ours
NOISE_GRAY_SHARE = 0.4
GAUSSIAN_NOISE_SHARE = 0.5  # the rest is Poisson noise
RESIZINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
QUALITIES = (30, 96)
BESSEL_POINTS = 96  # of the midpoint rule; exact to rounding for arguments up to about 90


@dataclass(frozen=True)
class Stage:
    """One pass: shares and ranges; blur in pixels, noise in 8-bit steps, Poisson noise as a factor of its own size."""

    blur_share: float
    blur: tuple[float, float]
    resize_shares: tuple[float, float, float]  # larger, smaller, the same
    resize: tuple[float, float]
    noise: tuple[float, float]
    poisson: tuple[float, float]


FIRST = Stage(1.0, (0.2, 3.0), (0.2, 0.7, 0.1), (0.15, 1.5), (1.0, 30.0), (0.05, 3.0))
SECOND = Stage(0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1.0, 25.0), (0.05, 2.5))


def real_world(low: Pixels, high: Pixels, random: np.random.Generator) -> Pixels:
    """A degraded `[h, w, 3]` uint8 made from the high-resolution patch; of `low` only the size matters."""
    height, width = low.shape[:2]
    values = blurred(high.astype(np.float32), FIRST, random)
    values = resized(values, factor(FIRST, random), random)
    values = compressed(noisy(values, FIRST, random), random)
    values = blurred(values, SECOND, random)
    second = factor(SECOND, random)
    values = resized_to(values, max(1, round(width * second)), max(1, round(height * second)), random)
    values = noisy(values, SECOND, random)
    if random.random() < 0.5:  # the last resizing and ringing before the last JPEG, or after it
        return as_pixels(compressed(last(values, width, height, random), random))
    return as_pixels(last(compressed(values, random), width, height, random))


def last(values: Values, width: int, height: int, random: np.random.Generator) -> Values:
    """To the final size, with the ringing of a sharpening filter in most cases."""
    values = resized_to(values, width, height, random)
    if random.random() >= LAST_SINC_SHARE:
        return values
    kernel = sinc_kernel(int(random.choice(KERNEL_SIDES)), random.uniform(np.pi / 3, np.pi))
    return filtered(values, kernel)


def blurred(values: Values, stage: Stage, random: np.random.Generator) -> Values:
    """One random blur, or none."""
    if random.random() >= stage.blur_share:
        return values
    side = int(random.choice(KERNEL_SIDES))
    if random.random() < SINC_SHARE:
        lowest = np.pi / 3 if side < 13 else np.pi / 5  # a small kernel cannot hold a low cut-off
        return filtered(values, sinc_kernel(side, random.uniform(lowest, np.pi)))
    family = str(random.choice(list(FAMILIES), p=list(FAMILIES.values())))
    wide = random.uniform(*stage.blur)
    isotropic = random.random() < ISOTROPIC_SHARE
    narrow, angle = (wide, 0.0) if isotropic else (random.uniform(*stage.blur), random.uniform(-np.pi, np.pi))
    shapes = {"gaussian": (1.0, 1.0), "generalised": (0.5, 4.0), "plateau": (1.0, 2.0)}
    return filtered(values, blur_kernel(side, wide, narrow, angle, family, shape=random.uniform(*shapes[family])))


def blur_kernel(side: int, sigma_x: float, sigma_y: float, angle: float, family: str, *, shape: float) -> Kernel:
    """`[side, side]` that sums to 1: exp(-d**shape / 2) or, for a plateau, 1 / (1 + d**shape), with d the squared
    distance in units of the two standard deviations along axes turned by `angle`."""
    x, y = _grid(side)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    distance = (along / sigma_x) ** 2 + (across / sigma_y) ** 2
    kernel = 1 / (1 + distance**shape) if family == "plateau" else np.exp(-(distance**shape) / 2)
    return np.asarray(kernel / kernel.sum(), np.float64)


def sinc_kernel(side: int, cutoff: float) -> Kernel:
    """The ideal circular low-pass filter, cut to `[side, side]`: overshoot and ringing; `cutoff` in radians a pixel."""
    x, y = _grid(side)
    radius = np.hypot(x, y)
    centre = side // 2
    radius[centre, centre] = 1.0  # avoids 0 / 0; the limit is put in below
    kernel = cutoff * bessel(cutoff * radius) / (2 * np.pi * radius)
    kernel[centre, centre] = cutoff**2 / (4 * np.pi)
    return np.asarray(kernel / kernel.sum(), np.float64)


def bessel(x: Kernel) -> Kernel:
    """J1, the Bessel function of the first kind and order one, from its integral over half a turn."""
    turn = (np.arange(BESSEL_POINTS) + 0.5) * np.pi / BESSEL_POINTS
    return np.asarray(np.cos(turn - x[..., None] * np.sin(turn)).mean(axis=-1), np.float64)


def _grid(side: int) -> tuple[Kernel, Kernel]:
    """Column and row numbers around the centre, each `[side, side]`."""
    axis = np.arange(side, dtype=np.float64) - side // 2
    return np.broadcast_to(axis, (side, side)).copy(), np.broadcast_to(axis[:, None], (side, side)).copy()


def filtered(values: Values, kernel: Kernel) -> Values:
    """The picture under a kernel, borders mirrored."""
    return np.asarray(cv2.filter2D(values, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


def factor(stage: Stage, random: np.random.Generator) -> float:
    """By how much this pass enlarges; below 1 it reduces."""
    smallest, largest = stage.resize
    kind = int(random.choice(3, p=stage.resize_shares))
    return float((random.uniform(1, largest), random.uniform(smallest, 1), 1.0)[kind])


def resized(values: Values, scale: float, random: np.random.Generator) -> Values:
    """By a factor, with a random method."""
    height, width = values.shape[:2]
    return resized_to(values, max(1, round(width * scale)), max(1, round(height * scale)), random)


def resized_to(values: Values, width: int, height: int, random: np.random.Generator) -> Values:
    """To a size, by area, linear or cubic interpolation; centres stay centres."""
    method = int(random.choice(RESIZINGS))
    return np.clip(np.asarray(cv2.resize(values, (width, height), interpolation=method), np.float32), 0, 255)


def noisy(values: Values, stage: Stage, random: np.random.Generator) -> Values:
    """Gaussian or Poisson noise, the same in all channels or not."""
    gray = random.random() < NOISE_GRAY_SHARE
    if random.random() < GAUSSIAN_NOISE_SHARE:
        shape = (*values.shape[:2], 1 if gray else 3)
        noise = random.normal(0, random.uniform(*stage.noise), shape)
    else:
        signal = values.mean(axis=2, keepdims=True) if gray else values
        signal = np.clip(np.rint(signal), 0, 255)
        levels = 2.0 ** np.ceil(np.log2(max(2, len(np.unique(signal)))))  # few tones: few photons
        noise = (random.poisson(signal / 255 * levels) / levels * 255 - signal) * random.uniform(*stage.poisson)
    return np.clip(values + noise.astype(np.float32), 0, 255)


def compressed(values: Values, random: np.random.Generator) -> Values:
    """JPEG at a random quality, its colour at half resolution."""
    return jpeg(as_pixels(values), quality=int(random.integers(*QUALITIES)), subsampling=2).astype(np.float32)


def as_pixels(values: Values) -> Pixels:
    """Rounded and cut to uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
