"""Colour that drifts: a network may make a region a little lighter or darker; its input says what it should be."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

BLOCK = 16  # input pixels a side of the regions whose mean is put right


def keep_means_(result: Tensor, source: Tensor) -> None:
    """Give a result the low frequencies of its source, in place: detail stays the network's.

    The means of blocks of about 16 input pixels are compared, and what they differ by is added, interpolated between
    the blocks' centres. HAT-T x4 drifts by up to 0.7 of 255 levels on Set5 and Set14, and putting that back gains
    0.005 dB: too little to do it unasked.

    Args:
        result: `[3, S*H, S*W]`, nominally in 0..1; what is beyond counts as it will be seen, clamped.
        source: `[3, H, W]`, values in 0..1.
    """
    scale = result.shape[1] // source.shape[1]
    down, across = _edges(source.shape[1]), _edges(source.shape[2])
    right, wide_right = _means(across, 1).to(source), _means(across, scale).to(result)
    differences = torch.stack(
        [
            source[:, top:bottom].mean(dim=1) @ right - _row_means(result, top * scale, bottom * scale) @ wide_right
            for top, bottom in pairwise(down)
        ],
        dim=1,
    )
    rows, columns = _between(down, scale).to(result), _between(across, scale).to(result)
    for plane, difference in zip(result, differences, strict=True):
        plane.addmm_(rows @ difference, columns.T)


def _row_means(result: Tensor, top: int, bottom: int) -> Tensor:
    """Means of the rows `top` to `bottom` (exclusive), clamped: `[3, W]`."""
    return result[:, top:bottom].clamp(0, 1).mean(dim=1)


def _edges(length: int) -> list[int]:
    """Where blocks of nearly equal length begin, and the end."""
    count = max(1, round(length / BLOCK))
    return [length * i // count for i in range(count + 1)]


def _means(edges: list[int], scale: int) -> Tensor:
    """`[length * scale, blocks]`: a product with it takes the mean of each block."""
    weights = torch.zeros(edges[-1] * scale, len(edges) - 1)
    for block, (start, end) in enumerate(pairwise(edges)):
        weights[start * scale : end * scale, block] = 1 / ((end - start) * scale)
    return weights


def _between(edges: list[int], scale: int) -> Tensor:
    """`[length * scale, blocks]`: a product with it goes in straight lines from block's centre to block's centre."""
    bounds = torch.tensor(edges, dtype=torch.float64) * scale
    centres = (bounds[1:] + bounds[:-1]) / 2
    position = torch.arange(edges[-1] * scale, dtype=torch.float64) + 0.5
    after = torch.searchsorted(centres, position).clamp(1, max(1, len(centres) - 1))
    if len(centres) == 1:
        return torch.ones(len(position), 1)
    left, right = centres[after - 1], centres[after]
    share = ((position - left) / (right - left)).clamp(0, 1)
    weights = torch.zeros(len(position), len(centres), dtype=torch.float64)
    each = torch.arange(len(position))
    weights[each, after - 1] = 1 - share
    weights[each, after] = share
    return weights.float()
