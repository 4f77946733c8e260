"""The reference network to compare with: spandrel's HAT, of the same configuration, where spandrel is installed."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from torch import nn

from hatcli.network.config import HATConfig


def reference_network(config: HATConfig) -> nn.Module | None:
    """spandrel's HAT with random weights, in eval mode; None without spandrel."""
    if find_spec("spandrel") is None:
        return None
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError):
        _stand_in_for_torchvision()
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(HATConfig)}
    del values["rgb_mean"]  # spandrel always uses the official one
    build = import_module("spandrel.architectures.HAT.__arch.HAT").HAT
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.meshgrid")
        network: nn.Module = build(**values, in_chans=3, img_size=64, upsampler="pixelshuffle", resi_connection="1conv")
    return network.eval()


def _stand_in_for_torchvision() -> None:
    """Two other architectures in spandrel import names from torchvision, which often does not match a CPU build of
    PyTorch; HAT uses none of them."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    functional = ModuleType("torchvision.transforms.functional")
    for name in ("InterpolationMode", "rotate", "normalize"):
        setattr(functional, name, None)
    sys.modules["torchvision"] = ModuleType("torchvision")
    sys.modules["torchvision.transforms"] = ModuleType("torchvision.transforms")
    sys.modules["torchvision.transforms.functional"] = functional
