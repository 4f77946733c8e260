"""Small random networks, and the parity cases computed by the reference network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hatcli.engine.hat import BandedHAT
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT
from hatcli.progress import drive

PARITY = Path(__file__).parent.parent / "data" / "parity"
CASES: dict[str, dict[str, Any]] = json.loads((PARITY / "cases.json").read_text())


def tiny(**values: Any) -> HATConfig:
    shape: dict[str, Any] = {
        "upscale": 2,
        "embed_dim": 12,
        "depths": (2,),
        "num_heads": (2,),
        "window_size": 4,
        "squeeze_factor": 4,
        "num_feat": 8,
        "drop_path_rate": 0.0,
    }
    return HATConfig(**{**shape, **values})


def lively(config: HATConfig, seed: int = 0) -> HAT:
    """A network whose blocks all matter: weights far larger than a fresh network's."""
    torch.manual_seed(seed)
    network = HAT(config).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" not in name:
                parameter.normal_(0, 0.15)
    return network


def banded(network: HAT, image: Tensor, *, dtype: torch.dtype | None = None, chunk: int | None = None) -> Tensor:
    """What the engine makes of `[B, 3, H, W]`."""
    return drive(BandedHAT(network, dtype=dtype, chunk=chunk).steps(image))
