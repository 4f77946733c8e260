"""How far an output is from the truth, as one number to make small; the field's three, each a mean over all samples."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
CHARBONNIER = 1e-3  # of a range of 1: below it the error counts squared


def charbonnier(output: Tensor, truth: Tensor) -> Tensor:
    """The mean of sqrt(error^2 + CHARBONNIER^2): L1 with a smooth bottom (Lai et al., LapSRN, CVPR 2017)."""
    return torch.sqrt(torch.square(output - truth) + CHARBONNIER**2).mean()


LOSSES: dict[str, Loss] = {"l1": F.l1_loss, "l2": F.mse_loss, "charbonnier": charbonnier}
