"""A film's frames one after the other, each with its time; woven fields taken apart where that is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from hatcli.errors import InputError
from hatcli.video import from_animation
from hatcli.video.film import Film, decoded, picture_stream
from hatcli.video.opening import library, opened

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

_BEFORE = 15  # seconds before the wanted start at which decoding begins


@dataclass(frozen=True)
class Moment:
    """A frame and when it is shown: ticks of the film's time base; `duration` is 0 where the film does not say."""

    time: int
    duration: int
    frame: VideoFrame


@dataclass
class Found:
    """What was met on the way through a film."""

    frames: int = 0
    untimed: int = 0
    moved: int = 0
    damaged: int = 0
    woven: int = 0
    end: Fraction = Fraction(0)

    def damage(self) -> None:
        """Something could not be decoded."""
        self.damaged += 1

    def notes(self, film: Film, *, whole: bool) -> list[str]:
        """What people should hear of it, a sentence each."""
        notes = []
        if self.untimed:
            notes.append(f"frames without a time: {self.untimed}; they follow at {float(film.rate):g} a second")
        if self.moved:
            notes.append(f"frames whose time was not after that of the one before: {self.moved}; moved right after it")
        if self.damaged:
            notes.append(f"damaged pieces that could not be decoded and are left out: {self.damaged}")
        if self.woven:
            notes.append(f"interlaced frames that are enlarged as they are: {self.woven}; see --deinterlace")
        if whole and film.seconds and film.seconds - float(self.end) > max(1.0, 0.02 * film.seconds):
            notes.append(f"it is cut off: {float(self.end):.1f} of {film.seconds:.1f} s could be read")
        return notes


@dataclass
class Clock:
    """Times that grow: those of the frames, or made ones where there are none."""

    film: Film
    found: Found = field(default_factory=Found)
    last: int | None = None

    def time_of(self, frame: VideoFrame) -> int:
        """When a frame is shown."""
        step = max(1, round(1 / (self.film.rate * self.film.time_base)))
        time = frame.pts
        if time is None:
            self.found.untimed += 1
            time = 0 if self.last is None else self.last + step
        elif self.last is not None and time <= self.last:
            self.found.moved += 1
            time = self.last + 1
        self.last = time
        return time


def moments(
    film: Film, found: Found, *, start: Fraction, length: Fraction | None, deinterlace: bool
) -> Iterator[Moment]:
    """The frames of a part of a film.

    Args:
        start: seconds from its first frame.
        length: seconds, None: to the end.

    Raises:
        InputError: it cannot be read, or its frames change their size.
    """
    if film.is_animation:
        yield from _of_animation(film, found, start=start, length=length)
        return
    with opened(film.path) as container:
        stream = picture_stream(container, film.path)
        stream.thread_type = "AUTO"
        zero = _first_time(film) if start or length is not None else 0
        begin = zero + start / film.time_base
        end = None if length is None else begin + length / film.time_base
        if start > _BEFORE:
            container.seek(int(begin - _BEFORE / film.time_base), stream=stream, backward=True)
        clock = Clock(film, found)
        frames = decoded(container, stream, found.damage)
        for frame, time in _timed(frames, clock, film, deinterlace=deinterlace):
            if end is not None and time >= end:
                return
            duration = int(frame.duration or 0)
            found.end = max(found.end, (time + duration) * film.time_base)
            if not start or time >= begin:
                found.frames += 1
                yield Moment(time, duration, frame)


def _of_animation(film: Film, found: Found, *, start: Fraction, length: Fraction | None) -> Iterator[Moment]:
    begin = start / film.time_base
    for frame, time, duration in from_animation.frames(film):
        if length is not None and time >= begin + length / film.time_base:
            return
        found.end = (time + duration) * film.time_base
        if time >= begin:
            found.frames += 1
            yield Moment(time, duration, frame)


def _first_time(film: Film) -> int:
    with opened(film.path) as container:
        for frame in container.decode(picture_stream(container, film.path)):
            return int(frame.pts or 0)
    return 0


def _timed(
    frames: Iterator[VideoFrame], clock: Clock, film: Film, *, deinterlace: bool
) -> Iterator[tuple[VideoFrame, int]]:
    graph: Graph | None = None
    waiting: deque[tuple[int, int]] = deque()
    for frame in frames:
        if (frame.width, frame.height) != (film.width, film.height):
            raise InputError(
                f"cannot read {film.path}: its frames change from {film.width} x {film.height} to "
                f"{frame.width} x {frame.height}",
                hint="cut it there, and enlarge the parts",
            )
        time = clock.time_of(frame)
        if not deinterlace:
            clock.found.woven += frame.interlaced_frame
            yield frame, time
            continue
        graph = graph or _deinterlacing(frame, film)
        waiting.append((time, int(frame.duration or 0)))
        frame.pts = time
        graph.vpush(frame)
        yield from _pulled(graph, waiting)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph, waiting)


def _pulled(graph: Graph, waiting: deque[tuple[int, int]]) -> Iterator[tuple[VideoFrame, int]]:
    error = library().error
    with suppress(error.BlockingIOError, error.EOFError):
        while waiting:
            frame = graph.vpull()
            time, duration = waiting.popleft()
            frame.duration = duration
            yield frame, time


def _deinterlacing(frame: VideoFrame, film: Film) -> Graph:
    """One frame out for each frame in, of both its fields."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=film.time_base)
    weave = graph.add("bwdif", "mode=send_frame:parity=auto:deint=all")
    graph.link_nodes(source, weave, graph.add("buffersink")).configure()
    return graph
