"""Where to look: windows with detail, chosen by the picture or drawn by lot, and the mean over many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hatcli.attribution.lam import Window, check_window
from hatcli.errors import UsageError

# fmt: off
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)
# fmt: on


def detail(image: Tensor, *, scale: int, side: int) -> Tensor:
    """Gradient of `[3, h, w]` enlarged by bicubic, summed in every window of `side`: `[rows, columns]` of corners."""
    large = F.interpolate(image[None].cpu().double(), scale_factor=scale, mode="bicubic")[0]
    if min(large.shape[1:]) <= side:
        raise UsageError(
            f"the result of {large.shape[2]} x {large.shape[1]} has no room for a window of {side}",
            hint="choose a smaller --window",
        )
    down = (large[:, :-1, :-1] - large[:, 1:, :-1]) ** 2
    right = (large[:, :-1, :-1] - large[:, :-1, 1:]) ** 2
    return F.avg_pool2d((down + right).sqrt().sum(dim=0)[None], side, stride=1)[0] * side**2


def strongest(image: Tensor, *, scale: int, side: int = 16) -> Window:
    """The window with the most detail."""
    sums = detail(image, scale=scale, side=side)
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    return Window(top, left, side)


def window_at(corner: tuple[int, int] | None, image: Tensor, *, scale: int, side: int) -> Window:
    """The window whose left column and top row are `corner` in output pixels, or the one with the most detail.

    Raises:
        UsageError: it is not inside the result.
    """
    if corner is None:
        return strongest(image, scale=scale, side=side)
    chosen = Window(corner[1], corner[0], side)
    check_window(chosen, height=image.shape[1] * scale, width=image.shape[2] * scale)
    return chosen


def drawn(image: Tensor, count: int, *, scale: int, side: int = 16, seed: int = 0) -> list[Window]:
    """`count` windows that do not overlap, drawn by lot from the more detailed half of a grid; at most all of those."""
    sums = detail(image, scale=scale, side=side)[::side, ::side]
    places = torch.nonzero((sums >= sums.median()) & (sums > 0)).tolist()
    order = np.random.default_rng(seed).permutation(len(places))[:count]
    return [Window(places[index][0] * side, places[index][1] * side, side) for index in order]


def confidence(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and half the width of its 95 % confidence interval by Student's t; None for a single value."""
    mean = math.fsum(values) / len(values)
    freedom = len(values) - 1
    if freedom < 1:
        return mean, None
    quantile = T_95[freedom - 1] if freedom <= len(T_95) else 1.96 + 2.5 / freedom
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / freedom)
    return mean, quantile * deviation / math.sqrt(len(values))
