"""The reference network (spandrel's HAT), for tests that compare with it; skipped where spandrel is not installed."""

from __future__ import annotations

import dataclasses
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest
import torch

from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT


def reference_class() -> Any:
    """spandrel's HAT class. Other architectures there want torchvision, which HAT does not; a stand-in will do."""
    if find_spec("spandrel") is None:
        pytest.skip("needs spandrel")
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        stand_in_for_torchvision()
    from spandrel.architectures.HAT.__arch.HAT import HAT as Reference

    return Reference


def stand_in_for_torchvision() -> None:
    """Modules with the names that other architectures import; HAT uses none of them."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    functional = ModuleType("torchvision.transforms.functional")
    for name in ("InterpolationMode", "rotate", "normalize"):
        setattr(functional, name, None)
    sys.modules["torchvision"] = ModuleType("torchvision")
    sys.modules["torchvision.transforms"] = ModuleType("torchvision.transforms")
    sys.modules["torchvision.transforms.functional"] = functional


def reference_network(config: HATConfig) -> torch.nn.Module:
    """spandrel's HAT of the same configuration, with its own random weights, in eval mode."""
    names = {field.name for field in dataclasses.fields(HATConfig)} - {"rgb_mean", "num_feat"}
    values = {name: getattr(config, name) for name in names}
    network: torch.nn.Module = reference_class()(
        **values, in_chans=3, img_size=64, num_feat=config.num_feat, upsampler="pixelshuffle", resi_connection="1conv"
    )
    return network.eval()


def same_weights(reference: torch.nn.Module, config: HATConfig) -> HAT:
    """This project's network with the weights of `reference`, strictly loaded."""
    network = HAT(config)
    network.load_state_dict(reference.state_dict(), strict=True)
    return network.eval()
