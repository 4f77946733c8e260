"""Results of several models as one page to compare them, and as a contact sheet; knows pixels, no models.

The page is one file: pictures inside as data, nothing is fetched.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from hatcli.attribution.viewer import JPEG_QUALITY, Pixels, asset, data_uri, filled, parts, script_json, stays_exact
from hatcli.errors import InputError
from hatcli.evaluation.metrics import SSIM_WINDOW, luma, psnr, ssim

STORED = f"Stored as JPEG of quality {JPEG_QUALITY}; scores are of the exact pictures, which --lossless keeps."
INPUT = "input (bicubic)"  # what the page opens with: no model at all


@dataclass(frozen=True)
class Shown:
    """One result: its name, `[H, W, 3]` RGB, all of one size, and the time it took."""

    name: str
    pixels: Pixels
    seconds: float | None = None


def page(
    shown: Sequence[Shown],
    *,
    title: str,
    truth: Pixels | None = None,
    border: int = 0,
    lossless: bool | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The whole page as text; it opens with the first picture against the second.

    Args:
        truth: `[H, W, 3]`; is shown last, and PSNR and SSIM against it are written beside the others.
        border: rows and columns left out of the scores at every edge.
        lossless: whether pictures are stored exactly; None: those of a megapixel or less. The page says so if not.
        notes: sentences to show below the pictures.

    Raises:
        InputError: the sizes differ.
    """
    check_sizes(shown, truth)
    exact = stays_exact(shown[0].pixels) if lossless is None else lossless
    said = [*notes] if exact else [*notes, STORED]
    models = [
        {"name": entry.name, "source": data_uri(entry.pixels, lossless=exact), **facts(entry, truth, border)}
        for entry in shown
    ]
    if truth is not None:
        models.append({"name": "truth", "source": data_uri(truth, lossless=exact)})
    height, width = shown[0].pixels.shape[:2]
    data = {"width": width, "height": height, "models": models, "notes": said}
    viewer = parts()
    values = {
        "TITLE": html.escape(title),
        "DATA": script_json(data),
        "STYLE": viewer.style,
        "VIEWER": viewer.script,
        "SCRIPT": asset("comparison.js"),
    }
    return filled(asset("comparison.html"), values)


def facts(entry: Shown, truth: Pixels | None, border: int) -> dict[str, float | None]:
    """What is said of a picture beside its name."""
    took: dict[str, float | None] = {} if entry.seconds is None else {"seconds": round(entry.seconds, 3)}
    return {**scores(entry, truth, border), **took}


def check_sizes(shown: Sequence[Shown], truth: Pixels | None) -> None:
    """Refuse pictures that cannot lie on each other."""
    if not shown:
        raise ValueError("nothing to compare")
    first = shown[0]
    others = [*shown[1:], *([Shown("the truth", truth)] if truth is not None else [])]
    for other in others:
        if other.pixels.shape != first.pixels.shape:
            sizes = [f"{entry.pixels.shape[1]} x {entry.pixels.shape[0]}" for entry in (first, other)]
            raise InputError(
                f"{other.name} has {sizes[1]} pixels and {first.name} {sizes[0]}", hint="compare pictures of one size"
            )


def scores(entry: Shown, truth: Pixels | None, border: int) -> dict[str, float | None]:
    """PSNR and SSIM on the luma; null for the PSNR of equal pictures and the SSIM of too small ones."""
    if truth is None:
        return {}
    result, wanted = luma(entry.pixels), luma(truth)
    if min(wanted.shape) <= 2 * border:
        border = 0
    decibels = psnr(result, wanted, border=border)
    similar = ssim(result, wanted, border=border) if min(wanted.shape) - 2 * border >= SSIM_WINDOW else None
    return {"psnr_y": decibels if math.isfinite(decibels) else None, "ssim_y": similar}


def contact_sheet(
    shown: Sequence[Shown], *, truth: Pixels | None = None, border: int = 0, columns: int = 4
) -> Image.Image:
    """All results on white, unscaled, with their names and scores below: a figure for a paper."""
    check_sizes(shown, truth)
    every = [*shown, *([Shown("truth", truth)] if truth is not None else [])]
    height, width = shown[0].pixels.shape[:2]
    columns = min(columns, len(every))
    rows = math.ceil(len(every) / columns)
    size = max(12, min(48, width // 20))
    gap, foot = size, round(2.9 * size) if truth is not None else round(1.7 * size)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + foot) + gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size)
    for number, entry in enumerate(every):
        left, top = gap + number % columns * (width + gap), gap + number // columns * (height + foot)
        sheet.paste(Image.fromarray(entry.pixels), (left, top))
        lines = [entry.name]
        if truth is not None and number < len(shown):
            found = scores(entry, truth, border)
            decibels, similar = found["psnr_y"], found["ssim_y"]
            first = "identical" if decibels is None else f"{decibels:.2f} dB"
            lines.append(first if similar is None else f"{first} / {similar:.4f}")
        draw.multiline_text(
            (left + width / 2, top + height + size // 4), "\n".join(lines), "black", font, "ma", align="center"
        )
    return sheet
