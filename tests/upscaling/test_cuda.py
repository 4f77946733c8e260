"""The same promises on a CUDA device; skipped where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.commands import PHOTO
from support.networks import CASES, PARITY

import hatcli
from hatcli.engine.hat import BandedHAT
from hatcli.image.picture import Picture
from hatcli.network import checkpoint
from hatcli.progress import drive
from hatcli.upscaling.device import exact_products
from hatcli.upscaling.settings import Settings

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("name", CASES)
def test_parity_cases_hold(name: str, dtype: torch.dtype, tolerance: float) -> None:
    network = BandedHAT(
        checkpoint.load(PARITY / f"{name}.weights.safetensors"), device=torch.device("cuda"), dtype=dtype
    )
    case = load_file(PARITY / f"{name}.case.safetensors", device="cuda")
    with exact_products():
        assert (drive(network.steps(case["input"])) - case["output"]).abs().max() < tolerance


def photo() -> Picture:
    with Image.open(PHOTO) as image:
        return Picture(np.asarray(image.convert("RGB")))


def psnr(one: Picture, other: Picture) -> float:
    error = np.mean((one.pixels.astype(float) - other.pixels) ** 2)
    return 10 * math.log10(255**2 / max(float(error), 1e-9))


def test_bf16_is_above_60_db_of_fp32_on_a_photo() -> None:
    exact = hatcli.load("hat-t", scale=4, device="cuda", precision="fp32").upscale(photo())
    narrow = hatcli.load("hat-t", scale=4, device="cuda", precision="bf16").upscale(photo())
    assert psnr(exact, narrow) > 60


def test_cpu_and_cuda_agree_within_a_step() -> None:
    there = hatcli.load("hat-t", scale=4, device="cuda", precision="fp32").upscale(photo())
    here = hatcli.load("hat-t", scale=4, device="cpu", precision="fp32").upscale(photo())
    assert np.abs(there.pixels.astype(int) - here.pixels).max() <= 1


def test_deep_pictures_are_computed_in_fp32_whatever_was_asked_for() -> None:
    deep = Picture(photo().pixels.astype(np.uint16) * 257)
    exact = hatcli.load("hat-t", scale=4, device="cuda", precision="fp32").upscale(deep)
    asked = hatcli.load("hat-t", scale=4, device="cuda", precision="bf16").upscale(deep)
    assert np.array_equal(exact.pixels, asked.pixels)


def test_tiles_differ_from_the_whole_by_less_than_a_step_on_average() -> None:
    whole = hatcli.load("hat-t", scale=4, device="cuda", precision="fp32").upscale(photo())
    tiled = hatcli.load("hat-t", scale=4, device="cuda", precision="fp32", settings=Settings(tile=96)).upscale(photo())
    assert np.abs(whole.pixels.astype(int) - tiled.pixels).mean() < 1


def test_a_small_memory_cap_makes_tiles_smaller_and_still_finishes() -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (400 << 20) / total))
    try:
        large = Picture(np.tile(photo().pixels, (6, 6, 1)).astype(np.uint8))
        upscaler = hatcli.load("hat-t", scale=4, device="cuda", precision="fp32", settings=Settings(tile=1152))
        assert upscaler.upscale(large).pixels.shape == (4608, 4608, 3)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
