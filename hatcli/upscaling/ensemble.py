"""Self-ensemble: the mean of a network's results on the eight flips and turns of its input.

Timofte et al., "Seven ways to improve example-based single image super resolution", CVPR 2016; written x8 or + in
papers' tables.
"""

from __future__ import annotations

import torch
from torch import Tensor

COUNT = 8


def transform(image: Tensor, number: int) -> Tensor:
    """Flip or turn `[..., H, W]`: transposed if bit 2 of `number` is set, then mirrored by bits 0 and 1."""
    if number & 4:
        image = image.transpose(-1, -2)
    dims = [dim for bit, dim in ((1, -1), (2, -2)) if number & bit]
    return torch.flip(image, dims) if dims else image


def inverse(image: Tensor, number: int) -> Tensor:
    """Undo `transform`."""
    dims = [dim for bit, dim in ((1, -1), (2, -2)) if number & bit]
    image = torch.flip(image, dims) if dims else image
    return image.transpose(-1, -2) if number & 4 else image
