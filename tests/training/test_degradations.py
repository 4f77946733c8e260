"""Degradations: same size, same seed same result, and each as hard as it says."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hatcli.evaluation.metrics import psnr
from hatcli.image.resample import imresize
from hatcli.training import degradations, lossy, real_world
from hatcli.training.degradations import DEGRADATIONS, Degradation
from hatcli.training.lossy import Pixels

NAMES = [name for name, degradation in DEGRADATIONS.items() if degradation is not None]


def picture(side: int = 128) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    coarse = np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def named(name: str) -> Degradation:
    degradation = DEGRADATIONS[name]
    assert degradation is not None
    return degradation


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_size_and_kind_stay(name: str, scale: int) -> None:
    high = picture(24 * scale)
    low = imresize(high, 1 / scale)
    for seed in range(10):
        made = named(name)(low, high, np.random.default_rng(seed))
        assert made.shape == low.shape
        assert made.dtype == np.uint8


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_result(name: str) -> None:
    high = picture()
    low = imresize(high, 1 / 4)
    first, same, other = (named(name)(low, high, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_given_are_left_alone(name: str) -> None:
    high = picture()
    low = imresize(high, 1 / 4)
    copies = low.copy(), high.copy()
    for seed in range(5):
        named(name)(low, high, np.random.default_rng(seed))
    assert np.array_equal(low, copies[0])
    assert np.array_equal(high, copies[1])


def mean_quality(name: str) -> float:
    high = picture()
    low = imresize(high, 1 / 4)
    made = [named(name)(low, high, np.random.default_rng(seed)) for seed in range(40)]
    return float(np.mean([min(psnr(one, low), 60.0) for one in made]))


def test_the_real_world_is_harder_than_a_photo_and_still_the_same_picture() -> None:
    photo, real = mean_quality("photo"), mean_quality("real-world")
    assert real < photo - 5
    assert real > 12


def test_some_of_the_photos_are_clean() -> None:
    low = picture(32)
    clean = sum(np.array_equal(named("photo")(low, low, np.random.default_rng(seed)), low) for seed in range(300))
    assert 25 < clean < 70


@pytest.mark.parametrize("family", list(real_world.FAMILIES))
def test_blur_kernels_sum_to_one_and_lie_along_their_angle(family: str) -> None:
    kernel = real_world.blur_kernel(21, 4.0, 1.0, 0.0, family, shape=1.0)
    assert kernel.sum() == pytest.approx(1)
    assert kernel[10, 14] > 2 * kernel[14, 10]
    turned = real_world.blur_kernel(21, 4.0, 1.0, np.pi / 2, family, shape=1.0)
    np.testing.assert_allclose(turned, kernel.T, atol=1e-12)


def test_a_gaussian_kernel_is_gaussian() -> None:
    line = cv2.getGaussianKernel(21, 2.0)
    np.testing.assert_allclose(
        real_world.blur_kernel(21, 2.0, 2.0, 0.3, "gaussian", shape=1.0), line @ line.T, atol=1e-12
    )


def test_the_bessel_function_has_its_known_values() -> None:
    known = {0.0: 0.0, 1.0: 0.4400505857449335, 5.0: -0.3275791375914652, 40.0: 0.1260383180375850}
    np.testing.assert_allclose(real_world.bessel(np.array(list(known))), list(known.values()), atol=1e-12)


def test_a_sinc_kernel_rings() -> None:
    kernel = real_world.sinc_kernel(21, np.pi / 3)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() < 0
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-12)


@pytest.mark.parametrize(("codec", "good", "bad"), [("jpeg", 90, 30), ("webp", 90, 40), ("avif", 90, 40)])
def test_every_encoder_keeps_size_and_loses_more_at_a_lower_quality(codec: str, good: int, bad: int) -> None:
    low = imresize(picture(), 1 / 2)
    extra = {"subsampling": 2} if codec == "jpeg" else {}
    fine, coarse = (getattr(lossy, codec)(low, quality=quality, **extra) for quality in (good, bad))
    assert fine.shape == coarse.shape == low.shape
    assert psnr(coarse, low) < psnr(fine, low) - 1
    assert psnr(coarse, low) > 15


def test_photos_go_through_every_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    def standing_in(name: str) -> Callable[..., Pixels]:
        def encode(pixels: Pixels, **_: int) -> Pixels:
            used.append(name)
            return pixels

        return encode

    for name in ("jpeg", "webp", "avif"):
        monkeypatch.setattr(degradations, name, standing_in(name))
    low = imresize(picture(), 1 / 4)
    for seed in range(200):
        degradations.photo(low, picture(), np.random.default_rng(seed))
    shares = {name: used.count(name) / 200 for name in set(used)}
    assert 0.6 < shares["jpeg"] < 0.85
    assert 0.03 < shares["webp"] < 0.18
    assert 0.005 < shares["avif"] < 0.1
