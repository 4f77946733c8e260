"""A small picture and a small network, for commands that look at models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.looking import noise

from hatcli.network import checkpoint
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return noise(tmp_path / "a.png", (16, 16, 3))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = HATConfig(
        upscale=2, embed_dim=24, depths=(1, 1), num_heads=(2, 2), window_size=8, squeeze_factor=8, num_feat=16
    )
    checkpoint.write(tmp_path / "tiny.safetensors", config=config, state=dict(HAT(config).state_dict()))
    return tmp_path / "tiny.safetensors"
