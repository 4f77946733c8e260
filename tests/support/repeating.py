"""Networks whose result is known: they repeat pixels."""

from __future__ import annotations

from torch import Tensor, nn


class Doubling(nn.Module):
    """A network that repeats every pixel."""

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.interpolate(values, scale_factor=2, mode="nearest")
