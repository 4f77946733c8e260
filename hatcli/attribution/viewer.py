"""What every page that shows two pictures over each other shares: slider, zoom, difference, and pictures inside it.

The parts are text: `style` for the page's head, `script` an ES module with the class `Viewer`, which builds what it
needs inside the element `#stage`. The style takes its colours from the page's `--stage`; the page brings controls of
its own.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
WEBP_LIMIT = 16383  # pixels a side
EXACT_AREA = 1 << 20  # pixels; larger pictures take megabytes without loss
JPEG_QUALITY = 92  # about 46 dB to the exact picture


@dataclass(frozen=True)
class Parts:
    """The viewer as text for a page."""

    style: str
    script: str


def parts() -> Parts:
    """The viewer's style and script."""
    return Parts(asset("viewer.css"), asset("viewer.js"))


def asset(name: str) -> str:
    """A file that lies beside this one."""
    return (files("hatcli.attribution") / name).read_text(encoding="utf-8")


def filled(template: str, values: dict[str, str]) -> str:
    """A page's template with each `__NAME__` replaced; what is filled in is not looked at again."""
    pieces = template.split("__")
    return "".join(values.get(piece, f"__{piece}__") if number % 2 else piece for number, piece in enumerate(pieces))


def script_json(data: Any) -> str:
    """JSON that no name can end a script element with."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def stays_exact(pixels: Pixels) -> bool:
    """Whether `data_uri` keeps a picture of this size without loss unless told otherwise."""
    height, width = pixels.shape[:2]
    return bool(height * width <= EXACT_AREA)


def data_uri(pixels: Pixels, *, lossless: bool) -> str:
    """`[H, W, 3]` as an address.

    Args:
        lossless: as WebP, or PNG where a side is too long for it; else as JPEG with all of its colour.
    """
    if not lossless:
        kind, options = "JPEG", {"quality": JPEG_QUALITY, "subsampling": 0}
    elif max(pixels.shape[:2]) <= WEBP_LIMIT:
        kind, options = "WEBP", {"lossless": True, "quality": 20, "method": 1}
    else:
        kind, options = "PNG", {}
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
