"""The Python front door: a model by name or file, ready to enlarge pictures; pictures from files and into them."""

from __future__ import annotations

import os
from pathlib import Path

from hatcli.image import decode
from hatcli.image.picture import Picture
from hatcli.models import opening
from hatcli.upscaling.device import choose
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler


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
        name: a catalogue name such as `hat-t`, a path to a checkpoint of any HAT, or `auto`: for each picture the best
            one installed, by the same rule as on the command line.
        scale: how many times larger pictures become where nothing else is said; None: the model's own factor.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: `auto`, `fp32` or `bf16`.
        settings: tiles, memory, self-ensemble, transparency.

    Raises:
        UsageError: there is no such model, device or precision.
        WeightsError: the weights are not installed, or are damaged.
    """
    return Upscaler(opening.open(name), choice=choose(device, precision), settings=settings, target=Target(scale=scale))


def read(path: str | os.PathLike[str]) -> Picture:
    """The picture in a file, upright, with profile and metadata.

    Raises:
        InputError: it cannot be read, or is no picture.
    """
    return decode.read(Path(path))


def write(picture: Picture, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """A picture to a file, which is whole or absent at any time; the name's ending says the format.

    Raises:
        UsageError: the ending is of no known format, or the file is there already.
        OutputError: the format cannot hold the picture, or the file cannot be written.
    """
    return picture.save(path, overwrite=overwrite)
