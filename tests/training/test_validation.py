"""Validation: the papers' measure, as `hat upscale` would enlarge the pictures, within its memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.networks import lively, tiny

from hatcli.engine.opening import opened
from hatcli.evaluation.metrics import luma, psnr
from hatcli.image.picture import Picture, from_tensor, to_tensor
from hatcli.network.hat import HAT
from hatcli.training.data import Pair
from hatcli.training.start import start_as_bilinear
from hatcli.training.validation import mean_psnr
from hatcli.upscaling.device import DeviceChoice
from hatcli.upscaling.memory import SMALLEST_TILE
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.upscaler import Upscaler


@pytest.fixture
def pair() -> Pair:
    blocks = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    high = blocks.repeat(24, axis=0).repeat(16, axis=1)  # 192 x 192
    return Pair(high=high, low=high[::2, ::2].copy(), name="blocks.png")


@pytest.fixture
def network() -> HAT:
    network = lively(tiny(upscale=2))
    start_as_bilinear(network)
    return network.requires_grad_(False)


def test_it_is_the_psnr_of_the_rounded_result(pair: Pair, network: HAT) -> None:
    with torch.no_grad():
        result = from_tensor(network(to_tensor(pair.low)[None])[0], bits=8)
    assert mean_psnr(network, [pair]) == pytest.approx(psnr(luma(result), luma(pair.high), border=2), abs=0.01)  # type: ignore[arg-type]


def test_what_does_not_fit_the_memory_runs_in_tiles(pair: Pair, network: HAT) -> None:
    choice = DeviceChoice(torch.device("cpu"), torch.float32, "")
    smallest = Upscaler({2: network}, choice=choice, settings=Settings(tile=SMALLEST_TILE, overlap=SMALLEST_TILE // 2))
    result = smallest.upscale(Picture(pixels=pair.low)).pixels
    engine = opened(network, scale=2, device=choice.device, dtype=choice.dtype)
    tiled = mean_psnr(network, [pair], max_memory=engine.peak_bytes(SMALLEST_TILE, SMALLEST_TILE))
    assert tiled == pytest.approx(psnr(luma(result), luma(pair.high), border=2), abs=1e-6)  # type: ignore[arg-type]
    assert tiled != mean_psnr(network, [pair])


def test_its_pictures_are_written(pair: Pair, network: HAT, tmp_path: Path) -> None:
    mean_psnr(network, [pair], images=tmp_path / "seen")
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["000-blocks.png"]
