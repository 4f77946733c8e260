"""PSNR and SSIM: known values, the definitions recomputed the slow way, and scikit-image where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hatcli.evaluation.metrics import Scores, luma, mean, psnr, score, ssim


def noisy_pair(height: int, width: int, channels: int, *, seed: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A smooth uint8 picture and the same with noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(rows / (4 + c)) * np.cos(columns / (6 - c)) for c in range(channels)]
    truth = np.stack(waves, axis=2)
    damaged = truth + random.normal(0, 12, truth.shape)
    return np.clip(damaged.round(), 0, 255).astype(np.uint8), truth.round().astype(np.uint8)


def slow_ssim(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """SSIM of two planes straight from its definition: every window on its own, with a two-dimensional Gaussian."""
    rows, columns = np.mgrid[-5:6, -5:6]
    weights = np.exp(-(rows**2 + columns**2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = a[top : top + 11, left : left + 11], b[top : top + 11, left : left + 11]
            mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
            variance_x, variance_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
            covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
            luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
            values.append(luminance * (2 * covariance + c2) / (variance_x + variance_y + c2))
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((0, 0, 0), 16.0),
        ((255, 255, 255), 235.0),
        ((255, 0, 0), 81.481),
        ((0, 255, 0), 144.553),
        ((0, 0, 255), 40.966),
        ((100, 150, 200), 16 + (65.481 * 100 + 128.553 * 150 + 24.966 * 200) / 255),
    ],
)
def test_luma_is_bt601_in_studio_range_and_not_rounded(colour: tuple[int, int, int], expected: float) -> None:
    pixel = np.array([[colour]], dtype=np.uint8)
    assert luma(pixel)[0, 0] == pytest.approx(expected, abs=1e-9)


def test_gray_is_its_own_luma() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert np.array_equal(luma(gray), gray[:, :, 0])


def test_a_constant_error_of_one_is_48_13_decibels() -> None:
    truth = np.full((20, 20, 3), 100, dtype=np.uint8)
    assert psnr(truth + np.uint8(1), truth) == pytest.approx(20 * math.log10(255), abs=1e-12)


def test_psnr_does_not_wrap_around_unsigned_values() -> None:
    black, white = np.zeros((16, 16, 1), dtype=np.uint8), np.full((16, 16, 1), 255, dtype=np.uint8)
    assert psnr(black, white) == psnr(white, black) == 0.0


def test_equal_pictures_have_infinite_psnr_and_ssim_one() -> None:
    _, truth = noisy_pair(24, 30, 3)
    found = score(truth, truth, border=2)
    assert found.psnr_y == found.psnr_rgb == math.inf
    assert found.ssim_y == pytest.approx(1, abs=1e-12)
    assert found.ssim_rgb == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("border", [0, 3])
def test_ssim_equals_its_definition_window_by_window(border: int) -> None:
    result, truth = noisy_pair(24, 21, 1)
    a, b = (plane[border : 24 - border, border : 21 - border, 0].astype(np.float64) for plane in (result, truth))
    assert ssim(result, truth, border=border) == pytest.approx(slow_ssim(a, b), abs=1e-9)


def test_ssim_of_flat_pictures_is_the_luminance_term_alone() -> None:
    a, b = np.full((15, 15, 1), 50, dtype=np.uint8), np.full((15, 15, 1), 80, dtype=np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 50 * 80 + c1) / (50**2 + 80**2 + c1), abs=1e-9)


def test_ssim_of_colour_is_the_mean_over_channels() -> None:
    result, truth = noisy_pair(20, 26, 3)
    channels = [ssim(result[:, :, c], truth[:, :, c]) for c in range(3)]
    assert ssim(result, truth) == pytest.approx(float(np.mean(channels)), abs=1e-12)


def test_what_lies_in_the_border_changes_nothing() -> None:
    result, truth = noisy_pair(32, 28, 3)
    damaged = result.copy()
    damaged[:4], damaged[-4:], damaged[:, :4], damaged[:, -4:] = 0, 255, 255, 0
    assert score(damaged, truth, border=4) == score(result, truth, border=4)
    assert score(damaged, truth, border=3) != score(result, truth, border=3)


def test_scores_are_taken_on_luma_and_on_rgb() -> None:
    result, truth = noisy_pair(30, 25, 3)
    found = score(result, truth, border=2)
    assert found.psnr_y == psnr(luma(result), luma(truth), border=2)
    assert found.ssim_y == ssim(luma(result), luma(truth), border=2)
    assert found.psnr_rgb == psnr(result, truth, border=2)
    assert found.ssim_rgb == ssim(result, truth, border=2)


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        psnr(np.zeros((20, 20, 3), dtype=np.uint8), np.zeros((20, 21, 3), dtype=np.uint8))


def test_ssim_refuses_less_than_one_window() -> None:
    small = np.zeros((18, 30, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(small, small, border=4)


def test_a_border_wider_than_the_picture_is_refused() -> None:
    small = np.zeros((8, 30, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="nothing is left"):
        psnr(small, small, border=4)


def test_the_mean_is_of_decibels() -> None:
    assert mean([Scores(30, 0.5, 28, 0.25), Scores(40, 1.0, 38, 0.75)]) == Scores(35, 0.75, 33, 0.5)


@pytest.mark.parametrize("border", [0, 4])
def test_scores_equal_those_of_scikit_image(border: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    result, truth = noisy_pair(60, 47, 3)
    inner = (slice(border, 60 - border), slice(border, 47 - border))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    found = score(result, truth, border=border)
    a, b = luma(result)[inner], luma(truth)[inner]
    assert found.psnr_y == pytest.approx(metrics.peak_signal_noise_ratio(b, a, data_range=255), abs=1e-6)
    assert found.ssim_y == pytest.approx(metrics.structural_similarity(a, b, **options), abs=1e-6)
    result, truth = result[inner], truth[inner]
    assert found.psnr_rgb == pytest.approx(metrics.peak_signal_noise_ratio(truth, result, data_range=255), abs=1e-6)
    assert found.ssim_rgb == pytest.approx(
        metrics.structural_similarity(result, truth, channel_axis=2, **options), abs=1e-6
    )
