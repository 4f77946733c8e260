"""bf16 loses nothing that people have: what its 8-bit pictures differ in from fp32's, and what stays in float32."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.networks import PARITY, lively, tiny
from torch import Tensor

from hatcli.engine.hat import BandedHAT, placed
from hatcli.network import checkpoint
from hatcli.network.config import HATConfig, preset
from hatcli.network.hat import HAT
from hatcli.progress import drive
from hatcli.training.start import start_as_bilinear

DATA = Path(__file__).parent.parent / "data"
WEIGHTS = Path(__file__).parent.parent.parent / "weights"


def photo(side: int) -> Tensor:
    pixels = np.array(Image.open(DATA / "photo" / "budgie.png").convert("RGB"))[:side, :side]
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def both(network: HAT, image: Tensor) -> tuple[Tensor, Tensor]:
    """The network's result in fp32 and in bf16."""
    wide, narrow = (BandedHAT(network, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    return drive(wide.steps(image)), drive(narrow.steps(image))


def decibels_and_steps(wide: Tensor, narrow: Tensor) -> tuple[float, float]:
    """PSNR of two results in 8 bits, and the share of samples at most one step apart."""
    difference = (wide.clamp(0, 1) * 255).round() - (narrow.clamp(0, 1) * 255).round()
    mean = float(difference.square().mean())
    assert mean > 0, "two precisions that agree everywhere are one"
    return 10 * math.log10(255**2 / mean), float((difference.abs() <= 1).float().mean())


@pytest.mark.parametrize("name", ["hat-t-x2", "hat-t-x3", "hat-t-x4", "hat-t-photo-x4"])
def test_trained_networks_stay_within_60_db_of_fp32(name: str) -> None:
    decibels, near = decibels_and_steps(*both(checkpoint.load(WEIGHTS / f"{name}.safetensors"), photo(96)))
    assert decibels > 60
    assert near > 0.999


def lively_around_a_picture(config: HATConfig) -> HAT:
    """A random network as trained ones are: the picture goes around the body, which adds detail to it."""
    torch.manual_seed(3)
    network = HAT(config).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 1 if "table" in name else parameter[0].numel() ** -0.5)
        start_as_bilinear(network)
        network.conv_last.weight[:, 6:] *= 20
        network.conv_after_body.weight *= 3
    return network


@pytest.mark.parametrize("alpha", [0.01, 1.0])
@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(preset("hat", upscale=2), depths=(2, 2), num_heads=(6, 6)),
        dataclasses.replace(preset("hat-t", upscale=4), depths=(2, 2), num_heads=(4, 4)),
    ],
    ids=["hat", "hat-t"],
)
def test_random_networks_around_a_picture_stay_within_60_db_of_fp32(config: HATConfig, alpha: float) -> None:
    network = lively_around_a_picture(dataclasses.replace(config, conv_scale=alpha))
    wide, narrow = both(network, photo(48))
    decibels, near = decibels_and_steps(wide, narrow)
    assert decibels > 60
    assert near > 0.999
    with torch.no_grad():
        network.conv_after_body.weight.zero_()
        assert (network(photo(48)) - wide).std() * 255 > 3  # the body is worth measuring


@pytest.mark.parametrize("seed", range(4))
def test_results_that_are_the_bodys_alone_differ_by_one_step_at_most(seed: int) -> None:
    wide, narrow = both(lively(tiny(conv_scale=1.0), seed), photo(64))
    low, high = wide.min(), wide.max()
    decibels, near = decibels_and_steps((wide - low) / (high - low), (narrow - low) / (high - low))
    assert decibels > 55
    assert near > 0.999


def test_only_products_inside_the_blocks_are_narrow() -> None:
    network = placed(HAT(tiny()), device=None, dtype=torch.bfloat16)
    narrow = {name for name, value in network.named_parameters() if value.dtype == torch.bfloat16}
    blocks = "layers.0.residual_group."
    assert all(name.startswith(blocks) for name in narrow)
    assert not any("norm" in name or "table" in name or "attention." in name for name in narrow)
    products = [name for name, value in network.named_parameters() if name.startswith(blocks) and value.ndim > 1]
    wide = {name for name in products if name not in narrow}
    assert all("table" in name or ".attention." in name for name in wide)


def test_the_network_itself_stays_as_it_is() -> None:
    network = HAT(tiny())
    assert placed(network, device=torch.device("cpu"), dtype=torch.float32) is network
    assert placed(network, device=None, dtype=torch.bfloat16) is not network
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_pictures_come_out_in_float32() -> None:
    network = checkpoint.load(PARITY / "x4-window16.weights.safetensors")
    case = load_file(PARITY / "x4-window16.case.safetensors")
    _, output = both(network, case["input"])
    assert output.dtype == torch.float32
    assert (output - case["output"]).abs().max() < 4e-3
