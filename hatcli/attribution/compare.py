"""Results of several models as one page to compare them, and as a contact sheet; knows pixels, no models.

The page is one file: pictures inside as data, nothing is fetched.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hatcli.errors import InputError
from hatcli.evaluation.metrics import SSIM_WINDOW, luma, psnr, ssim

Pixels = NDArray[np.uint8]
WEBP_LIMIT = 16383  # pixels a side


@dataclass(frozen=True)
class Shown:
    """One result: its name and `[H, W, 3]` RGB, all of one size."""

    name: str
    pixels: Pixels


def page(shown: Sequence[Shown], *, title: str, truth: Pixels | None = None, border: int = 0) -> str:
    """The whole page as text.

    Args:
        truth: `[H, W, 3]`; is shown last, and PSNR and SSIM against it are written beside the others.
        border: rows and columns left out of the scores at every edge.

    Raises:
        InputError: the sizes differ.
    """
    check_sizes(shown, truth)
    models = [{"name": entry.name, "source": data_uri(entry.pixels), **scores(entry, truth, border)} for entry in shown]
    if truth is not None:
        models.append({"name": "truth", "source": data_uri(truth)})
    height, width = shown[0].pixels.shape[:2]
    data = {"width": width, "height": height, "models": models}
    folder = files("hatcli.attribution")
    text = (folder / "compare.html").read_text(encoding="utf-8")
    head, rest = text.split("__DATA__")
    between, tail = rest.split("__SCRIPT__")
    script = (folder / "compare.js").read_text(encoding="utf-8")
    return head.replace("__TITLE__", html.escape(title)) + script_json(data) + between + script + tail


def check_sizes(shown: Sequence[Shown], truth: Pixels | None) -> None:
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


def script_json(data: Any) -> str:
    """JSON that no name can end a script element with."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_uri(pixels: Pixels) -> str:
    """`[H, W, 3]` without loss: WebP, or PNG where a side is too long for it."""
    kind = "WEBP" if max(pixels.shape[:2]) <= WEBP_LIMIT else "PNG"
    file = io.BytesIO()
    options: dict[str, Any] = {"lossless": True, "quality": 20, "method": 1} if kind == "WEBP" else {}
    Image.fromarray(pixels).save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


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
