"""Moving pictures: every frame of a GIF, WebP, PNG or AVIF with its time and the loop, read and written."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hatcli.errors import InputError
from hatcli.image import decode, encode, metadata, opening, samples, saving
from hatcli.image.codecs import apng, avif, gif, gif_writer, webp_animation
from hatcli.image.codecs.reader import PillowReader
from hatcli.image.codecs.writer import in_color, stacked
from hatcli.image.formats import DamageError
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples, split_alpha
from hatcli.image.readers import open_reader

FORMATS = ("GIF", "WEBP", "PNG", "AVIF")


@dataclass(frozen=True)
class Animation:
    """The frames of one file.

    Attributes:
        frames: whole pictures of one size, with alpha all or none; profile and metadata are the first one's.
        durations: milliseconds each is shown; as a fraction where they are known exactly.
        loops: how often it plays; 0: for ever.
        still: what a PNG shows where nothing moves, if that is none of its frames.
    """

    frames: tuple[Picture, ...]
    durations: tuple[float | Fraction, ...]
    loops: int
    still: Picture | None = None


@dataclass(frozen=True)
class Moving:
    """A file that moves, its header read; its frames come one after the other, as often as they are asked for.

    Attributes:
        first: the picture that the bytes were decoded from.
        count: of the frames, the still one included.
        has_still: whether the first is what a PNG shows where nothing moves, and no frame.
    """

    data: bytes
    first: Picture
    count: int
    loops: int
    has_still: bool
    name: str
    max_pixels: int

    def frames(self) -> Iterator[tuple[Samples, float]]:
        """Each upright frame, `[H, W, 4]`, RGB and straight alpha, and its milliseconds.

        Raises:
            InputError: one of them is damaged.
        """
        format = self.first.format
        with opening.explained(self.name, format), opening.pillow_limit(self.max_pixels):
            reader = _opened(self.data, format, self.name, self.max_pixels)
            info = reader.information()
            turn = metadata.find_orientation(metadata.find_exif(info), metadata.find_xmp(info))
            shown: Iterator[tuple[Samples, float]]
            if format == "PNG":
                shown = _png_frames(self.data, self.first, self.count, self.has_still, self.name)
            elif format == "GIF":
                shown = gif.frames(self.data, reader.image.size)
            else:
                shown = _frames(reader.image, self.count)
            for plane, duration in shown:
                yield samples.upright(plane, turn), duration


def _opened(data: bytes, format: str, name: str, max_pixels: int) -> PillowReader:
    reader = open_reader(data, format, name=name, max_pixels=max_pixels)
    assert isinstance(reader, PillowReader), "Pillow opens all formats that move"
    return reader


def moving(data: bytes, first: Picture, *, name: str, max_pixels: int) -> Moving | None:
    """What moves in the bytes that `first` was decoded from; None if they hold a single frame, or pages.

    Raises:
        InputError: it has too many frames.
    """
    if first.format not in FORMATS:
        return None
    with opening.explained(name, first.format), opening.pillow_limit(max_pixels):
        reader = _opened(data, first.format, name, max_pixels)
        image, count = reader.image, reader.count_frames(max_pixels=max_pixels)
        has_still = bool(image.info.get("default_image"))
        if count - has_still < 2:
            return None
        if count > opening.MOST_FRAMES:
            raise InputError(
                f"cannot read {name}: it has more than {opening.MOST_FRAMES} frames",
                hint="--frames first enlarges the first one",
            )
        return Moving(data, first, count, _loops(image, first.format), has_still, name, max_pixels)


def read(data: bytes, first: Picture, *, name: str, max_pixels: int) -> Animation | None:
    """The animation in the bytes that `first` was decoded from; None if they hold a single frame, or pages.

    Raises:
        InputError: a later frame is damaged, or all frames together have more than `max_pixels` pixels.
    """
    found = moving(data, first, name=name, max_pixels=max_pixels)
    if found is None:
        return None
    if found.count * first.width * first.height > max_pixels:
        raise InputError(
            f"cannot read {name}: {found.count} frames of {first.width} x {first.height} are over the limit of "
            f"{max_pixels / 1e6:.1f} megapixels",
            hint="raise the limit, or enlarge the first frame alone: --frames first",
        )
    shown = list(found.frames())
    planes = [plane for plane, _ in shown]
    durations = [duration for _, duration in shown]
    peak = np.iinfo(planes[0].dtype).max
    whole = all(bool((frame[..., 3] == peak).all()) for frame in planes)
    like = replace(first, icc=None if first.is_gray else first.icc, notes=_without_frame_note(first.notes))
    frames = []
    for frame in planes:
        pixels, alpha = split_alpha(frame)
        frames.append(replace(like, pixels=pixels, alpha=None if whole else alpha))
    still = frames.pop(0) if found.has_still else None
    return Animation(tuple(frames), tuple(durations[found.has_still :]), found.loops, still)


def _frames(image: Image.Image, count: int) -> Iterator[tuple[Samples, float]]:
    """Each frame as Pillow shows it `[H, W, 4]`, and its milliseconds."""
    for number in range(count):
        image.seek(number)
        yield np.asarray(image.convert("RGBA")), float(image.info.get("duration", 0) or 0)


def _png_frames(data: bytes, first: Picture, count: int, has_still: bool, name: str) -> Iterator[tuple[Samples, float]]:
    """The same of a PNG; `count` of them, the still one in front if there is one."""

    def decoded(still: bytes) -> Samples:
        picture = decode.decode(still, name=name, max_pixels=first.width * first.height)
        return _with_alpha(picture.pixels, picture.alpha)

    if has_still:
        yield _with_alpha(first.pixels, first.alpha), 0.0
    missing = count - has_still
    for frame in apng.frames(data, decoded, most=missing):
        yield frame
        missing -= 1
    if missing:
        raise DamageError("the file is cut off")


def _with_alpha(pixels: Samples, alpha: Samples | None) -> Samples:
    """Samples `[H, W, 1 or 3]` as `[H, W, 4]`."""
    colors: Any = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
    opaque: Any = np.full(pixels.shape[:2], np.iinfo(pixels.dtype).max, pixels.dtype)
    joined: NDArray[Any] = np.concatenate([colors, (opaque if alpha is None else alpha)[..., None]], axis=2)
    return joined


def _loops(image: Image.Image, format: str) -> int:
    """How often it plays; a GIF that says nothing plays once, and says how often it plays *again* otherwise."""
    said = image.info.get("loop")
    if format == "GIF":
        return 1 if said is None else int(said) + 1 if said else 0
    return int(said or 0)


def _without_frame_note(notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(note for note in notes if not (note.startswith("first of") and note.endswith("frames")))


def write_into(
    file: BinaryIO, frames: Iterator[Picture], like: Animation, *, format: str, options: EncodeOptions
) -> list[str]:
    """Encode frames into an open file that can seek, each as it comes (AVIF: all at the end).

    Args:
        frames: the enlarged frames; if `like` has a still, that one comes first.
        like: durations and loop.
        format: one of `FORMATS`.

    Returns:
        A sentence for each thing the format could not hold.
    """
    first = next(frames)
    still, first = (first, next(frames)) if like.still is not None else (None, first)
    notes = encode.check_format(
        format,
        width=first.width,
        height=first.height,
        bits=first.bits,
        alpha=first.alpha is not None,
        gray=False,
        options=options,
        light=first.light,
    )
    with saving.explained(format):
        shown = saving.passed_on(itertools.chain([first], frames))
        if format == "GIF":
            gif_writer.write(file, zip(shown, like.durations, strict=True), loops=like.loops, is_animated=True)
        elif format == "PNG":
            head, _ = encode.carried(still or first, width=first.width, height=first.height, options=options)
            moments = zip(shown, like.durations, strict=True)
            apng.write(file, moments, head, still, count=len(like.durations), loops=like.loops, options=options)
        elif format == "WEBP":
            head, _ = encode.carried(first, width=first.width, height=first.height, options=options)
            webp_animation.write(file, zip(shown, like.durations, strict=True), head, loops=like.loops, options=options)
        else:
            _write_avif(file, shown, like, options)
    if still is not None and format != "PNG":
        notes.append("the still picture beside the frames is left out")
    if format == "AVIF" and like.loops:
        notes.append("AVIF does not say how often it plays: it will play for ever")
    return notes


def _write_avif(file: BinaryIO, frames: Iterable[Picture], like: Animation, options: EncodeOptions) -> None:
    images: list[Image.Image] = []
    first: Picture | None = None
    for frame in frames:
        first = first or encode.carried(frame, width=frame.width, height=frame.height, options=options)[0]
        images.append(Image.fromarray(stacked(in_color(frame))))
    assert first is not None, "an animation has frames"
    keywords = avif.animation_keywords(first, options)
    durations = [round(duration) for duration in like.durations]
    saved = saving.saved(
        images[0], "AVIF", save_all=True, append_images=images[1:], duration=durations, loop=like.loops, **keywords
    )
    file.write(saved)
