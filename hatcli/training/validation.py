"""How good a network is on a few pictures while it trains, and what it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch

from hatcli.errors import OutputError
from hatcli.evaluation.metrics import luma, psnr
from hatcli.image import encode
from hatcli.image.picture import Picture, from_tensor, to_tensor
from hatcli.network.hat import HAT
from hatcli.training.data import AnyPair, Pixels

LONGEST_STEM = 80  # characters of a picture's own name
LARGEST_PSNR = 100.0  # dB, instead of infinity where a picture is met exactly


@torch.no_grad()
def enlarged(model: HAT, pair: AnyPair) -> Pixels:
    """What the network makes of a pair's small picture: `[H, W, 3]` uint8, rounded."""
    device = next(model.parameters()).device
    low = to_tensor(pair.low)[None].to(device)
    pixels: Pixels = from_tensor(model(low)[0].float().cpu(), bits=8)  # type: ignore[assignment]
    return pixels


def mean_psnr(model: HAT, pairs: Sequence[AnyPair], *, images: Path | None = None) -> float:
    """Mean PSNR in dB on BT.601 luma of rounded outputs, border of the scale cropped, as the papers compute it.

    Args:
        images: a folder for the outputs as PNG files, named as their pictures are.

    Raises:
        OutputError: an output cannot be written.
    """
    total = 0.0
    for number, pair in enumerate(pairs):
        output = enlarged(model, pair)
        total += min(psnr(luma(output), luma(pair.high), border=model.config.upscale), LARGEST_PSNR)
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
        raise OutputError(f"the folder {path.parent} cannot be made: {error.strerror or error}") from None
    encode.write(Picture(pixels=pixels), path, overwrite=True)
