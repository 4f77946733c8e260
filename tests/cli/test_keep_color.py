"""`--keep-color`, from the command line to the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from support.commands import hat
from support.networks import tiny

from hatcli.network import checkpoint
from hatcli.network.hat import HAT
from hatcli.training.start import start_as_bilinear


def test_the_mean_of_the_picture_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = HAT(tiny(upscale=2))
    start_as_bilinear(network)
    with torch.no_grad():
        assert network.conv_last.bias is not None
        network.conv_last.bias += torch.tensor([0.1, 0.0, -0.1])  # redder than it should be
    checkpoint.write(tmp_path / "drifting.safetensors", config=network.config, state=network.state_dict())
    Image.effect_noise((60, 50), 40).convert("RGB").save(tmp_path / "a.png")

    def drift(name: str, *options: str) -> float:
        result = hat(tmp_path / "a.png", "-n", tmp_path / "drifting.safetensors", "-o", tmp_path / name, *options)
        assert result.exit_code == 0
        with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / name) as after:
            means = (np.asarray(image).mean(axis=(0, 1)) for image in (before, after))
            return float(np.abs(next(means) - next(means)).max())

    assert drift("plain.png") > 10
    assert drift("kept.png", "--keep-color") < 0.5
