"""Animated pictures as films: the frames of a GIF, PNG, WebP or AVIF one after the other, each with its exact time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hatcli.errors import InputError
from hatcli.image import animation, color, decode
from hatcli.image.picture import Samples, eight_bits
from hatcli.video.colors import LIMITED, Colors
from hatcli.video.film import Film
from hatcli.video.opening import library

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_UNSAID = Fraction(1, 10)  # seconds that a frame is shown for which says 0, as in browsers
_MOST_DENOMINATOR = 65535  # of a frame's seconds, as PNG has them
_MOST_TICKS = 1_000_000  # in a second
_SRGB = Colors(primaries=1, transfer=13, matrix=1, range=LIMITED)
_BT2020_MATRIX = 9


def probe(path: Path, *, max_pixels: int) -> Film:
    """What the animated picture in a file is as a film; all of its frames are looked at.

    Raises:
        InputError: it cannot be read, or does not move.
    """
    moving = _moving(path, max_pixels)
    first, durations, has_alpha, unsaid = moving.first, [], False, 0
    for samples, duration in _only_frames(moving):
        seconds = Fraction(duration / 1000).limit_denominator(_MOST_DENOMINATOR)
        unsaid += not seconds
        durations.append(seconds or _UNSAID)
        has_alpha = has_alpha or bool((samples[..., 3] < np.iinfo(samples.dtype).max).any())
    total = sum(durations, Fraction(0))
    is_deep = first.bits > 8 and first.icc is None
    colors = _SRGB
    if first.light is not None:
        colors = Colors(first.light.primaries, first.light.transfer, _BT2020_MATRIX, LIMITED)
    return Film(
        path=path,
        stream=0,
        width=first.width,
        height=first.height,
        time_base=Fraction(1, min(_MOST_TICKS, math.lcm(*(seconds.denominator for seconds in durations)))),
        rate=Fraction(len(durations)) / total,
        seconds=float(total),
        frames=len(durations),
        pixel_format="rgb48le" if is_deep else "rgb24",
        bits=16 if is_deep else 8,
        colors=colors,
        aspect=None,
        matrix=None,
        mastering=None,
        light=None,
        interlaced=False,
        notes=tuple(_notes(moving, unsaid)),
        alpha=has_alpha,
        durations=tuple(durations),
    )


def _notes(moving: animation.Moving, unsaid: int) -> Iterator[str]:
    first = moving.first
    if moving.loops != 1:
        often = "for ever" if moving.loops == 0 else f"{moving.loops} times"
        yield f"it plays {often}, which a film does not say: it plays once"
    if unsaid:
        yield f"frames that say no time: {unsaid}; they are shown for {float(_UNSAID):g} s, as in browsers"
    if moving.has_still:
        yield "the still picture beside the frames is left out"
    if first.icc is not None:
        yield "its colour profile is applied: the film is sRGB, in 8 bits"
    if first.exif is not None or first.xmp is not None:
        yield "films hold no EXIF and no XMP: they are left out"


def frames(film: Film) -> Iterator[tuple[VideoFrame, int, int]]:
    """Each frame, RGB or with transparency RGBA, its time and its duration in ticks.

    Raises:
        InputError: it cannot be read any more.
    """
    av = library()
    moving = _moving(film.path, film.width * film.height)
    icc, time = moving.first.icc, Fraction(0)
    if moving.count - moving.has_still != film.frames:
        raise InputError(f"cannot read {film.path}: it was changed while it was enlarged")
    for (samples, _), seconds in zip(_only_frames(moving), film.durations or (), strict=True):
        begin, end = (round(moment / film.time_base) for moment in (time, time + seconds))
        block: Any = samples if film.alpha else samples[..., :3]
        if not film.is_deep:
            block = eight_bits(block)
        if icc is not None:
            shown = np.asarray(color.rgb_to_srgb(Image.fromarray(block[..., :3]), icc))
            block = np.concatenate([shown, block[..., 3:]], axis=2)
        frame: VideoFrame = av.VideoFrame.from_ndarray(np.ascontiguousarray(block), format=film.samples)
        yield frame, begin, end - begin
        time += seconds


def _moving(path: Path, max_pixels: int) -> animation.Moving:
    data = decode.read_bytes(path, max_pixels=max_pixels)
    first = decode.decode(data, name=str(path), max_pixels=max_pixels)
    found = animation.moving(data, first, name=str(path), max_pixels=max_pixels)
    if found is None:
        raise InputError(
            f"cannot read {path}: it is a still picture, and no film can be made of it",
            hint="end the output in .png, or another ending of pictures",
        )
    return found


def _only_frames(moving: animation.Moving) -> Iterator[tuple[Samples, float]]:
    shown = moving.frames()
    if moving.has_still:
        next(shown)
    return shown
