"""PSNR and SSIM as super-resolution papers compute them; knows arrays, no files and no networks.

The papers compare 8-bit pictures: both are uint8, a border as wide as the scale is cut off, and the headline numbers
are taken on the luma of ITU-R BT.601 in studio range (16..235), not rounded, as the code behind HAT's tables does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PEAK = 255.0
LUMA_WEIGHTS = (65.481, 128.553, 24.966)  # BT.601 for R, G, B in 0..1, as MATLAB's rgb2ycbcr
LUMA_OFFSET = 16.0  # black in studio range
SSIM_WINDOW = 11  # samples a side
SSIM_SIGMA = 1.5  # samples
SSIM_K1, SSIM_K2 = 0.01, 0.03  # stabilising constants of Wang et al., 2004


@dataclass(frozen=True)
class Scores:
    """How close one picture is to the truth: PSNR in dB, infinite where they are equal, and SSIM, at most 1."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """BT.601 luma of `[H, W, 3]` RGB as `[H, W]`, 16..235 and not rounded; gray `[H, W, 1]` is its own luma, 0..255.

    A gray picture is taken as it is because the baselines of the literature do so; repeat it to three channels first
    to have it squeezed into studio range like a colour picture.
    """
    if pixels.shape[2] == 1:
        return pixels[:, :, 0].astype(np.float64)
    red, green, blue = (pixels[:, :, channel].astype(np.float64) for channel in range(3))
    weighted = LUMA_WEIGHTS[0] * red + LUMA_WEIGHTS[1] * green + LUMA_WEIGHTS[2] * blue
    return weighted / PEAK + LUMA_OFFSET


def psnr(result: NDArray[Any], truth: NDArray[Any], *, border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB of two arrays `[H, W]` or `[H, W, C]`, values in 0..255.

    Args:
        border: rows and columns ignored at every edge.
    """
    a, b = inside(result, truth, border=border)
    error = float(np.mean(np.square(a - b)))
    return math.inf if error == 0 else 10.0 * math.log10(PEAK**2 / error)


def ssim(result: NDArray[Any], truth: NDArray[Any], *, border: int = 0) -> float:
    """Structural similarity of two arrays `[H, W]` or `[H, W, C]`, values in 0..255; channels are averaged.

    An 11 x 11 Gaussian of sigma 1.5, population variances, and only windows that lie wholly inside the picture
    (Wang, Bovik, Sheikh and Simoncelli, 2004, as in their MATLAB code).

    Args:
        border: rows and columns ignored at every edge; at least 11 x 11 samples must remain.
    """
    a, b = inside(result, truth, border=border)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs {SSIM_WINDOW} x {SSIM_WINDOW} samples inside the border, got {a.shape[:2]}")
    if a.ndim == 2:
        return ssim_of_plane(a, b)
    return float(np.mean([ssim_of_plane(a[:, :, channel], b[:, :, channel]) for channel in range(a.shape[2])]))


def ssim_of_plane(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Mean SSIM of two planes `[H, W]`, values in 0..255."""
    c1, c2 = (SSIM_K1 * PEAK) ** 2, (SSIM_K2 * PEAK) ** 2
    mean_a, mean_b = window_mean(a), window_mean(b)
    variance_a = window_mean(a * a) - mean_a * mean_a
    variance_b = window_mean(b * b) - mean_b * mean_b
    covariance = window_mean(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    denominator = (mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2)
    return float(np.mean(numerator / denominator))


def window_mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian-weighted mean around every sample whose whole window lies in `plane`: `[H, W]` to `[H - 10, W - 10]`."""
    reach = SSIM_WINDOW // 2
    distance = np.arange(-reach, reach + 1, dtype=np.float64)
    weights = np.exp(-(distance**2) / (2 * SSIM_SIGMA**2))
    weights /= weights.sum()
    blurred = np.asarray(cv2.sepFilter2D(np.ascontiguousarray(plane), cv2.CV_64F, weights, weights), dtype=np.float64)
    return blurred[reach:-reach, reach:-reach]


def inside(
    result: NDArray[Any], truth: NDArray[Any], *, border: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both arrays as float64 without their border."""
    if result.shape != truth.shape:
        raise ValueError(f"cannot compare {result.shape} with {truth.shape}")
    height, width = truth.shape[:2]
    if min(height, width) <= 2 * border:
        raise ValueError(f"nothing is left of {height} x {width} inside a border of {border}")
    window = (slice(border, height - border), slice(border, width - border))
    return result[window].astype(np.float64), truth[window].astype(np.float64)


def score(result: NDArray[np.uint8], truth: NDArray[np.uint8], *, border: int) -> Scores:
    """All four numbers of one picture `[H, W, 3]` or `[H, W, 1]` against the truth of the same shape."""
    result_luma, truth_luma = luma(result), luma(truth)
    return Scores(
        psnr_y=psnr(result_luma, truth_luma, border=border),
        ssim_y=ssim(result_luma, truth_luma, border=border),
        psnr_rgb=psnr(result, truth, border=border),
        ssim_rgb=ssim(result, truth, border=border),
    )


def mean(scores: list[Scores]) -> Scores:
    """The mean of each number over images, as the papers print it (a mean of decibels, not of errors)."""
    if not scores:
        raise ValueError("no scores to average")
    return Scores(**{f.name: math.fsum(getattr(s, f.name) for s in scores) / len(scores) for f in fields(Scores)})
