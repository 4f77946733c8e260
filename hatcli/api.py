"""The Python front door: a model by name or file, ready to enlarge pictures."""

from __future__ import annotations

import math
from pathlib import Path

from hatcli.models import opening
from hatcli.upscaling.device import choose
from hatcli.upscaling.upscaler import Settings, Upscaler


def load(
    name: str = "auto",
    *,
    scale: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    settings: Settings | None = None,
) -> Upscaler:
    """Open an installed model.

    Args:
        name: a catalogue name such as `hat-t`, a path to a checkpoint of any HAT, or `auto`: the best one installed.
        scale: the factor it is wanted for; matters to `auto` only.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: `auto`, `fp32` or `bf16`.
        settings: tiles, memory, self-ensemble, transparency.

    Raises:
        UsageError: there is no such model, device or precision.
        WeightsError: the weights are not installed, or are damaged.
    """
    wanted = None if scale is None else math.ceil(scale)
    model = opening.open_file(Path(name)) if opening.names_file(name) else opening.open_installed(name, scale=wanted)
    return Upscaler(model, choice=choose(device, precision), settings=settings)
