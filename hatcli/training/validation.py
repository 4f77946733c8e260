"""How good a network is on a few pictures while it trains, and what it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch

from hatcli.atomic import write_error
from hatcli.evaluation.metrics import luma, psnr
from hatcli.image import encode
from hatcli.image.picture import Picture
from hatcli.network.hat import HAT
from hatcli.training.data import AnyPair, Pixels
from hatcli.upscaling.device import DeviceChoice
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.upscaler import Upscaler

LONGEST_STEM = 80  # characters of a picture's own name
LARGEST_PSNR = 100.0  # dB, instead of infinity where a picture is met exactly


def mean_psnr(
    model: HAT, pairs: Sequence[AnyPair], *, images: Path | None = None, max_memory: int | None = None
) -> float:
    """Mean PSNR in dB on BT.601 luma of rounded outputs, border of the scale cropped, as the papers compute it.

    The network runs in fp32 as `hat upscale` runs it: whole where that fits the memory, else in tiles.

    Args:
        images: a folder for the outputs as PNG files, named as their pictures are.
        max_memory: bytes a run may take; None: most of what is free.

    Raises:
        OutputError: an output cannot be written.
        MemoryLimitError: memory ran out even with the smallest tile.
    """
    scale = model.config.upscale
    choice = DeviceChoice(next(model.parameters()).device, torch.float32, "where the training runs")
    upscaler = Upscaler({scale: model}, choice=choice, settings=Settings(max_memory=max_memory))
    total = 0.0
    for number, pair in enumerate(pairs):
        output: Pixels = upscaler.upscale(Picture(pixels=pair.low)).pixels  # type: ignore[assignment]
        total += min(psnr(luma(output), luma(pair.high), border=scale), LARGEST_PSNR)
        if images is not None:
            write_image(images / f"{image_stem(number, pair.name)}.png", output)
    return total / len(pairs)


def image_stem(number: int, name: str) -> str:
    """What a validation picture's output is called: its number and its own stem, on any system one plain name.

    Names in an archive are whatever its maker wrote: both kinds of slash part folders, and what Windows forbids goes.
    """
    stem = PurePosixPath(name.replace("\\", "/")).stem if name else ""
    plain = "".join(letter for letter in stem if letter.isprintable() and letter not in '<>:"|?*').strip(". ")
    return f"{number:03d}-{plain[:LONGEST_STEM]}" if plain else f"{number:03d}"


def write_image(path: Path, pixels: Pixels) -> None:
    """A PNG file, its folder made where it is missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path.parent, error) from None
    encode.write(Picture(pixels=pixels), path, overwrite=True)
