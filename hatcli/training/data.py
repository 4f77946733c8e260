"""Pictures to pairs of high and low resolution, in memory or as memory maps in a cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hatcli.atomic import replacing, sweep
from hatcli.errors import InputError, MemoryLimitError, OutputError, UsageError
from hatcli.evaluation.datasets import eight_bits, in_colour
from hatcli.image import decode
from hatcli.image.resample import imresize, modcrop
from hatcli.network.config import UPSCALES
from hatcli.training.sources import TrainingPicture, find_sources

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """A picture and its reduction, by MATLAB's bicubic or as given: `[H, W, 3]` and `[H/s, W/s, 3]`, uint8."""

    high: Pixels
    low: Pixels
    name: str = ""  # of its file, for people

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of `low`."""
        return self.low.shape[0], self.low.shape[1]


@dataclass(frozen=True)
class CachedPair:
    """The same in two .npy files, mapped anew at every use: thousands of open maps would be thousands of open files."""

    high_file: Path
    low_file: Path
    size: tuple[int, int]  # height and width of `low`
    name: str = ""

    @property
    def high(self) -> Pixels:
        return open_mapped(self.high_file)

    @property
    def low(self) -> Pixels:
        return open_mapped(self.low_file)


AnyPair = Pair | CachedPair


def picture_files(folder: Path) -> list[Path]:
    """The pictures directly in a folder, by name.

    Raises:
        UsageError: the folder is missing or holds no picture.
    """
    return [source.high for source in find_sources([folder]) if isinstance(source.high, Path)]


def load_pairs(
    sources: list[Path] | list[TrainingPicture],
    *,
    scale: int,
    smallest: int,
    cache: Path | None = None,
    budget: int | None = None,
) -> Iterator[AnyPair]:
    """Decode each picture and reduce it by `scale`; one pair a picture.

    Args:
        smallest: least side of a reduction, in pixels.
        cache: a folder for decoded pictures as memory maps, made once; None keeps all in memory.
        budget: most bytes to hold in memory.

    Raises:
        InputError: a picture is unreadable or too small, or does not fit its small version; it is named.
        MemoryLimitError: the pictures do not fit the budget.
        OutputError: the cache cannot be written.
    """
    if scale not in UPSCALES:
        raise UsageError(f"cannot train for scale {scale}")
    if cache is not None:
        sweep({cache})
    held = 0
    for source in sources:
        wanted = source if isinstance(source, TrainingPicture) else TrainingPicture(source)
        if cache is not None:
            yield decode_into_cache(wanted, cache, scale=scale, smallest=smallest)
            continue
        pair = load_pair(wanted, scale=scale, smallest=smallest)
        held += pair.high.nbytes + pair.low.nbytes
        if budget is not None and held > budget:
            raise MemoryLimitError(
                f"the pictures need more than the {budget / 1e9:.1f} GB of memory they may take",
                hint="--cache FOLDER keeps them on disk instead",
            )
        yield pair


def load_pair(source: TrainingPicture, *, scale: int, smallest: int) -> Pair:
    """Decode one picture, cut it to a multiple of `scale`, and reduce it or decode its small version."""
    high = modcrop(read_rgb(source), scale)
    height, width = high.shape[0] // scale, high.shape[1] // scale
    if min(height, width) < smallest:
        raise InputError(
            f"{source.name} is too small: {high.shape[1]} x {high.shape[0]} pixels at scale {scale}",
            hint=f"at least {smallest * scale} pixels a side are needed",
        )
    if source.low is None:
        return Pair(high=np.ascontiguousarray(high), low=imresize(high, 1 / scale), name=source.name)
    low = in_colour(eight_bits(decode.read(source.low)))
    if low.shape[:2] != (height, width):
        raise InputError(
            f"{source.low.name} is {low.shape[1]} x {low.shape[0]} pixels, but {source.name} reduced by {scale} is "
            f"{width} x {height}",
            hint="check --scale and that both folders belong together",
        )
    return Pair(high=np.ascontiguousarray(high), low=np.ascontiguousarray(low), name=source.name)


def read_rgb(source: TrainingPicture) -> Pixels:
    """The large picture as `[H, W, 3]` uint8."""
    if isinstance(source.high, Path):
        return in_colour(eight_bits(decode.read(source.high)))
    return in_colour(eight_bits(decode.decode(source.high.read(), name=source.name)))


def decode_into_cache(source: TrainingPicture, folder: Path, *, scale: int, smallest: int) -> CachedPair:
    """The pair from the cache, decoded into it first where the files it was made from are new or changed."""
    key = fingerprint(source, scale=scale)
    high_file, low_file = folder / f"{key}-high.npy", folder / f"{key}-low-x{scale}.npy"
    if not (high_file.exists() and low_file.exists()):
        pair = load_pair(source, scale=scale, smallest=smallest)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the cache folder {folder} cannot be made: {error.strerror or error}") from None
        for path, pixels in ((high_file, pair.high), (low_file, pair.low)):
            with replacing(path) as file:
                np.save(file, pixels)
    height, width = open_mapped(low_file).shape[:2]
    if min(height, width) < smallest:
        raise InputError(f"{source.name} is too small: {width * scale} x {height * scale} pixels at scale {scale}")
    return CachedPair(high_file, low_file, (height, width), source.name)


def fingerprint(source: TrainingPicture, *, scale: int) -> str:
    """A name for what a pair is made from: its files' places, sizes and times, and the scale."""
    inner = "" if isinstance(source.high, Path) else f"{source.high.name}@{source.high.offset}"
    parts = [inner, str(scale)]
    for path in (source.high if isinstance(source.high, Path) else source.high.archive, source.low):
        if path is not None:
            status = path.stat()
            parts += [str(path.resolve()), str(status.st_size), str(status.st_mtime_ns)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def open_mapped(path: Path) -> Pixels:
    """A cached picture, read from the disk as far as it is looked at.

    Raises:
        InputError: the file is gone or damaged.
    """
    try:
        pixels: Pixels = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path.name} in the cache cannot be read: {error}", hint="delete it; it is made again"
        ) from None
    return pixels
