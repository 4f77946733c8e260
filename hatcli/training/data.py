"""Pictures in a folder to random pairs of low- and high-resolution patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hatcli.errors import InputError, UsageError
from hatcli.image import decode
from hatcli.image.resample import imresize, modcrop
from hatcli.network.config import UPSCALES

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """A picture and its reduction by MATLAB's bicubic: `[H, W, 3]` and `[H/s, W/s, 3]`, uint8."""

    high: Pixels
    low: Pixels


def picture_files(folder: Path) -> list[Path]:
    """The pictures directly in a folder, by name.

    Raises:
        UsageError: the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    files = sorted(path for path in folder.iterdir() if path.is_file() and decode.sniff(path))
    if not files:
        raise UsageError(f"there is no picture in {folder}")
    return files


def load_pairs(files: list[Path], *, scale: int, smallest: int) -> Iterator[Pair]:
    """Decode each file and reduce it by `scale`; one `Pair` a file.

    Raises:
        InputError: a file is unreadable, or its reduction has a side below `smallest` pixels.
    """
    if scale not in UPSCALES:
        raise UsageError(f"cannot train for scale {scale}")
    for path in files:
        picture = decode.read(path)
        pixels = picture.pixels if picture.bits == 8 else np.rint(picture.pixels / 257).astype(np.uint8)
        high = modcrop(np.repeat(pixels, 3, axis=2) if picture.is_gray else pixels, scale)
        low = imresize(high, 1 / scale)
        if min(low.shape[:2]) < smallest:
            raise InputError(f"{path.name} is too small: {high.shape[1]} x {high.shape[0]} pixels at scale {scale}")
        yield Pair(high=np.ascontiguousarray(high), low=low)


class PatchSampler:
    """Endless random batches from pairs, pictures weighted by area; flips and quarter turns."""

    def __init__(self, pairs: list[Pair], *, batch: int, patch: int, seed: int) -> None:
        self.pairs, self.batch, self.patch = pairs, batch, patch
        self.random = np.random.default_rng(seed)
        areas = np.array([pair.low.shape[0] * pair.low.shape[1] for pair in pairs], dtype=np.float64)
        self.shares = areas / areas.sum()

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Low `[B, 3, p, p]` and high `[B, 3, s*p, s*p]`, float32, 0..1."""
        lows: list[Pixels] = []
        highs: list[Pixels] = []
        for number in self.random.choice(len(self.pairs), size=self.batch, p=self.shares):
            pair = self.pairs[number]
            scale = pair.high.shape[0] // pair.low.shape[0]
            top = self.random.integers(pair.low.shape[0] - self.patch + 1)
            left = self.random.integers(pair.low.shape[1] - self.patch + 1)
            low = pair.low[top : top + self.patch, left : left + self.patch]
            high = pair.high[top * scale : (top + self.patch) * scale, left * scale : (left + self.patch) * scale]
            turns, flip = int(self.random.integers(4)), bool(self.random.integers(2))
            for patches, values in ((lows, low), (highs, high)):
                turned = np.rot90(values, turns)
                patches.append(turned[:, ::-1] if flip else turned)
        low_batch, high_batch = (torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2) for patches in (lows, highs))
        return low_batch.float().div_(255), high_batch.float().div_(255)
