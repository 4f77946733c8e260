"""One film through the network: reading, enlarging and encoding overlap, segment by segment, then all is joined."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.image.picture import Picture, Samples, split_alpha
from hatcli.progress import mapped
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler
from hatcli.video.colors import Conversion
from hatcli.video.encoding import Encoding
from hatcli.video.film import Film
from hatcli.video.frames import Found, moments
from hatcli.video.segments import SECONDS, Coded, SegmentFile, Segments

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
        reading = reader.submit(_read_all, film, span, encoding, segments, found, read, deinterlace=deinterlace)
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
    film: Film,
    span: Span,
    encoding: Encoding,
    segments: Segments,
    found: Found,
    queue: BoundedQueue[_Read],
    *,
    deinterlace: bool,
) -> None:
    """Frames of segments that are missing, in order; the reader's thread."""
    try:
        conversion = Conversion(film.colors, deep=film.is_deep, alpha=film.alpha)
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
            if film.alpha and not encoding.has_alpha:
                samples = _on_white(samples)
            same = before is not None and np.array_equal(samples, before)
            before = samples
            item = _Read(number, moment.time, moment.duration, None if same else samples)
            if not queue.put(item, size=samples.nbytes):
                return
    finally:
        queue.finish()


def _on_white(samples: Samples) -> Samples:
    """Samples `[H, W, 4]` as they look on white, `[H, W, 3]`."""
    peak = int(np.iinfo(samples.dtype).max)
    alpha = samples[..., 3:].astype(np.uint64)
    laid: Any = ((samples[..., :3] * alpha + peak * (peak - alpha) + peak // 2) // peak).astype(samples.dtype)
    return np.ascontiguousarray(laid)


def _picture(samples: Samples) -> Picture:
    return Picture(*split_alpha(samples)) if samples.shape[2] == 4 else Picture(samples)


def _samples(picture: Picture) -> Samples:
    if picture.alpha is None:
        return picture.pixels
    joined: Any = np.concatenate([picture.pixels, picture.alpha[..., None]], axis=2)
    return np.ascontiguousarray(joined)


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
                upscaler.steps(_picture(frame.samples), target), partial(_within_film, number, max(total, number))
            )
            result = _samples(picture)
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
    conversion = Conversion(encoding.colors, deep=film.is_deep, alpha=encoding.has_alpha)
    try:
        with suppress(_StoppedError):
            for number, frames in groupby(queue, key=lambda frame: frame.segment):
                with segments.writing(number) as segment:
                    _encode(frames, encoding, conversion, segment)
                    if queue.is_stopped:  # it may lack frames, and must not become a segment
                        raise _StoppedError
    finally:
        queue.stop()


class _StoppedError(Exception):
    """Nobody wants the rest."""


def _encode(frames: Iterable[_Enlarged], encoding: Encoding, conversion: Conversion, segment: SegmentFile) -> None:
    context = encoding.opened()
    durations: dict[int, int] = {}

    def keep(packets: list[Any]) -> None:
        for packet in packets:
            time = int(packet.pts)
            segment.add(Coded(time, durations.pop(time, 0), packet.is_keyframe, bytes(packet)))

    for enlarged in frames:
        frame = conversion.from_rgb(enlarged.samples, encoding.pixel_format)
        frame.pts, frame.time_base, frame.pict_type = enlarged.time, encoding.film.time_base, _NO_TYPE
        durations[enlarged.time] = enlarged.duration
        keep(context.encode(frame))
    keep(context.encode(None))


def _until(future: Future[None]) -> Iterator[Progress]:
    """Wait for the encoder in a way that Ctrl-C can interrupt; raises what it raised."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    while not done.wait(0.2):
        pass
    future.result()
    yield Progress(1.0, 1, 1)
