"""One film through the network: reading, enlarging and encoding overlap, segment by segment, then all is joined."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.image.picture import Picture, Samples
from hatcli.progress import mapped
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler
from hatcli.video.colors import Conversion
from hatcli.video.encoding import Encoding
from hatcli.video.film import Film
from hatcli.video.frames import Found, moments
from hatcli.video.segments import SECONDS, Coded, Segments

_AHEAD_BYTES, _AHEAD_FRAMES = 256 << 20, 8  # that wait between two of the three
_NO_TYPE = 0  # of a frame: the encoder decides whether it stands alone


@dataclass(frozen=True)
class Span:
    """What part of a film is enlarged, in seconds from its first frame; `length` None: to the end."""

    start: Fraction = Fraction(0)
    length: Fraction | None = None

    @property
    def is_whole(self) -> bool:
        return not self.start and self.length is None


@dataclass(frozen=True)
class _Read:
    """A frame that was read; `samples` None: byte for byte the one before."""

    segment: int
    time: int
    duration: int
    samples: Samples | None


@dataclass(frozen=True)
class _Enlarged:
    """A frame that was enlarged."""

    segment: int
    time: int
    duration: int
    samples: Samples


def enlarged(
    film: Film,
    span: Span,
    encoding: Encoding,
    segments: Segments,
    upscaler: Upscaler,
    target: Target,
    *,
    deinterlace: bool,
) -> Generator[Progress, None, Found]:
    """Make all segments that are missing; what was met on the way through the film.

    Raises:
        HatError: the film cannot be read, enlarged or written.
    """
    found = Found()
    read: BoundedQueue[_Read] = BoundedQueue(most_bytes=_AHEAD_BYTES, most_items=_AHEAD_FRAMES)
    made: BoundedQueue[_Enlarged] = BoundedQueue(most_bytes=_AHEAD_BYTES, most_items=_AHEAD_FRAMES)
    with ThreadPoolExecutor(1, "film reader") as reader, ThreadPoolExecutor(1, "film encoder") as encoder:
        reading = reader.submit(_read_all, film, span, segments, found, read, deinterlace=deinterlace)
        writing = encoder.submit(_encode_all, film, encoding, segments, made)
        try:
            yield from _through_network(read, made, film, span, upscaler, target)
            read.stop()  # an encoder that has failed takes no more, and the reader must not wait for that
            reading.result()
            made.finish()
            yield from _until(writing)
        finally:
            read.stop()
            made.stop()
    return found


def _read_all(
    film: Film, span: Span, segments: Segments, found: Found, queue: BoundedQueue[_Read], *, deinterlace: bool
) -> None:
    """Frames of segments that are missing, in order; the reader's thread."""
    try:
        conversion = Conversion(film.colors, deep=film.is_deep)
        before: Samples | None = None
        first: int | None = None
        done = set(segments.finished)
        for moment in moments(film, found, start=span.start, length=span.length, deinterlace=deinterlace):
            first = moment.time if first is None else first
            number = int((moment.time - first) * film.time_base / SECONDS)
            if number in done:
                before = None
                if queue.is_stopped:
                    return
                continue
            samples = conversion.to_rgb(moment.frame)
            same = before is not None and np.array_equal(samples, before)
            before = samples
            item = _Read(number, moment.time, moment.duration, None if same else samples)
            if not queue.put(item, size=samples.nbytes):
                return
    finally:
        queue.finish()


def _through_network(
    read: BoundedQueue[_Read], made: BoundedQueue[_Enlarged], film: Film, span: Span, upscaler: Upscaler, target: Target
) -> Iterator[Progress]:
    """Frame after frame, one after the other; of equal neighbours the first alone."""
    number, result = 0, None
    total = _frames_in(film, span)
    first: int | None = None
    for frame in read:
        first = frame.time if first is None else first
        number = max(number + 1, round((frame.time - first) * film.time_base * film.rate) + 1)
        if frame.samples is not None or result is None:
            assert frame.samples is not None, "the first frame has samples"
            picture = yield from mapped(
                upscaler.steps(Picture(frame.samples), target), partial(_within_film, number, max(total, number))
            )
            result = picture.pixels
        if not made.put(_Enlarged(frame.segment, frame.time, frame.duration, result), size=result.nbytes):
            return  # the encoder has failed, and says why
        yield Progress(min(1.0, number / max(total, number)), number, max(total, number))


def _within_film(number: int, total: int, progress: Progress) -> Progress:
    return replace(progress, done=min(1.0, (number - 1 + progress.done) / total), tile=number, tiles=total)


def _frames_in(film: Film, span: Span) -> int:
    """About how many frames are enlarged."""
    if span.is_whole:
        return film.frames
    seconds = max(0.0, film.seconds - float(span.start))
    length = seconds if span.length is None else min(seconds or float(span.length), float(span.length))
    return max(1, round(length * film.rate))


def _encode_all(film: Film, encoding: Encoding, segments: Segments, queue: BoundedQueue[_Enlarged]) -> None:
    """Frames to segments, each with an encoder of its own; the encoder's thread."""
    conversion = Conversion(film.colors, deep=film.is_deep)
    current: _Open | None = None
    try:
        for frame in queue:
            if current is None or current.number != frame.segment:
                if current is not None:
                    segments.write(current.number, current.finished())
                current = _Open(frame.segment, encoding, conversion)
            current.add(frame)
        if current is not None and queue.is_finished:
            segments.write(current.number, current.finished())
    finally:
        queue.stop()


class _Open:
    """A segment in the making: its packets are kept in memory, which ten seconds of film do not fill."""

    def __init__(self, number: int, encoding: Encoding, conversion: Conversion) -> None:
        self.number = number
        self._encoding, self._conversion = encoding, conversion
        self._context = encoding.opened()
        self._durations: dict[int, int] = {}
        self._packets: list[Coded] = []

    def add(self, enlarged: _Enlarged) -> None:
        """Encode a frame."""
        frame = self._conversion.from_rgb(enlarged.samples, self._encoding.pixel_format)
        frame.pts, frame.time_base, frame.pict_type = enlarged.time, self._encoding.film.time_base, _NO_TYPE
        self._durations[enlarged.time] = enlarged.duration
        self._take(self._context.encode(frame))

    def finished(self) -> list[Coded]:
        """All packets."""
        self._take(self._context.encode(None))
        return self._packets

    def _take(self, packets: list[Any]) -> None:
        for packet in packets:
            time = int(packet.pts)
            self._packets.append(Coded(time, self._durations.pop(time, 0), packet.is_keyframe, bytes(packet)))


def _until(future: Future[None]) -> Iterator[Progress]:
    """Wait for the encoder in a way that Ctrl-C can interrupt; raises what it raised."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    while not done.wait(0.2):
        pass
    future.result()
    yield Progress(1.0, 1, 1)
