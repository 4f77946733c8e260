"""A film's segments to an animated picture: upright, of square pixels, timed as exactly as the format allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from hatcli.errors import UsageError
from hatcli.image import animation, encode, formats, light, profiles
from hatcli.image.codecs import apng
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples, split_alpha
from hatcli.upscaling.size import SizePlan
from hatcli.video.colors import Conversion
from hatcli.video.encoding import Encoding, lossless
from hatcli.video.film import Film
from hatcli.video.opening import library, opened
from hatcli.video.options import FilmOptions
from hatcli.video.segments import Segments

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

FORMATS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
_UNITS = {"GIF": Fraction(1, 100), "WEBP": Fraction(1, 1000)}  # seconds that times are counted in
_LEAST = {"GIF": 2}  # units: browsers show what is shorter for ten times as long
_MOST = {"GIF": 65535, "WEBP": (1 << 24) - 1}  # units
_TITLES = {"audio": "sound", "subtitle": "subtitles", "attachment": "attachments", "video": "another picture stream"}


@dataclass(frozen=True)
class Shown:
    """A frame of the result: the number of the film's frame that it is, and for how many seconds it is seen."""

    number: int
    seconds: Fraction


def choose(
    film: Film, size: SizePlan, wished: FilmOptions, options: EncodeOptions, *, ending: str
) -> tuple[Encoding, list[str]]:
    """How the film is kept until the picture is written, and a sentence for each thing that is lost.

    Raises:
        UsageError: an option is for films alone.
        OutputError: the format cannot hold it.
    """
    title = formats.title(FORMATS[ending])
    given = {"--codec": wished.codec, "--crf": wished.crf, "--pixel-format": wished.pixel_format}
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} is of films, and {title} is none", hint=f"leave it out, or write {'.mp4'}")
    encoding = lossless(film, size, deep=film.is_deep and FORMATS[ending] == "PNG")
    width, height = shape(encoding)
    notes = encode.check_format(
        FORMATS[ending],
        width=width,
        height=height,
        bits=16 if film.is_deep else 8,
        alpha=encoding.has_alpha,
        gray=False,
        options=options,
        light=light.of_codes(film.colors.primaries, film.colors.transfer),
    )
    if (width, height) not in ((size.width, size.height), (size.height, size.width)):
        notes.append(f"its pixels are {_colon(encoding.aspect)}: made square, {width} x {height}")
    if left_out := _left_out(film):
        notes.append(f"{title} holds pictures alone: {left_out} left out")
    return encoding, notes


def _colon(aspect: Fraction | None) -> str:
    return "" if aspect is None else f"{aspect.numerator}:{aspect.denominator}"


def _left_out(film: Film) -> str:
    """What else a film has, in words."""
    with opened(film.path) as source:
        kinds = Counter(_TITLES.get(stream.type, "data") for stream in source.streams if stream.index != film.stream)
        chapters = ["chapters"] if source.chapters() else []
    return ", ".join([*(f"{title} ({count})" if count > 1 else title for title, count in kinds.items()), *chapters])


def shape(encoding: Encoding) -> tuple[int, int]:
    """The result's width and height, its pixels square and turned upright."""
    width, height = _square(encoding)
    turns, _ = orientation(encoding.film.matrix)
    return (height, width) if turns % 2 else (width, height)


def _square(encoding: Encoding) -> tuple[int, int]:
    width, height, aspect = encoding.width, encoding.height, encoding.aspect or Fraction(1)
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))


def orientation(matrix: tuple[int, ...] | None) -> tuple[int, bool]:
    """Quarter turns to the left after mirroring left and right, if it is mirrored, nearest to a display matrix."""
    if matrix is None:
        return 0, False
    a, b, c, d = (matrix[at] for at in (0, 1, 3, 4))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    if abs(a) >= abs(b):
        return (0 if a >= 0 else 2), mirrored
    return (3 if b > 0 else 1), mirrored


def timed(times: list[int], end: int, time_base: Fraction, format: str) -> list[Shown]:
    """Which frames are shown and for how long: each begins as near to its time as the format can say, without drift.

    Args:
        times: when each frame is shown, in ticks, in their order.
        end: when the last one ends.
    """
    begun = [(time - times[0]) * time_base for time in [*times, end]]
    if format == "PNG":
        return list(_fractions(begun))
    unit, least, most = _UNITS[format], _LEAST.get(format, 1), _MOST[format]
    units = [round(moment / unit) for moment in begun]
    kept: list[int] = []
    for number, at in enumerate(units[:-1]):
        if not kept or at - units[kept[-1]] >= least:
            kept.append(number)
    shown = []
    for number, following in zip(kept, [*kept[1:], len(times)], strict=True):
        left = max(units[following] - units[number], least)
        while left > 0:  # longer than the format can say: again and again
            shown.append(Shown(number, min(left, most) * unit))
            left -= most
    return shown


def _fractions(begun: list[Fraction]) -> Iterator[Shown]:
    said = Fraction(0)
    for number, end in enumerate(begun[1:]):
        seconds = apng.representable(max(end - said, Fraction(1, 1000)))
        said += seconds
        yield Shown(number, seconds)


def write(
    film: Film, encoding: Encoding, segments: Segments, file: BinaryIO, *, ending: str, options: EncodeOptions
) -> list[str]:
    """Write the picture, frame by frame; a sentence for each thing that came out otherwise.

    Raises:
        OutputError: the format's encoder fails.
    """
    format = FORMATS[ending]
    times = sorted(time for number in sorted(segments.finished) for time in segments.finished[number].times)
    last = segments.finished[max(segments.finished)].last_duration
    step = last or (times[-1] - times[-2] if len(times) > 1 else round(1 / (film.rate * film.time_base)) or 1)
    shown = timed(times, times[-1] + step, film.time_base, format)
    like = animation.Animation((), tuple(1000 * one.seconds for one in shown), loops=0)
    pictures = _pictures(film, encoding, segments, shown)
    animation.write_into(file, pictures, like, format=format, options=options)
    left_out = len(times) - len({one.number for one in shown})
    if not left_out:
        return []
    return [f"{formats.title(format)} shows 50 frames a second at most: {left_out} of {len(times)} are left out"]


def _pictures(film: Film, encoding: Encoding, segments: Segments, shown: list[Shown]) -> Iterator[Picture]:
    colors = film.colors
    profile = profiles.of_codes(colors.primaries, colors.transfer)
    glow = light.of_codes(colors.primaries, colors.transfer)
    wanted = iter(shown)
    one = next(wanted, None)
    for number, frame in enumerate(_decoded(encoding, segments)):
        while one is not None and one.number == number:
            pixels, alpha = _upright(frame, encoding)
            yield Picture(pixels, alpha, icc=profile, light=glow, format="PNG")
            one = next(wanted, None)


def _decoded(encoding: Encoding, segments: Segments) -> Iterator[VideoFrame]:
    """The frames of all segments, which were kept without loss."""
    av = library()
    decoder: Any = av.CodecContext.create(encoding.encoder, "r")
    decoder.extradata = encoding.opened().extradata
    decoder.width, decoder.height, decoder.pix_fmt = encoding.width, encoding.height, encoding.pixel_format
    decoder.thread_type = "SLICE"
    for coded in segments.packets():
        yield from decoder.decode(av.Packet(coded.data))
    yield from decoder.decode(None)


def _upright(frame: VideoFrame, encoding: Encoding) -> tuple[Samples, Samples | None]:
    width, height = _square(encoding)
    deep = encoding.is_deep
    block: Any = Conversion(encoding.colors, deep=deep, alpha=encoding.has_alpha).to_rgb(frame, width, height)
    turns, mirrored = orientation(encoding.film.matrix)
    if mirrored:
        block = block[:, ::-1]
    block = np.ascontiguousarray(np.rot90(block, turns))
    return split_alpha(block) if encoding.has_alpha else (block, None)
