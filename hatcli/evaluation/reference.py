"""The reference network to compare with: spandrel's HAT, of the same configuration, where spandrel is installed."""

from __future__ import annotations

import dataclasses
import warnings
from importlib import import_module

from torch import nn

from hatcli.models import foreign
from hatcli.network.config import HATConfig


def reference_network(config: HATConfig) -> nn.Module | None:
    """Spandrel's HAT with random weights, in eval mode; None without spandrel and for ablated networks."""
    if not (foreign.is_available() and config.cab and config.channel_attention and config.ocab):
        return None
    foreign.spandrel_module()  # some of its other architectures need help to be imported
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(HATConfig)}
    for name in ("rgb_mean", "cab", "channel_attention", "ocab"):
        del values[name]  # spandrel knows only the official mean and the whole network
    build = import_module("spandrel.architectures.HAT.__arch.HAT").HAT
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.meshgrid")
        network: nn.Module = build(**values, in_chans=3, img_size=64, upsampler="pixelshuffle", resi_connection="1conv")
    return network.eval()
