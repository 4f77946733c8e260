"""Segments and everything else of the source to one film, without encoding anything again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hatcli.errors import HatError, OutputError, UsageError
from hatcli.video import covers
from hatcli.video.encoding import Encoding
from hatcli.video.film import Film
from hatcli.video.opening import library, opened
from hatcli.video.segments import Coded, Segments

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

MUXERS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "webm"}
_MUXERS_OWN = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
_COUNTED = ("duration", "bps", "number_of_", "_statistics", "encoder")  # of the stream that is not what it was
_MUXING = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}  # sound may begin before zero; nothing is shifted
_MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True)
class Part:
    """What part of the source is joined: seconds from time zero of its file; `end` None: to the end."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None


def check(film: Film, encoding: Encoding, ending: str) -> list[str]:
    """Refuse what the container cannot hold, by writing a header to nowhere; sentences about what it changes.

    Raises:
        UsageError: naming the stream.
    """
    with _source(film) as source, library().open(io.BytesIO(), "w", format=MUXERS[ending]) as made:
        _laid_out(source, made, film, encoding, ending, Part())
        _begun(made, ending)
    if ending in (".mkv", ".webm") and _MILLISECOND / film.time_base % 1 and film.time_base % _MILLISECOND:
        return [f"{ending} keeps times in whole milliseconds: frames move by less than half of one; .mp4 keeps them"]
    if ending in (".mkv", ".webm") and film.time_base < _MILLISECOND:
        return [f"{ending} keeps times in whole milliseconds, where the source has finer ones; .mp4 keeps them"]
    return []


def join(film: Film, encoding: Encoding, segments: Segments, file: BinaryIO, *, ending: str, part: Part) -> None:
    """Write the film.

    Raises:
        OutputError: it cannot be written.
        InputError: the source cannot be read any more.
    """
    av = library()
    times = [time for number in sorted(segments.finished) for time in segments.finished[number].times]
    pictures = _timed(segments, times, round(part.start / film.time_base))
    with _source(film) as source:
        made = av.open(file, "w", format=MUXERS[ending], container_options=_MUXING)
        try:
            stream, copies = _laid_out(source, made, film, encoding, ending, part)
            _begun(made, ending)
            _merge(source, made, stream, copies, pictures, film, part)
            made.close()
        except HatError:
            raise
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error.__context__, OSError) and error.__context__.errno:
                raise error.__context__ from error
            raise OutputError(
                f"the film cannot be joined: {getattr(error, 'strerror', None) or error}", hint="try -o with .mkv"
            ) from error


@contextmanager
def _source(film: Film) -> Iterator[InputContainer | None]:
    """Where everything but the pictures comes from; None: there is nothing else."""
    if film.is_animation:
        yield None
        return
    with opened(film.path) as container:
        yield container


def _laid_out(
    source: InputContainer | None, made: OutputContainer, film: Film, encoding: Encoding, ending: str, part: Part
) -> tuple[VideoStream, dict[int, Stream]]:
    """All streams of the result, in the order of the source."""
    copies: dict[int, Stream] = {}
    if source is None:
        return _picture_stream(made, None, encoding, ending), copies
    picture: Any = None
    for stream in source.streams:
        if stream.index == film.stream:
            picture = _picture_stream(made, stream, encoding, ending)
        elif covers.is_cover(stream) and ending == ".mkv":
            covers.attach(made, film.path, stream)
        elif stream.type not in ("data", "unknown"):
            copies[stream.index] = _copied(made, stream, ending)
    made.metadata.update({key: value for key, value in source.metadata.items() if key.lower() not in _MUXERS_OWN})
    if (chapters := _chapters(source, part)) is not None:
        made.set_chapters(chapters)
    return picture, copies


def _picture_stream(made: OutputContainer, like: Any, encoding: Encoding, ending: str) -> VideoStream:
    try:
        stream: Any = made.add_stream(encoding.encoder, rate=encoding.film.rate)
    except ValueError as error:
        raise UsageError(
            f"{ending} cannot hold {encoding.encoder}", hint="write .mkv, or choose another --codec"
        ) from error
    encoding.set_up(stream.codec_context)
    stream.time_base = encoding.film.time_base
    if encoding.film.matrix is not None:
        stream.set_display_matrix(encoding.film.matrix)
    if like is not None:
        own = {key: value for key, value in like.metadata.items() if not key.lower().startswith(_COUNTED)}
        stream.disposition = like.disposition
        stream.metadata.update(own)
    picture: VideoStream = stream
    return picture


def _copied(made: OutputContainer, like: Any, ending: str) -> Stream:
    what = f"stream {like.index} ({like.type})"
    if like.type == "attachment" and ending != ".mkv":
        raise UsageError(f"{ending} cannot hold {what}", hint="write .mkv, which holds everything")
    try:
        stream: Stream = made.add_stream_from_template(like, opaque=True)
    except (ValueError, AttributeError) as error:
        codec = like.codec_context.name if like.codec_context is not None else "of an unknown kind"
        raise UsageError(f"{ending} cannot hold {what}, {codec}", hint=_hint(like)) from error
    stream.disposition = like.disposition
    stream.metadata.update(like.metadata)
    return stream


def _hint(like: Any) -> str:
    """What to do with a stream that a container cannot hold."""
    for ending, muxer in MUXERS.items():
        with suppress(ValueError, AttributeError), library().open(io.BytesIO(), "w", format=muxer) as other:
            other.add_stream_from_template(like, opaque=True)
            return f"write {ending}"
    coder = {"audio": "-c:a flac", "subtitle": "-c:s srt"}.get(like.type)
    if coder is None:
        return "leave it out first: ffmpeg -i FILM -map 0:v:0 -map 0:a -c copy film.mkv"
    return f"no film that hat writes can; change it first: ffmpeg -i FILM -map 0 -c copy {coder} film.mkv"


def _begun(made: OutputContainer, ending: str) -> None:
    """The header written."""
    error = library().error
    try:
        made.start_encoding()
    except error.FFmpegError as failure:
        raise UsageError(
            f"{ending} cannot hold this film: {(failure.strerror or str(failure)).lower()}",
            hint="write .mkv" if ending != ".mkv" else "choose another --codec",
        ) from failure


def _timed(segments: Segments, times: list[int], shift: int) -> Iterator[tuple[Coded, int, int]]:
    """Each packet with its time of decoding and its duration.

    Times of decoding are the times of showing, later by as many frames as the encoder turned around at most.
    """
    shown = sorted(times)
    rank = {time: place for place, time in enumerate(shown)}
    delay = max((place - rank[time] for place, time in enumerate(times)), default=0)
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    for place, coded in enumerate(segments.packets()):
        early = delay - place
        decoded = shown[0] - early * step if early > 0 else shown[place - delay]
        at = rank[coded.time]
        duration = shown[at + 1] - coded.time if at + 1 < len(shown) else coded.duration or step
        yield Coded(coded.time - shift, duration, coded.is_key, coded.data), decoded - shift, duration


def _merge(
    source: InputContainer | None,
    made: OutputContainer,
    stream: VideoStream,
    copies: dict[int, Stream],
    pictures: Iterator[tuple[Coded, int, int]],
    film: Film,
    part: Part,
) -> None:
    """Packets of all streams in the order of their times."""
    waiting = next(pictures, None)
    wanted = (
        [copy.index for copy in source.streams if copy.index in copies and copy.type != "attachment"] if source else []
    )
    for packet in source.demux(*(source.streams[index] for index in wanted)) if source and wanted else ():
        if packet.size == 0 or not (moment := _cut(packet, part)):
            continue
        while waiting is not None and waiting[1] * film.time_base <= moment[0]:
            made.mux_one(_packet(waiting, stream, film))
            waiting = next(pictures, None)
        packet.stream = copies[packet.stream_index]
        made.mux_one(packet)
    while waiting is not None:
        made.mux_one(_packet(waiting, stream, film))
        waiting = next(pictures, None)


def _packet(timed: tuple[Coded, int, int], stream: VideoStream, film: Film) -> Packet[VideoStream]:
    coded, decoded, duration = timed
    packet: Packet[VideoStream] = library().Packet(coded.data)
    packet.stream, packet.time_base = stream, film.time_base
    packet.pts, packet.dts, packet.duration, packet.is_keyframe = coded.time, decoded, duration, coded.is_key
    return packet


def _cut(packet: Any, part: Part) -> tuple[Fraction] | None:
    """A packet moved to where its part begins, and when it is; None if it is outside."""
    base, time = packet.time_base, packet.pts if packet.pts is not None else packet.dts
    if time is None:
        return (part.start,)
    if part.end is not None and time * base >= part.end:
        return None
    if part.start and (time + (packet.duration or 0)) * base <= part.start:
        return None
    shift = round(part.start / base)
    for name in ("pts", "dts"):
        value = getattr(packet, name)
        if value is not None and shift:
            setattr(packet, name, value - shift)
    return ((packet.dts if packet.dts is not None else packet.pts) * base,)


def _chapters(source: InputContainer, part: Part) -> list[Any] | None:
    chapters = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1)
        start, end = chapter["start"] * base - part.start, chapter["end"] * base - part.start
        if end <= 0 or (part.end is not None and start >= part.end - part.start):
            continue
        last = end if part.end is None else min(end, part.end - part.start)
        chapters.append({**chapter, "start": round(max(start, Fraction(0)) / base), "end": round(last / base)})
    return chapters or None


def ending_of(path: Path) -> str | None:
    """The container's ending, if it can be written."""
    ending = path.suffix.lower()
    return ending if ending in MUXERS else None
