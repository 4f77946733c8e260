"""The process that looks at pictures for the server: what they are, small views of them, pieces of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hatcli.atomic import replacing
from hatcli.batch.naming import Naming, check_ending
from hatcli.errors import HatError, InputError, UsageError
from hatcli.image import color, decode, encode
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, eight_bits, with_pixels
from hatcli.models import catalog
from hatcli.serve import parameters
from hatcli.serve.child import Requests
from hatcli.serve.parameters import Parameters
from hatcli.upscaling.size import plan_size

LARGEST_VIEW = 4096  # pixels a side
LARGEST_EXACT = 2 << 20  # pixels up to which a view loses nothing
QUALITY = 92


def serve(options: dict[str, Any]) -> None:
    """Answer requests until there are no more."""
    requests = Requests()
    ways: dict[str, Callable[..., dict[str, Any]]] = {"look": look, "view": view, "crop": crop}
    while (request := requests.next()) is not None:
        path, name = Path(request["path"]), request.get("name") or "the picture"
        try:
            answer = ways[request.pop("do")](**{**request, "path": path})
        except HatError as error:
            kind = "picture" if isinstance(error, InputError) else "parameters"
            message = error.message.replace(str(path), name)
            answer = {"error": message, "hint": _fit(error.hint), "kind": kind}
        except MemoryError:
            answer = {"error": f"{name} needs more memory than there is", "hint": None, "kind": "picture"}
        except Exception as error:  # what no check foresaw of a damaged file
            reason = f"{type(error).__name__}: {error}".splitlines()[0].replace(str(path), name)
            answer = {"error": f"cannot read {name}: {reason}", "hint": "the file is damaged or odd", "kind": "picture"}
        requests.answer(**answer)


def _fit(hint: str | None) -> str | None:
    """A hint that does not speak of the command line."""
    return None if hint is None or "--" in hint else hint


def look(path: Path, name: str, wanted: dict[str, Any], max_pixels: int) -> dict[str, Any]:
    """What a picture is, and what it becomes; everything cheap that can go wrong goes wrong here."""
    found, chosen = decode.probe(path, max_pixels=max_pixels), parameters.of_facts(wanted)
    factor = chosen.target.factor(found.width, found.height)
    size = plan_size(found.width, found.height, chosen.target, native=_natives(chosen, factor))
    scale = factor or float(size.product)
    naming = Naming(format=chosen.container)
    output = naming.file_name(Path(name), scale=scale, width=size.width, height=size.height, source_format=found.format)
    encode.check_format(
        chosen.container or check_ending(Path(output)),
        width=size.width,
        height=size.height,
        bits=found.bits,
        alpha=found.alpha and chosen.alpha != "drop",
        gray=found.channels == 1,
        options=EncodeOptions(quality=chosen.quality, lossless=chosen.lossless),
    )
    sizes = {"width": size.width, "height": size.height}
    return {**sizes, "source_width": found.width, "source_height": found.height, "output": output}


def _natives(chosen: Parameters, factor: float | None) -> list[int]:
    """The factors of the model that will be run."""
    name = chosen.model
    if name == "auto":
        name = catalog.best(catalog.installed(), factor).name
    installed = [entry.scale for entry in catalog.family(name) if catalog.is_installed(entry)]
    if not installed:
        raise UsageError(f"{name} is not installed", hint="download it first")
    return installed


def view(path: Path, target: str, side: int, max_pixels: int, name: str = "the picture") -> dict[str, Any]:
    """A copy of a picture for the page: upright, sRGB, 8 bits, at most so many pixels a side."""
    picture = decode.read(path, max_pixels=max_pixels)
    image = _srgb(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    exact = side > 512 and image.width * image.height <= LARGEST_EXACT
    options: dict[str, Any] = {"lossless": True, "quality": 20, "method": 1} if exact else {"quality": QUALITY}
    with replacing(Path(target)) as file:
        image.save(file, "WEBP", **options)
    return {"width": image.width, "height": image.height}


def crop(path: Path, target: str, x: int, y: int, size: int, max_pixels: int, name: str) -> dict[str, Any]:
    """A piece of a picture as a PNG, without loss."""
    picture = decode.read(path, max_pixels=max_pixels)
    left, top = (
        min(max(0, at), max(0, all_of_it - size)) for at, all_of_it in ((x, picture.width), (y, picture.height))
    )
    rows, columns = slice(top, top + size), slice(left, left + size)
    pixels: Any = np.ascontiguousarray(picture.pixels[rows, columns])
    alpha: Any = None if picture.alpha is None else np.ascontiguousarray(picture.alpha[rows, columns])
    piece = with_pixels(picture, pixels, alpha)
    with replacing(Path(target)) as file:
        encode.write_into(file, piece, format="PNG", options=EncodeOptions(strip_metadata=True))
    return {"bytes": Path(target).stat().st_size}


def _srgb(picture: Picture) -> Image.Image:
    """As a Pillow image of 8 bits in sRGB."""
    shallow = with_pixels(
        picture, eight_bits(picture.pixels), None if picture.alpha is None else eight_bits(picture.alpha)
    )
    if picture.is_gray:
        image = Image.fromarray(color.gray_to_srgb(shallow.pixels, picture.icc))
    else:
        image = color.rgb_to_srgb(Image.fromarray(shallow.pixels), picture.icc)
    if shallow.alpha is not None:
        image.putalpha(Image.fromarray(shallow.alpha))
    return image
