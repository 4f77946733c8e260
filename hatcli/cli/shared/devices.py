"""Options about speed and memory, to a device and to settings of an Upscaler."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.upscaling.device import DeviceChoice
    from hatcli.upscaling.settings import Settings, Tile


def run_settings(
    tile: str, *, overlap: int, tta: bool, alpha: str, max_memory: str | None, keep_color: bool = False
) -> Settings:
    """Speed and picture options as settings of an Upscaler."""
    from hatcli.upscaling.memory import parse_bytes
    from hatcli.upscaling.settings import Settings

    words: dict[str, Tile] = {"auto": "auto", "0": "auto", "off": "off"}
    if tile.lower() not in words and not tile.isdecimal():
        raise UsageError(f"--tile {tile} is neither 'auto', 'off' nor a side in pixels", hint="try --tile 256")
    side = words[tile.lower()] if tile.lower() in words else int(tile)
    memory = parse_bytes(max_memory) if max_memory is not None else None
    return Settings(tile=side, overlap=overlap, ensemble=tta, alpha=alpha, keep_color=keep_color, max_memory=memory)


ALL_CARDS = "cuda:all"
MOST_THREADS = 1024  # far more than help; a system may start some thousands, and PyTorch all that it is told


def choose_device(device: str, precision: str, threads: int | None) -> DeviceChoice:
    """Device and precision; sets PyTorch's threads if asked."""
    import torch

    from hatcli.upscaling.device import choose

    if threads is not None:
        if not 1 <= threads <= MOST_THREADS:
            raise UsageError(
                f"--threads must be from 1 to {MOST_THREADS}", hint=f"without it, one a core: {os.cpu_count()} here"
            )
        torch.set_num_threads(threads)
    return choose(device, precision)


def devices_in(text: str) -> list[str]:
    """`cuda:0,cuda:1` or `cuda:all` to devices, each a name for `choose_device`.

    Raises:
        UsageError: a name is empty, or there is no such card.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UsageError(f"--device {text} names nothing between two commas", hint="try --device cuda:0,cuda:1")
    return [device for name in names for device in (_cards() if name.lower() == ALL_CARDS else [name])]


def _cards() -> list[str]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{number}" for number in range(count)] or ["cuda"]  # which says why there is none
