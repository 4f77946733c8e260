"""Feature maps after each group of a network, as pictures and as a number for window-shaped blocking.

The blocking index is ours, in the spirit of the blocking effect factor of Yim and Bovik ("Quality Assessment of
Deblocked Images", IEEE TIP 2011), which also sets differences across block borders against the others:

    index = 10 log10(mean squared difference of neighbours across a window border / mean of all other neighbours)

both over rows, columns and channels. 0 dB: borders are like any other place; above: windows can be seen.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hatcli.errors import WeightsError


def feature_maps(network: nn.Module, image: Tensor) -> list[Tensor]:
    """What each of the network's `layers` gives for `[3, h, w]`: `[C, H, W]` float32 on the CPU, padding included.

    Works for HAT and for networks built like SwinIR, whose groups take and give `[B, H * W, C]` and a size.

    Raises:
        WeightsError: the network has no groups to look at.
    """
    body = network if hasattr(network, "layers") else getattr(network, "network", network)
    groups = getattr(body, "layers", None)
    if not isinstance(groups, nn.ModuleList) or len(groups) == 0:
        raise WeightsError("this network has no groups whose maps could be shown", hint="use a HAT or a SwinIR")
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        found.append(channels_first(output.detach(), inputs).float().cpu())
        return output.detach()  # so that no graph grows from group to group

    handles = [group.register_forward_hook(keep) for group in groups]
    try:
        with torch.enable_grad():  # HAT's quick path without gradients does not pass through forward
            network(image[None])
    finally:
        for handle in handles:
            handle.remove()
    return found


def channels_first(output: Tensor, inputs: tuple[Any, ...]) -> Tensor:
    """A group's output as `[C, H, W]`: from `[1, H, W, C]`, or from `[1, H * W, C]` and the size in its inputs."""
    if output.ndim == 4:
        return output[0].permute(2, 0, 1)
    size = next((value for value in inputs[1:] if isinstance(value, (tuple, list, torch.Size))), None)
    if output.ndim != 3 or size is None:
        raise WeightsError("the groups of this network give maps of an unknown layout", hint="use a HAT or a SwinIR")
    return output[0].T.reshape(-1, int(size[0]), int(size[1]))


def blocking_index(maps: Tensor, *, window: int) -> float:
    """The formula above for `[C, H, W]` and windows of side `window`, in dB; infinite if only borders change.

    Raises:
        ValueError: there is no border inside, or the map is constant.
    """
    maps = maps.double()
    borders, others = [], []
    for differences in (maps.diff(dim=2), maps.diff(dim=1).transpose(1, 2)):
        power = differences.square()
        across = torch.arange(1, power.shape[2] + 1) % window == 0
        borders.append(power[..., across].flatten())
        others.append(power[..., ~across].flatten())
    border, other = torch.cat(borders), torch.cat(others)
    if border.numel() == 0 or other.numel() == 0:
        raise ValueError(f"{tuple(maps.shape)} has no border of windows of {window}")
    border_power, other_power = float(border.mean()), float(other.mean())
    if border_power == other_power == 0:
        raise ValueError("a constant map has no blocking index")
    if other_power == 0 or border_power == 0:
        return math.copysign(math.inf, border_power - other_power)
    return 10 * math.log10(border_power / other_power)


def as_gray(maps: Tensor) -> NDArray[np.uint8]:
    """`[C, H, W]` as one picture `[H, W]`: root mean square over channels, 1st to 99th percentile."""
    energy = maps.double().square().mean(dim=0).sqrt().numpy()
    low, high = np.percentile(energy, (1, 99))
    stretched: NDArray[np.uint8] = np.rint(np.clip((energy - low) / max(high - low, 1e-12), 0, 1) * 255).astype(
        np.uint8
    )
    return stretched
