"""Temporal flicker: how the changes from frame to frame in an enlarged film differ from those that belong there.

With the truth known, tPSNR: the PSNR of the frame-to-frame differences of the luma against those of the truth. Without
it, and beside it: what changes in the result where nothing changes in the film that was enlarged.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from hatcli.errors import InputError
from hatcli.evaluation.datasets import Pixels
from hatcli.evaluation.evaluate import Enlarge, bicubic
from hatcli.evaluation.metrics import PEAK, inside, luma
from hatcli.evaluation.published import BICUBIC
from hatcli.image.resample import imresize, modcrop
from hatcli.video.colors import Conversion
from hatcli.video.film import Film
from hatcli.video.frames import Found, moments

TRUTH = "truth"
_STILL = 1  # levels of 255 that a pixel may change and still stand still: what coding does to it
_REACH = 3  # pixels around a place that must stand still, too
_LEAST_STILL = 0.001  # of all places; with fewer, nothing is said of them

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class FilmScores:
    """How close an enlarged film is to the truth, and how much it flickers.

    Attributes:
        psnr_y, tpsnr_y: dB, of the mean squared error over all frames, and over all differences of neighbours; infinite
            where they are equal, None without a truth.
        still_change: root of the mean squared change of the luma from frame to frame, in levels of 255, where the film
            that was enlarged stands still; None if it hardly does anywhere.
        still_share: of all places, those.
    """

    psnr_y: float | None
    tpsnr_y: float | None
    still_change: float | None
    still_share: float


@dataclass
class _Sums:
    """Squared errors of one model, summed up frame by frame."""

    error: float = 0.0
    change_error: float = 0.0
    still: float = 0.0
    still_places: int = 0
    places: int = 0
    frames: int = 0
    before: Plane | None = None

    def add(self, shown: Plane, truth: Plane | None, truth_before: Plane | None, still: NDArray[np.bool_]) -> None:
        """A frame's luma."""
        if truth is not None:
            self.error += float(np.mean(np.square(shown - truth)))
        if self.before is not None:
            change = shown - self.before
            if truth is not None and truth_before is not None:
                self.change_error += float(np.mean(np.square(change - (truth - truth_before))))
            self.still += float(np.sum(np.square(change[still])))
            self.still_places += int(still.sum())
            self.places += still.size
        self.frames += 1
        self.before = shown

    def scores(self, *, has_truth: bool) -> FilmScores:
        """What they come to."""
        share = self.still_places / self.places
        return FilmScores(
            _decibels(self.error / self.frames) if has_truth else None,
            _decibels(self.change_error / (self.frames - 1)) if has_truth else None,
            math.sqrt(self.still / self.still_places) if share >= _LEAST_STILL else None,
            share,
        )


def _decibels(error: float) -> float:
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def measured(
    film: Film,
    models: Mapping[str, Enlarge],
    *,
    scale: int,
    start: Fraction = Fraction(0),
    length: Fraction | None = None,
    has_truth: bool = True,
) -> Generator[int, None, dict[str, FilmScores]]:
    """Bicubic and every model over the frames of a film in 8 bits; yields how many frames are done.

    Args:
        has_truth: whether the film is the truth, so that MATLAB's bicubic makes the small frames from it; else it is
            the small film itself.

    Raises:
        InputError: it cannot be read, or has one frame only.
    """
    every = {BICUBIC: bicubic(scale), **models}
    sums = {name: _Sums() for name in ((TRUTH, *every) if has_truth else every)}
    conversion = Conversion(film.colors, deep=False)
    small_before: Pixels | None = None
    truth_before: Plane | None = None
    number = 0
    for number, moment in enumerate(moments(film, Found(), start=start, length=length, deinterlace=False), start=1):
        frame = np.asarray(conversion.to_rgb(moment.frame), np.uint8)
        frame = modcrop(frame, scale) if has_truth else frame
        small = np.asarray(imresize(frame, 1 / scale), np.uint8) if has_truth else frame
        still = _still(small_before, small, scale)
        truth = _luma(frame, scale) if has_truth else None
        for name, total in sums.items():
            shown = truth if name == TRUTH and truth is not None else _luma(every[name](small), scale)
            total.add(shown, truth, truth_before, still)
        small_before, truth_before = small, truth
        yield number
    if number < 2:
        raise InputError(f"cannot measure {film.path}: one frame does not flicker", hint="take a longer part of it")
    return {name: total.scores(has_truth=has_truth) for name, total in sums.items()}


def _luma(pixels: Pixels, border: int) -> Plane:
    plane, _ = inside(luma(pixels), luma(pixels), border=border)
    return plane


def _still(before: Pixels | None, small: Pixels, scale: int) -> NDArray[np.bool_]:
    """Where the small film stands still, as large as the result without its border."""
    if before is None:
        return np.zeros((1, 1), np.bool_)
    off = (np.maximum(before, small) - np.minimum(before, small)).max(axis=2)
    side = 2 * _REACH + 1
    moves = cv2.dilate((off > _STILL).astype(np.uint8), np.ones((side, side), np.uint8))
    still: NDArray[np.bool_] = np.repeat(np.repeat(moves == 0, scale, axis=0), scale, axis=1)
    return still[scale:-scale, scale:-scale]
