"""What a client may ask of a job: from the query of a request to checked values, and on to the batch room's plan."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hatcli.errors import HatError
from hatcli.image import formats
from hatcli.models import catalog
from hatcli.serve.limits import RefusedError
from hatcli.upscaling.size import Target

SIZES = ("scale", "width", "height", "long_edge", "short_edge", "megapixels")
ALPHA, PRECISION = ("model", "bicubic", "drop"), ("auto", "fp32", "bf16")
FORMATS = ("same", *(name.lower() for name in formats.WRITABLE))
LARGEST_SIDE = 1 << 20
_LONGEST_NAME = 200  # bytes
_BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # letters that turn their neighbours around
_UNNAMED = "picture"


@dataclass(frozen=True)
class Parameters:
    """How a picture is enlarged."""

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    long_edge: int | None = None
    short_edge: int | None = None
    megapixels: float | None = None
    model: str = "auto"
    format: str = "same"
    quality: int | None = None
    lossless: bool = False
    alpha: str = "model"
    precision: str = "auto"
    tile: str = "auto"
    tta: bool = False
    strip_metadata: bool = False

    @property
    def target(self) -> Target:
        """How large it becomes.

        Raises:
            UsageError: sizes contradict each other.
        """
        return Target(self.scale, self.width, self.height, self.long_edge, self.short_edge, self.megapixels)

    @property
    def container(self) -> str | None:
        """The format to write; None: as the picture."""
        return None if self.format == "same" else self.format.upper()

    def facts(self) -> dict[str, Any]:
        """What is set, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def parse(query: Mapping[str, str], *, ignored: tuple[str, ...] = ()) -> Parameters:
    """The values of a query.

    Raises:
        RefusedError: one is not known, or out of range.
    """
    values: dict[str, Any] = {}
    for name, text in query.items():
        if name in ignored:
            continue
        if name not in _READ:
            raise _refused(f"there is no parameter {shown(name)}", f"there are {', '.join(_READ)}")
        values[name] = _READ[name](name, text)
    found = Parameters(**values)
    try:
        _ = found.target
    except HatError as error:
        raise _refused(error.message.replace("--", ""), (error.hint or "").replace("--", "") or None) from None
    return found


def of_facts(values: Mapping[str, Any]) -> Parameters:
    """The same from `Parameters.facts`."""
    return Parameters(**values)


def safe_name(text: str) -> str:
    """What a client calls a picture, fit to be shown and to name a download: no folders, no control characters."""
    last = text.replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter for letter in last if _is_plain(letter)).strip(" .")
    kept = kept.encode("utf-8", "replace").decode()
    stem, dot, ending = kept.rpartition(".")
    while len(kept.encode()) > _LONGEST_NAME:
        if not stem or len(ending) > 10:
            kept = kept[:-1]
            continue
        stem = stem[:-1]
        kept = stem + dot + ending
    return kept or _UNNAMED


def shown(text: str) -> str:
    """Outside text in a message: short and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60]) or "(nothing)"


def _is_plain(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cc", "Cs") and unicodedata.bidirectional(letter) not in _BIDI


def _refused(message: str, hint: str | None = None) -> RefusedError:
    return RefusedError(422, message, hint=hint)


def _number(least: float, most: float, *, whole: bool = True) -> Callable[[str, str], Any]:
    def read(name: str, text: str) -> Any:
        try:
            value = float(text) if text.isascii() else math.nan
        except ValueError:
            value = math.nan
        if not least <= value <= most or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            raise _refused(f"{name} {shown(text)} is not {kind} from {least:g} to {most:g}")
        return int(value) if whole else value

    return read


def _choice(*words: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text.lower() not in words:
            raise _refused(f"there is no {name} {shown(text)}", f"use {', '.join(words)}")
        return text.lower()

    return read


def _switch(name: str, text: str) -> bool:
    if text.lower() not in ("0", "1", "true", "false"):
        raise _refused(f"{name} {shown(text)} is neither 0 nor 1")
    return text.lower() in ("1", "true")


def _tile(name: str, text: str) -> str:
    if text.lower() in ("auto", "off"):
        return text.lower()
    return str(_number(32, 1 << 15)(name, text))


def _model(name: str, text: str) -> str:
    if text == "auto":
        return text
    try:
        family = catalog.family(text)
    except HatError as error:
        raise _refused(error.message, error.hint) from None
    return family[0].name if len({entry.name for entry in family}) == 1 else text


def _format(name: str, text: str) -> str:
    found = formats.SUFFIXES.get("." + text.lower(), text.upper()).lower()
    return _choice(*FORMATS)(name, found)


_READ: dict[str, Callable[[str, str], Any]] = {
    "scale": _number(1, 16, whole=False),
    "width": _number(1, LARGEST_SIDE),
    "height": _number(1, LARGEST_SIDE),
    "long_edge": _number(1, LARGEST_SIDE),
    "short_edge": _number(1, LARGEST_SIDE),
    "megapixels": _number(0.0001, 1e6, whole=False),
    "model": _model,
    "format": _format,
    "quality": _number(1, 100),
    "lossless": _switch,
    "alpha": _choice(*ALPHA),
    "precision": _choice(*PRECISION),
    "tile": _tile,
    "tta": _switch,
    "strip_metadata": _switch,
}
