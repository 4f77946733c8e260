"""The one door to running a network: HAT in bands of window rows, any other module as a whole."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import torch
from torch import Tensor, nn

from hatcli.engine import malloc
from hatcli.engine.hat import BandedHAT
from hatcli.engine.whole import Whole
from hatcli.network.hat import HAT


class Network(Protocol):
    """A network on a device, ready to enlarge.

    Attributes:
        scale: its factor.
        window: side of its attention windows in pixels of the input; tiles that begin on multiples of it see the same
            windows as the whole image.
    """

    @property
    def scale(self) -> int: ...
    @property
    def window(self) -> int: ...

    def steps(self, image: Tensor) -> Generator[float, None, Tensor]:
        """`[B, 3, H, W]` in 0..1, any size from 1 x 1, on the device: yields the share done, 0..1, and returns
        `[B, 3, S*H, S*W]` in float32 or wider, not clamped."""

    def peak_bytes(self, height: int, width: int) -> int:
        """Bytes that `steps` takes for one image of this size beyond what is loaded already, its result included."""


def opened(module: nn.Module, *, scale: int, device: torch.device, dtype: torch.dtype) -> Network:
    """A network of whatever architecture, on a device and in a precision; the module itself stays as it is.

    Args:
        scale: the module's factor.
        dtype: of products; HAT's feature maps, norms and head are in float32 or wider in any case.
    """
    if device.type == "cpu":
        malloc.keep_freed_memory()
    if isinstance(module, HAT):
        return BandedHAT(module, device=device, dtype=dtype)
    return Whole(module, scale=scale, device=device, dtype=dtype)
