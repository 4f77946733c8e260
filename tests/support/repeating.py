"""Networks whose result is known: they repeat pixels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from hatcli.network import checkpoint
from hatcli.network.hat import HAT
from support.networks import tiny

_LEAK = 0.01  # slope of the head's LeakyReLU


class Doubling(nn.Module):
    """A network that repeats every pixel."""

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.interpolate(values, scale_factor=2, mode="nearest")


def write_repeating_weights(path: Path) -> Path:
    """Weights of a x2 HAT that repeats every pixel, to rounding far below that of 16 bits; for the command line.

    The image rides past the body as +RGB and -RGB, so that the LeakyReLU loses nothing; all other weights are zero.
    """
    network = HAT(tiny(upscale=2, depths=(1,), img_range=1.0, rgb_mean=(0.0, 0.0, 0.0)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    state = network.state_dict()
    for channel in range(6):
        color, sign = channel % 3, 1.0 if channel < 3 else -1.0
        state["conv_first.weight"][channel, color, 1, 1] = sign
        state["conv_before_upsample.0.weight"][channel, channel, 1, 1] = 1.0
        state["upsample.0.weight"][4 * channel : 4 * channel + 4, channel, 1, 1] = 1.0
        state["conv_last.weight"][color, channel, 1, 1] = sign / (1 + _LEAK)
    checkpoint.write(path, config=network.config, state=state)
    return path
