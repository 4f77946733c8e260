"""Estimates of time and size: near what the run then takes, whatever the picture, its tiles and its passes."""

from __future__ import annotations

import io
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from support.repeating import Doubling
from torch import Tensor

from hatcli.batch.estimate import SIZE_SLACK, TIME_SLACK, Estimator
from hatcli.image import decode, encode
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.upscaling.device import choose
from hatcli.upscaling.settings import Settings, Tile
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler


class Clock:
    """A clock that only networks move."""

    now = 0.0


class Slow(Doubling):
    """A network that takes a microsecond for each pixel it is given."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def forward(self, values: Tensor) -> Tensor:
        self.clock.now += values.shape[-1] * values.shape[-2] * 1e-6
        return super().forward(values)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def uneven(height: int, width: int) -> Picture:
    """Noise that ends in the middle: no part of it stands for the whole."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    pixels[height // 2 :] //= 64
    pixels[:, width // 3 :] = 200
    return Picture(pixels)


@pytest.mark.parametrize(
    ("target", "tile"),
    [
        *itertools.product([Target(), Target(scale=3.0), Target(width=750), Target(width=450)], ["auto", 64]),
        (Target(scale=8.0), "auto"),
    ],
)
def test_the_time_is_near_what_it_then_is(tmp_path: Path, clock: Clock, tile: Tile, target: Target) -> None:
    upscaler = Upscaler({2: Slow(clock)}, choice=choose("cpu", "fp32"), settings=Settings(tile=tile))
    picture = uneven(350, 450)
    path = tmp_path / "a.png"
    encode.write(picture, path, overwrite=False)
    size = upscaler.plan(450, 350, target)
    estimator = Estimator(upscaler, target, EncodeOptions(), load=decode.read)
    seconds = estimator.of(path, decode.probe(path), size, "PNG").seconds
    began = clock.now
    upscaler.upscale(picture, target)
    assert (clock.now - began) / TIME_SLACK <= seconds <= (clock.now - began) * TIME_SLACK


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("flat", [False, True])
def test_the_size_is_near_what_it_then_is(tmp_path: Path, format: str, flat: bool) -> None:
    upscaler = Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"))
    picture = Picture(np.full((350, 450, 3), 7, np.uint8)) if flat else uneven(350, 450)
    path, file = tmp_path / "a.png", io.BytesIO()
    encode.write(picture, path, overwrite=False)
    estimator = Estimator(upscaler, Target(), EncodeOptions(), load=decode.read)
    told = estimator.of(path, decode.probe(path), upscaler.plan(450, 350), format).file_bytes
    encode.write_into(file, upscaler.upscale(picture), format=format)
    really = len(file.getbuffer())
    slack = 1.5 if flat else SIZE_SLACK  # a header more or less weighs when there is little else
    assert really / slack - 1000 * flat <= told <= really * slack + 1000 * flat


def test_a_small_picture_is_simply_made(tmp_path: Path) -> None:
    upscaler = Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"))
    path, file = tmp_path / "a.png", io.BytesIO()
    encode.write(uneven(40, 50), path, overwrite=False)
    estimator = Estimator(upscaler, Target(), EncodeOptions(), load=decode.read)
    told = estimator.of(path, decode.probe(path), upscaler.plan(50, 40), "PNG").file_bytes
    encode.write_into(file, upscaler.upscale(decode.read(path)), format="PNG")
    assert told == len(file.getbuffer())


def test_many_pictures_are_told_from_a_few(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatcli.batch.estimate._ALL", 0.05)
    upscaler = Upscaler({2: Slow(clock)}, choice=choose("cpu", "fp32"))
    loaded = []

    def load(path: Path) -> Picture:
        loaded.append(path)
        return decode.read(path)

    estimator = Estimator(upscaler, Target(), EncodeOptions(), load=load)
    for number in range(9):
        path = tmp_path / f"{number}.png"
        encode.write(uneven(200, 300), path, overwrite=False)
        told = estimator.of(path, decode.probe(path), upscaler.plan(300, 200), "PNG")
        assert told.seconds == pytest.approx(0.06, rel=0.3)
    assert 1 <= len(loaded) < 9
