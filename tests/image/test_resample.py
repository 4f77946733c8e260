"""Resizing as MATLAB's imresize: against a second, pixel-by-pixel implementation, and MATLAB's own Set5 by checksum.

The benchmarks are not shipped. `HAT_TEST_BENCHMARKS` may point to a folder that holds `Set5` and `Set14`, the truths as
PNG files; without it the tests that need them are skipped.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hatcli.evaluation.datasets import find_pairs, load_pair
from hatcli.evaluation.evaluate import evaluate, means
from hatcli.evaluation.metrics import luma, psnr, ssim
from hatcli.image.resample import imresize, modcrop, resize_tensor

Floats = NDArray[np.float64]

# sha256 of the pixels, [h, w, 3] uint8 RGB in C order, of the small pictures that MATLAB made of Set5
MATLAB_SET5 = {
    ("baby", 2): "d8d0583de473dd4ab67751b9924bcf614bc3bda6b90f44dc96d72c33dddd83f2",
    ("bird", 2): "45d30e8107deff8d3ea3a706d57b3e39814ee0fad3eec73d99c0fffffa69e26b",
    ("butterfly", 2): "b42608efcaf94b7bb1904aec780ea834a09fb0b09938c3fa0d5f3932f1c4766f",
    ("head", 2): "aff0698c7274d8f36e0de0a84f6072e0f48478aa7d1998d126546d5e82470367",
    ("woman", 2): "aee68638085cecddf69e9cca1d237c5d4dc54d1991045e91f996222d58e1a82d",
    ("baby", 3): "099f4f994901545ce916839df4ee61c5e49f6f89b5a6cd4f3a45761ee6c92afe",
    ("bird", 3): "b53f5c2a9b999ac4dd709a1f765465fe68701f9f47c6ff4b86d97029c512af0e",
    ("butterfly", 3): "9447df48c6b02a3b4ddfb18d0b4a26f1842ca4868973837cb73ca3d4db65f9c1",
    ("head", 3): "1ee04af05ed0a6a63ff64a7b93e8398fab9e57394370623e3050bdc4b1f46951",
    ("woman", 3): "4f940275ed0740bac51fd6693af26a2483a26a6aacc2bcf4f3b95ef176617a56",
    ("baby", 4): "f306cdc324acc704bdcc883fe2b9194e9b52e7f8485cc6de6f718b1bb0e812bb",
    ("bird", 4): "611cafb4f981875d1484838d746cc0a1cf98522005685ba54fc15330dc4b8070",
    ("butterfly", 4): "6fa397dfbec34c496770667e8b4e3b85e6f1e83b4a5c98866e0cf84f82f84123",
    ("head", 4): "8aa77c2c7691c5b3514928789331a56e1ecb5787d86304b8c53d8eca3ac0d701",
    ("woman", 4): "27b413c77e44393b4d89dc9273db0e1d3a3798ba12d65593ff41932dfe98cab0",
}
BASELINES = {  # bicubic, mean over the set: scale: PSNR on the luma in dB, as every paper's table prints it
    "Set5": {2: 33.66, 3: 30.39, 4: 28.42},
    "Set14": {2: 30.24, 3: 27.55, 4: 26.00},
}


def slow_resize_line(line: Floats, scale: float, target: int) -> Floats:
    """One line of samples resized straight from the definition: every input sample weighted for every output one."""

    def kernel(distance: float) -> float:
        x = abs(distance)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    length, shrink = len(line), min(scale, 1.0)
    reach = math.ceil(2 / shrink) + 1
    result = np.zeros(target)
    for output in range(target):
        centre = (output + 0.5) / scale - 0.5  # in input samples, counted from 0
        total = weights = 0.0
        for position in range(math.floor(centre) - reach, math.floor(centre) + reach + 2):
            weight = kernel((position - centre) * shrink)
            folded = position % (2 * length)
            total += weight * line[folded if folded < length else 2 * length - 1 - folded]
            weights += weight
        result[output] = total / weights
    return result


def slow_imresize(image: Floats, scale: float, *, rounded: bool) -> Floats:
    """Rows, then columns; each pass rounded half up and clamped to 0..255 if `rounded`."""

    def finish(values: Floats) -> Floats:
        return np.clip(np.floor(values + 0.5), 0, 255) if rounded else values

    height, width = math.ceil(image.shape[0] * scale), math.ceil(image.shape[1] * scale)
    tall = finish(np.stack([slow_resize_line(column, scale, height) for column in image.T], axis=1))
    return finish(np.stack([slow_resize_line(row, scale, width) for row in tall]))


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Edges, noise and extremes: everything that overshoots."""
    random = np.random.default_rng(7)
    samples = random.integers(0, 256, (height, width))
    samples[: height // 2, : width // 3] = 255
    samples[height // 2 :, width // 2 :] = 0
    return samples.astype(np.uint8)


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, 4, 0.75, 1.5])
def test_floats_equal_a_pixel_by_pixel_implementation(scale: float) -> None:
    image = picture(24, 36).astype(np.float64)
    assert np.allclose(imresize(image, scale), slow_imresize(image, scale, rounded=False), atol=1e-9, rtol=0)


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, 4])
@pytest.mark.parametrize("size", [(24, 36), (12, 24)])
def test_bytes_equal_a_pixel_by_pixel_implementation_rounded_after_each_pass(
    scale: float, size: tuple[int, int]
) -> None:
    image = picture(*size)
    assert np.array_equal(imresize(image, scale), slow_imresize(image.astype(np.float64), scale, rounded=True))


def test_sides_that_do_not_divide_are_rounded_up() -> None:
    image = picture(23, 17)
    assert imresize(image, 1 / 2).shape == (12, 9)
    expected = slow_imresize(image.astype(np.float64), 1 / 2, rounded=True)
    assert np.array_equal(imresize(image, 1 / 2), expected)


def test_channels_are_resized_alone() -> None:
    planes = [picture(16, 20), picture(16, 20)[::-1], picture(16, 20)[:, ::-1]]
    together = imresize(np.stack(planes, axis=2), 1 / 4)
    assert np.array_equal(together, np.stack([imresize(np.ascontiguousarray(p), 1 / 4) for p in planes], axis=2))


def test_overshoot_is_clamped_in_bytes_and_kept_in_floats() -> None:
    step = np.zeros((16, 16))
    step[:, 8:] = 255
    assert imresize(step, 2).max() > 255
    assert imresize(step, 2).min() < 0
    bytes_ = imresize(step.astype(np.uint8), 2)
    assert bytes_.dtype == np.uint8
    assert (bytes_.min(), bytes_.max()) == (0, 255)


def test_a_flat_picture_stays_flat() -> None:
    for scale in (1 / 4, 1 / 3, 2, 3):
        assert (imresize(np.full((12, 24, 3), 77, dtype=np.uint8), scale) == 77).all()


def test_modcrop_cuts_at_the_bottom_and_at_the_right() -> None:
    image = picture(23, 17)
    assert np.array_equal(modcrop(image, 4), image[:20, :16])
    assert modcrop(image[:20, :16], 4).shape == (20, 16)


def test_tensors_get_the_exact_size_and_the_same_values_up_to_rounding() -> None:
    image = picture(24, 36)[:, :, None].repeat(3, axis=2).astype(np.float64) / 255
    values = torch.from_numpy(image).permute(2, 0, 1)
    assert resize_tensor(values, height=7, width=50).shape == (3, 7, 50)
    inner = resize_tensor(values, height=12, width=18)[:, 4:-4, 4:-4].permute(1, 2, 0).numpy()
    assert np.allclose(inner, imresize(image, 1 / 2)[4:-4, 4:-4], atol=1e-6)  # they differ in how borders are mirrored


@pytest.fixture
def benchmarks() -> Path:
    named = os.environ.get("HAT_TEST_BENCHMARKS")
    if not named:
        pytest.skip("HAT_TEST_BENCHMARKS does not name a folder with Set5 and Set14")
    return Path(named)


def test_set5_is_reduced_bit_for_bit_as_by_matlab(benchmarks: Path) -> None:
    for scale in (2, 3, 4):
        for pair in find_pairs(benchmarks / "Set5", scale=scale):
            low = load_pair(pair, scale=scale).low
            assert hashlib.sha256(low.tobytes()).hexdigest() == MATLAB_SET5[pair.name, scale], (pair.name, scale)


@pytest.mark.parametrize("dataset", BASELINES)
def test_the_bicubic_baseline_is_the_published_one_within_a_hundredth_of_a_decibel_as_printed(
    benchmarks: Path, dataset: str
) -> None:
    for scale, published in BASELINES[dataset].items():
        pairs = find_pairs(benchmarks / dataset, scale=scale)
        found = means(evaluate(pairs, {}, scale=scale))["bicubic"]
        assert abs(round(found.psnr_y, 2) - published) < 0.0101, (scale, found)


@pytest.mark.parametrize(
    ("scale", "decibels", "similarity"), [(2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104)]
)
def test_the_published_baseline_of_set5_comes_out_exactly_when_luma_alone_is_resized_unrounded(
    benchmarks: Path, scale: int, decibels: float, similarity: float
) -> None:
    scores = []
    for pair in find_pairs(benchmarks / "Set5", scale=scale):
        truth = np.floor(luma(load_pair(pair, scale=scale).truth) + 0.5)
        result = np.clip(np.floor(imresize(imresize(truth, 1 / scale), scale) + 0.5), 0, 255)
        scores.append((psnr(result, truth, border=scale), ssim(result, truth, border=scale)))
    assert np.mean(scores, axis=0) == pytest.approx((decibels, similarity), abs=0.005)
    assert f"{np.mean([s for _, s in scores]):.4f}" == f"{similarity:.4f}"
