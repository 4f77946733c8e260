"""Feature maps after each group of a network, as pictures and as a number for window-shaped blocking.

The blocking index is ours, in the spirit of the blocking effect factor of Yim and Bovik ("Quality Assessment of
Deblocked Images", IEEE Transactions on Image Processing 20(1), 2011), which takes the difference of the same two means:

    index = 10 log10(mean squared difference of neighbours across a window border / mean of all other neighbours)

both over rows, columns and channels. 0 dB: borders are like any other place; above: windows can be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hatcli.attribution.differentiable import Differentiable
from hatcli.errors import WeightsError

FEATURES_HINT = "leave --features out; HAT, SwinIR, ESRGAN, RCAN and the like have groups"


def feature_maps(network: Differentiable, image: Tensor) -> list[Tensor]:
    """What each of the network's `groups` gives for `[3, h, w]`: `[C, H, W]` float32 on the CPU, padding included.

    Raises:
        WeightsError: the network has no groups to look at, or they give something other than maps.
    """
    found: list[Tensor] = []

    def keep(group: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        found.append(channels_first(output, inputs, image.shape[1:], last=network.channels_last).float().cpu())

    if not network.groups:
        raise WeightsError("this network has no groups whose maps could be shown", hint=FEATURES_HINT)
    handles = [group.register_forward_hook(keep) for group in network.groups]
    try:
        with torch.no_grad():
            network.call(image[None])
    finally:
        for handle in handles:
            handle.remove()
    return found


def channels_first(output: Any, inputs: tuple[Any, ...], size: Sequence[int], *, last: bool) -> Tensor:
    """A group's output as `[C, H, W]`.

    Args:
        output: `[1, C, H, W]`, `[1, H, W, C]`, or `[1, H * W, C]` where the size is among the group's inputs.
        size: of the picture; a map is at least as large, which tells the first two apart.
        last: channels are known to come last.
    """
    if isinstance(output, Tensor) and output.ndim == 4:
        first = all(side >= least for side, least in zip(output.shape[2:], size, strict=True))
        return output[0].detach() if first and not last else output[0].detach().permute(2, 0, 1)
    rows = next((value for value in inputs[1:] if isinstance(value, tuple | list)), None)
    if not isinstance(output, Tensor) or output.ndim != 3 or rows is None or math.prod(rows) != output.shape[1]:
        raise WeightsError("the groups of this network give maps of an unknown layout", hint=FEATURES_HINT)
    return output[0].detach().T.reshape(-1, int(rows[0]), int(rows[1]))


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
