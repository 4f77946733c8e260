"""Colour under transparent pixels."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from hatcli.upscaling import transparency
from hatcli.upscaling.transparency import bleed


def picture(height: int, width: int, *, visible: float) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], ...]:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = random.integers(1, 256, (height, width), dtype=np.uint8)
    alpha[random.random((height, width)) > visible] = 0
    return pixels, alpha


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (8, 1), (9, 13), (130, 77)])
@pytest.mark.parametrize("visible", [0.01, 0.5, 0.99])
def test_bands_change_nothing(height: int, width: int, visible: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, alpha = picture(height, width, visible=visible)
    at_once = bleed(pixels, alpha)
    monkeypatch.setattr(transparency, "BAND_PIXELS", 4)
    assert np.array_equal(bleed(pixels, alpha), at_once)
    assert np.array_equal(at_once[alpha > 0], pixels[alpha > 0])


def test_hidden_pixels_take_the_colour_of_the_visible_side_they_are_on() -> None:
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, :8], pixels[:, 56:] = (200, 10, 10), (10, 10, 200)
    alpha = np.zeros((64, 64), dtype=np.uint8)
    alpha[:, :8] = alpha[:, 56:] = 255
    filled = bleed(pixels, alpha)
    assert (filled[:, 8:32] == (200, 10, 10)).all()
    assert (filled[:, 32:56] == (10, 10, 200)).all()


def test_it_takes_few_bytes_a_pixel() -> None:
    pixels, alpha = picture(2000, 2000, visible=0.2)
    tracemalloc.start()
    try:
        bleed(pixels, alpha)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / alpha.size < 12  # three of them are the result
