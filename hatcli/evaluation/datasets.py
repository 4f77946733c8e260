"""Folders of pictures to pairs of a small picture and the truth, as super-resolution papers prepare them.

With large pictures alone, the small ones are made by MATLAB's bicubic from the truth cut to a multiple of the scale;
published pairs of folders are matched by their usual names. Knows no models and no scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hatcli.errors import InputError, UsageError
from hatcli.evaluation.metrics import SSIM_WINDOW
from hatcli.image import decode, formats
from hatcli.image.picture import Picture
from hatcli.image.resample import imresize, modcrop

Pixels = NDArray[np.uint8]
Gray = Literal["native", "rgb"]

TRUTH_FOLDERS = ("HR", "GTmod12", "GT", "original")  # where published sets keep the truth inside their own folder
SMALL_FOLDERS = ("X{scale}", "x{scale}", "LRbicx{scale}", "LR_bicubic/X{scale}")  # and the small pictures
SET_NAMES = {"set5": "Set5", "set14": "Set14", "urban100": "Urban100", "manga109": "Manga109"} | dict.fromkeys(
    ("b100", "bsd100", "bsds100"), "BSD100"
)
WHERE = {  # set names as people type them, to where their makers or others give them away
    **{
        name: f"https://huggingface.co/datasets/eugenesiow/{SET_NAMES[name]}"
        for name in SET_NAMES
        if name != "manga109"
    },
    "manga109": "http://www.manga109.org, on request",
    "div2k": "https://data.vision.ee.ethz.ch/cvl/DIV2K/",
}
# baby, babyx4, baby_x4, baby_LR, baby_LRBI_x4, baby_HR_x4, 0801x4m, img_001_SRF_4_LR
STEM = re.compile(
    r"(?P<base>.+?)(?:_SRF_(?P<factor>\d))?(?:[-_.](?P<role>LR|HR|GT)(?:BI|BIC|BD|DN)?)?(?:[-_.]?x(?P<scale>\d)[mdw]?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SetPicture:
    """One picture of a set, by its files; `small` is None where the small picture is to be made from the truth."""

    name: str
    truth: Path
    small: Path | None = None


@dataclass(frozen=True)
class Example:
    """One picture of a set, decoded.

    Attributes:
        low: `[h, w, C]` uint8, C of 3 (RGB) or 1 (gray).
        truth: `[scale * h, scale * w, C]` uint8.
    """

    name: str
    low: Pixels
    truth: Pixels


@dataclass(frozen=True)
class NameParts:
    """What the name of a file in a published set says: the picture, whether it is small or the truth, the scale."""

    base: str
    role: str | None  # LR, HR or GT
    scale: int | None


def find_pairs(folder: Path, *, scale: int, small_folder: Path | None = None) -> list[SetPicture]:
    """The pictures of a set in the order of their names, without decoding any.

    Args:
        folder: the truths, or a published set's folder that holds them in `HR` or `GTmod12`.
        small_folder: their small versions, directly or in a folder such as `X4`; may be `folder` itself where the
            names say which is which (`img_001_SRF_4_LR.png`). None: they are made by MATLAB's bicubic.

    Raises:
        UsageError: a folder is missing or empty, or the truths and the small pictures cannot be told apart or matched.
    """
    truths = pictures_in(inner_folder(folder, TRUTH_FOLDERS))
    if small_folder is None:
        return named(truths)
    smalls = pictures_in(inner_folder(small_folder, tuple(name.format(scale=scale) for name in SMALL_FOLDERS)))
    if {path.parent.resolve() for path in truths} == {path.parent.resolve() for path in smalls}:
        truths = [path for path in truths if name_parts(path.stem).role in ("HR", "GT")]
        smalls = [path for path in smalls if name_parts(path.stem).role == "LR"]
        if not truths or not smalls:
            raise UsageError(
                f"{small_folder} holds both sizes, and the names do not say which is which",
                hint="put the small pictures into a folder of their own, or end the names in _LR and _HR",
            )
    return [
        SetPicture(pair.name, pair.truth, matching_small(pair.truth, smalls, scale=scale, folder=small_folder))
        for pair in named(truths)
    ]


def named(truths: list[Path]) -> list[SetPicture]:
    """Pairs without small pictures, each with a name no other has: the stem, or the file's name where stems repeat."""
    stems = [path.stem for path in truths]
    return [SetPicture(path.stem if stems.count(path.stem) == 1 else path.name, path) for path in truths]


def inner_folder(folder: Path, names: tuple[str, ...]) -> Path:
    """`folder` itself if it holds pictures, else the first of these folders inside it that does, else `folder`."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(f"{folder} {what}", hint=where_from(folder) or "name a folder of pictures")
    for candidate in (folder, *(folder / name for name in names)):
        if candidate.is_dir() and any(is_picture_file(path) for path in candidate.iterdir()):
            return candidate
    return folder


def where_from(folder: Path) -> str | None:
    """Where the public set comes from that a missing folder is named after, or None for other names."""
    place = next((WHERE[name] for part in reversed(folder.parts) if (name := part.lower()) in WHERE), None)
    if place is None:
        return None
    return f"sets do not come with hat: get {folder.name} from {place}, and name the folder of its large pictures"


def pictures_in(folder: Path) -> list[Path]:
    """The picture files directly in a folder, sorted by name."""
    found = sorted(path for path in folder.iterdir() if is_picture_file(path))
    if not found:
        raise UsageError(f"there are no pictures in {folder}", hint="name the folder that holds the files themselves")
    return found


def is_picture_file(path: Path) -> bool:
    """By its name alone: a damaged picture must be reported, not left out of a mean."""
    return path.suffix.lower() in formats.SUFFIXES and not path.name.startswith(".") and path.is_file()


def name_parts(stem: str) -> NameParts:
    """Take a file name's stem apart: `baby_LRBI_x4` is `baby`, LR, 4."""
    match = STEM.fullmatch(stem)
    if match is None:
        return NameParts(stem, None, None)
    role, number = match["role"], match["scale"] or match["factor"]
    return NameParts(match["base"], role.upper() if role else None, int(number) if number else None)


def matching_small(truth: Path, smalls: list[Path], *, scale: int, folder: Path) -> Path:
    """The one small picture of `truth`: the same name, else a name that differs by endings such as `x4` or `_LR`."""
    exact = [path for path in smalls if path.stem == truth.stem]
    base = name_parts(truth.stem).base
    related = [
        path
        for path in smalls
        if (parts := name_parts(path.stem)).base in (truth.stem, base) and parts.scale in (None, scale)
    ]
    found = exact or related
    if not found:
        raise UsageError(
            f"{folder} has no small picture for {truth.name}",
            hint=f"expected a name such as {truth.name}, {base}x{scale}.png or {base}_LRBI_x{scale}.png",
        )
    if len(found) > 1:
        raise UsageError(f"{found[0].name} and {found[1].name} could both be the small picture for {truth.name}")
    return found[0]


def set_name(folder: Path) -> str:
    """What a folder's set is called in tables: `Set5` for `Set5`, `data/set5/HR` and `set5/GTmod12`."""
    inner = {name.lower() for name in TRUTH_FOLDERS}
    parts = [part for part in folder.resolve().parts if part.lower() not in inner]
    name = parts[-1] if parts else folder.name
    return SET_NAMES.get(name.lower(), name)


def check_pairs(pairs: Iterable[SetPicture], *, scale: int) -> None:
    """Find what would stop an evaluation after hours, from the headers alone.

    Raises:
        InputError: a file is no picture, is too small to be scored, or its sizes do not fit.
    """
    for pair in pairs:
        truth = decode.probe(pair.truth)
        small = decode.probe(pair.small) if pair.small is not None else None
        check_sizes(
            pair,
            truth=(truth.height, truth.width),
            small=(small.height, small.width) if small is not None else None,
            scale=scale,
        )


def check_sizes(pair: SetPicture, *, truth: tuple[int, int], small: tuple[int, int] | None, scale: int) -> None:
    """Refuse a pair, by height and width, that cannot be scored: InputError with the file's name."""
    height, width = (side - side % scale for side in truth)
    smallest = SSIM_WINDOW + 2 * scale
    if min(height, width) < smallest:
        raise InputError(
            f"{pair.truth.name} is too small to be scored at scale {scale}: {width} x {height} pixels",
            hint=f"at least {smallest} pixels a side are needed",
        )
    if pair.small is not None and small is not None and small != (height // scale, width // scale):
        raise InputError(
            f"{pair.small.name} is {small[1]} x {small[0]} pixels, but {pair.truth.name} reduced by {scale} is "
            f"{width // scale} x {height // scale}",
            hint="check --scale and that both folders belong together",
        )


def load_pair(pair: SetPicture, *, scale: int, gray: Gray = "native") -> Example:
    """Decode a pair, cut the truth to a multiple of `scale`, and make the small picture where there is none.

    Args:
        gray: `native` keeps gray pictures in one channel, as the bicubic baselines of the literature were computed;
            `rgb` repeats them to three first, as BasicSR's loader (HAT's own test code) does.

    Raises:
        InputError: a file cannot be read, is too small to be scored, or its sizes do not fit.
    """
    truth = eight_bits(decode.read(pair.truth))
    small = eight_bits(decode.read(pair.small)) if pair.small is not None else None
    height, width = truth.shape[:2]
    check_sizes(pair, truth=(height, width), small=small.shape[:2] if small is not None else None, scale=scale)
    truth = modcrop(truth, scale)
    low = imresize(truth, 1 / scale) if small is None else small
    if gray == "rgb" or low.shape[2] != truth.shape[2]:
        low, truth = in_colour(low), in_colour(truth)
    return Example(pair.name, np.ascontiguousarray(low), np.ascontiguousarray(truth))


def eight_bits(picture: Picture) -> Pixels:
    """The picture's pixels as uint8, rounded from 16 bits; the papers' scores are defined on 8 bits. No alpha."""
    if picture.bits == 8:
        return picture.pixels.astype(np.uint8, copy=False)
    return ((picture.pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def in_colour(pixels: Pixels) -> Pixels:
    """Gray repeated to three channels; RGB as it is."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
