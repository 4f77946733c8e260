"""How pictures are run: tiles, memory, self-ensemble, transparency; the same for every picture of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hatcli.errors import UsageError
from hatcli.upscaling.memory import SMALLEST_TILE

ALPHA_MODES = ("model", "bicubic", "drop")

Tile = int | Literal["auto", "off"]


@dataclass(frozen=True)
class Settings:
    """How pictures are run.

    Attributes:
        tile: `auto`: the whole image if it fits the memory, else the largest tiles that do; `off`: always whole; or the
            side of a tile in input pixels.
        overlap: least overlap of neighbouring tiles in input pixels.
        ensemble: average the eight flips and turns.
        alpha: `model` (transparency goes through the network), `bicubic` or `drop`.
        keep_color: put the low frequencies of the input back, where the network made a region lighter or darker.
        max_memory: bytes a run may take, None: most of what is free.
    """

    tile: Tile = "auto"
    overlap: int = 32
    ensemble: bool = False
    alpha: str = "model"
    keep_color: bool = False
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.tile, str):
            if self.tile not in ("auto", "off"):
                raise UsageError(f"there is no --tile {self.tile}", hint="use auto, off or a side such as 256")
        elif self.tile < SMALLEST_TILE:
            raise UsageError(
                f"--tile {self.tile} is too small", hint=f"at least {SMALLEST_TILE}, or 'auto', or 'off' for none"
            )
        elif self.overlap > self.tile // 2:
            raise UsageError(
                f"--overlap {self.overlap} is more than half of --tile {self.tile}", hint="32 is a good overlap"
            )
        if self.overlap < 0:
            raise UsageError("--overlap cannot be negative", hint="32 is a good overlap")
        if self.alpha not in ALPHA_MODES:
            raise UsageError(f"there is no --alpha {self.alpha}", hint=f"use {', '.join(ALPHA_MODES)}")
