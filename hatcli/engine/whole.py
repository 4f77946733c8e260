"""Any network but HAT, run as it is: one call for the whole image it is given."""

from __future__ import annotations

import copy
from collections.abc import Generator

import torch
from torch import Tensor, nn

WINDOW = 16  # pixels; tiles begin on multiples of it, as most windowed networks' sides divide it
FIXED = 8 << 20  # bytes of small tensors and workspaces


class Whole:
    """A module with the contract of HAT on a device; a copy of it, unless it is there already.

    A module may refuse a precision by its own `to`, and stays in float32 then.
    """

    window = WINDOW

    def __init__(self, module: nn.Module, *, scale: int, device: torch.device, dtype: torch.dtype) -> None:
        self.scale = scale
        stays = device.type == "cpu" and dtype == torch.float32
        self.module = (module if stays else copy.deepcopy(module).to(device, dtype)).eval()

    def steps(self, image: Tensor) -> Generator[float, None, Tensor]:
        """The module's result, in one step."""
        with torch.inference_mode():
            result: Tensor = self.module(image)
        yield 1.0
        return result

    def peak_bytes(self, height: int, width: int) -> int:
        """A guess: 32 maps of 64 channels and 3 at the result's size (an ESRGAN x4 measured two thirds of that)."""
        return height * width * 4 * 64 * (32 + 3 * self.scale**2) + FIXED
