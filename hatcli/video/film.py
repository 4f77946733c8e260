"""What a film is, told from its headers and first frames; nothing is enlarged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatcli.errors import InputError
from hatcli.video.colors import Colors, has_alpha, samples_format
from hatcli.video.covers import is_cover
from hatcli.video.opening import library, opened

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SUFFIXES = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".ts",
        ".m2ts",
        ".mts",
        ".mpg",
        ".mpeg",
        ".vob",
        ".wmv",
        ".asf",
        ".flv",
        ".ogv",
        ".3gp",
        ".3g2",
        ".mxf",
        ".dv",
        ".nut",
        ".h264",
        ".264",
        ".h265",
        ".265",
        ".hevc",
        ".ivf",
        ".y4m",
    ]
)
_FIRST_FRAMES = 12  # that are decoded to see what they are
_USUAL_RATE = Fraction(25)
_MOST_DAMAGED = 1000  # packets that no decoder takes, one after the other, after which the rest is given up


@dataclass(frozen=True)
class Film:
    """A film.

    Attributes:
        stream: the index of its picture stream.
        width, height: of the stored frames, before any rotation, in pixels.
        time_base: seconds a tick of its times.
        rate: frames a second, on average.
        seconds: how long it is, or 0 if it does not say.
        frames: how many it has, or about; 0 if it does not say.
        pixel_format: libav's name.
        bits: of a sample.
        aspect: of a pixel, width to height; None if it does not say.
        matrix: nine numbers of the display matrix, if it is to be turned or mirrored.
        mastering, light: libav's records of the mastering display and the content light level.
        interlaced: whether its frames are woven of two fields.
        notes: what is lost, a sentence each.
        alpha: whether anything in it is transparent.
        durations: seconds that each frame of an animated picture is shown; None: it is a film.
    """

    path: Path
    stream: int
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    seconds: float
    frames: int
    pixel_format: str
    bits: int
    colors: Colors
    aspect: Fraction | None
    matrix: tuple[int, ...] | None
    mastering: bytes | None
    light: bytes | None
    interlaced: bool
    notes: tuple[str, ...]
    alpha: bool = False
    durations: tuple[Fraction, ...] | None = None

    @property
    def is_animation(self) -> bool:
        """Whether it is an animated picture, with nothing beside its frames."""
        return self.durations is not None

    @property
    def samples(self) -> str:
        """Libav's name of RGB that holds all of a frame."""
        return samples_format(deep=self.is_deep, alpha=self.alpha)

    @property
    def is_deep(self) -> bool:
        """Whether 8 bits would not hold it."""
        return self.bits > 8


def is_film(path: Path) -> bool:
    """Whether its name is that of a film."""
    return path.suffix.lower() in SUFFIXES


def probe(path: Path) -> Film:
    """What the film in a file is.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    with opened(path) as container:
        stream = picture_stream(container, path)
        frames = list(islice(decoded(container, stream), _FIRST_FRAMES))
        if not frames:
            raise InputError(f"cannot read {path}: there is no frame in it", hint="the film is empty or cut off")
        return _described(path, container, stream, frames)


def decoded(
    container: InputContainer, stream: VideoStream, on_damage: Callable[[], object] = lambda: None
) -> Iterator[VideoFrame]:
    """All frames; packets that cannot be decoded are passed over, and those that hold nothing repeat a frame."""
    error = library().error
    failures = 0
    packets = container.demux(stream)
    while failures < _MOST_DAMAGED:
        try:
            packet = next(packets, None)
        except error.FFmpegError:
            on_damage()
            return
        if packet is None:
            return
        if packet.size == 0 and packet.dts is not None:  # the frame before is shown on; at the end there is one without
            continue
        try:
            frames = packet.decode()
            failures = 0
        except (error.FFmpegError, ValueError, EOFError):
            on_damage()
            failures += 1
            continue
        yield from frames


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that is enlarged: the first one that moves.

    Raises:
        InputError: there is none, or nobody can decode it.
    """
    moving = [stream for stream in container.streams.video if not is_cover(stream)]
    if not moving:
        raise InputError(f"cannot read {path}: there are no moving pictures in it", hint="it holds sound alone")
    if moving[0].codec_context is None:
        raise InputError(f"cannot read {path}: there is no decoder for its pictures")
    return moving[0]


def _described(path: Path, container: InputContainer, stream: VideoStream, frames: list[Any]) -> Film:
    first, time_base = frames[0], stream.time_base or Fraction(1, 1000)
    if not first.width or not first.height:
        raise InputError(f"cannot read {path}: its frames have no size")
    rate = stream.average_rate or stream.guessed_rate or _USUAL_RATE
    rate = rate if Fraction(1, 1000) < rate <= 1000 else _USUAL_RATE
    ticks = stream.duration
    seconds = float(ticks * time_base) if ticks else (container.duration or 0) / 1e6
    format = first.format
    side = {data.type.name: bytes(data) for data in first.side_data}
    matrix = side.get("DISPLAYMATRIX")
    woven = stream.codec_context.field_order in (2, 3, 4, 5)
    notes = _losses(container, stream, side)
    return Film(
        path=path,
        stream=stream.index,
        width=first.width,
        height=first.height,
        time_base=time_base,
        rate=Fraction(rate),
        seconds=max(0.0, seconds),
        frames=stream.frames or round(seconds * rate),
        pixel_format=format.name,
        bits=max((part.bits for part in format.components), default=8),
        colors=_colors(first),
        aspect=stream.sample_aspect_ratio or None,
        matrix=None if matrix is None else tuple(memoryview(matrix).cast("i")),
        mastering=side.get("MASTERING_DISPLAY_METADATA"),
        light=side.get("CONTENT_LIGHT_LEVEL"),
        interlaced=woven or any(frame.interlaced_frame for frame in frames),
        notes=tuple(notes),
        alpha=has_alpha(format.name),
    )


def _colors(frame: Any) -> Colors:
    full = frame.format.name.startswith("yuvj")
    range = 2 if full else int(frame.color_range)
    return Colors(int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace), range)


def _losses(container: InputContainer, stream: VideoStream, side: dict[str, bytes]) -> list[str]:
    """What of a film does not survive, or stays small, a sentence each."""
    notes = []
    if {"DYNAMIC_HDR_PLUS", "DOVI_METADATA", "DOVI_RPU_BUFFER", "DYNAMIC_HDR_VIVID"} & side.keys():
        notes.append("its dynamic HDR metadata, which belongs to single frames, is left out; the static one is kept")
    data = [str(other.index) for other in container.streams if other.type in ("data", "unknown")]
    if data:
        notes.append(f"data stream{'s' * (len(data) > 1)} {', '.join(data)} left out")
    for other in container.streams.subtitles:
        if other.codec_context is not None and other.codec_context.codec.bitmap_sub:
            notes.append(f"subtitle stream {other.index} is of pictures, which keep their size")
    second = [other for other in container.streams.video if other.index != stream.index]
    if any(not is_cover(other) for other in second):
        notes.append("only its first picture stream is enlarged; others are copied as they are")
    return notes
