"""Jobs to outcomes: reading, enlarging and writing overlap; a picture that fails is told and the rest goes on."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hatcli.atomic import VanishedError
from hatcli.batch import streams
from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.bugs import BugReport
from hatcli.batch.decoder import Decoder, DecoderHere
from hatcli.batch.journal import Journal
from hatcli.batch.plan import Job, Plan, reason_to_skip
from hatcli.batch.reading import Original, picture_bytes
from hatcli.batch.writing import Result, UnfinishedError, output_format, write
from hatcli.errors import HatError, OutputError
from hatcli.image import animation, decode, encode
from hatcli.image.animation import Animation
from hatcli.image.picture import Picture, Samples
from hatcli.progress import mapped
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.upscaler import Upscaler

Part = TypeVar("Part")

READ_AHEAD = 256 << 20  # bytes of decoded pictures that wait for the network (one picture always may)
READ_AHEAD_PICTURES = 16
PIPE_PATIENCE = 60.0  # seconds until somebody has to write to a pipe that was named alone ...
PIPE_PATIENCE_AMONG_MANY = 5.0  # ... or that lies among other files, where it may well be nobody's
UNWRITTEN = 512 << 20  # bytes of results that wait to be written (one result always may)
STREAM_FROM = 256 << 20  # bytes of a result from which its rows go to the file as they are made
UNWRITTEN_ROWS = 128 << 20  # bytes of them that wait to be written
_END_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # the next picture would fail alike, after minutes of work


@dataclass(frozen=True)
class Started:
    """A job begins."""

    job: Job


@dataclass(frozen=True)
class Advanced:
    """A job's picture got further."""

    job: Job
    progress: Progress


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: `done`, `failed` or `skipped`.
        error: why it failed.
        reason: why it was skipped.
        width, height: of the result, in pixels; 0 unless done.
        source_width, source_height: of the input, in pixels; 0 if it was not read.
        seconds: from the start of its enlarging to the finished file.
        notes: what was decided on the way, a sentence each.
        model: the name of the model that made it, where it has one.
        jpeg_quality: of the input, as in `Picture.jpeg_quality`.
    """

    job: Job
    status: str
    error: HatError | None = None
    reason: str | None = None
    width: int = 0
    height: int = 0
    source_width: int = 0
    source_height: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    model: str | None = None
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class Writing:
    """A job's picture is enlarged, and its result on the way to its file."""

    job: Job


Event = Started | Advanced | Writing | Outcome


@dataclass(frozen=True)
class _Read:
    """A job whose picture is decoded, or that ended before."""

    job: Job
    original: Original | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class _Made:
    """A result on its way to a file, and what its outcome will say."""

    result: Result
    source: Picture
    notes: tuple[str, ...]
    began: float


@dataclass(frozen=True)
class _Run:
    """What every step of one run needs to know."""

    jobs: list[Job]
    plan: Plan
    journals: dict[Path, Journal]
    decoder: Decoder
    queue: BoundedQueue[_Read]
    bugs: BugReport = field(default_factory=BugReport)


def run(
    jobs: list[Job],
    upscaler: Upscaler,
    plan: Plan,
    *,
    journals: dict[Path, Journal] | None = None,
    decoder: Decoder | None = None,
) -> Generator[Event, None, None]:
    """Each job: `Started`, any number of `Advanced`, `Writing`, one `Outcome`, which may come while a later job runs.

    Whatever a picture makes go wrong is its failure; bugs are written down. A failure ends the run after what is
    finished has been written if `plan.fail_fast`, or if the disk is full. So does an exception thrown into the
    generator, such as Ctrl-C, after the outcomes of what was finished by then; closing it does so as well, except that
    nobody hears of them. No temporary file stays.

    Args:
        journals: open ones by `Job.root`; results below other folders are not noted anywhere.
        decoder: who decodes, closed at the end; None: this process.
    """
    queue: BoundedQueue[_Read] = BoundedQueue(most_bytes=READ_AHEAD, most_items=READ_AHEAD_PICTURES)
    this = _Run(jobs, plan, journals or {}, decoder or DecoderHere(max_pixels=plan.max_pixels), queue)
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(plan.writers, "write") as writers:
        writing = _Writing(writers, this)
        try:
            reader_done = reader.submit(_read_all, this, _piped_in(this))
            yield from _until_failure(_enlarge_all(this, upscaler, writing), plan)
            queue.stop()
            yield from writing.finished(all_of_them=True)
        except GeneratorExit:
            raise
        except BaseException:
            queue.stop()
            yield from writing.finished(all_of_them=True)
            raise
        finally:
            queue.stop()
            this.decoder.close()
        reader_done.result()  # a bug in the reader's thread must not pass for the end of the jobs


def deliver(events: Generator[Event, None, None], tell: Callable[[Event], None]) -> None:
    """Tell every event of a run.

    An exception on the way, such as Ctrl-C, ends the run; what was finished by then is told before it is raised again.
    """
    try:
        for event in events:
            tell(event)
    except BaseException as interruption:
        try:
            event = events.throw(interruption)
            while True:
                tell(event)
                event = next(events)
        finally:
            events.close()


def _piped_in(this: _Run) -> bytes | HatError | None:
    """Stdin, if a job wants it: read by the main thread, which Ctrl-C can interrupt."""
    if all(job.source.path is not None for job in this.jobs):
        return None
    try:
        return streams.read_stdin(most=decode.most_bytes(this.plan.max_pixels))
    except HatError as error:
        return error


def _until_failure(events: Iterator[Event], plan: Plan) -> Iterator[Event]:
    """The events up to a failure after which the others make no sense."""
    for event in events:
        yield event
        if isinstance(event, Outcome) and event.error is not None and (plan.fail_fast or disk_ended(event.error)):
            return


def disk_ended(error: HatError) -> bool:
    """Whether a failure says that nothing more can be written."""
    if isinstance(error, VanishedError):
        return True
    cause = error.__cause__
    return isinstance(error, OutputError) and isinstance(cause, OSError) and cause.errno in _END_OF_DISK


def _read_all(this: _Run, piped_in: bytes | HatError | None) -> None:
    """Decode picture after picture into the queue, in order; the reader's thread."""
    try:
        for job in this.jobs:
            read = _read(this, job, piped_in)
            size = 0 if read.original is None else read.original.bytes
            if not this.queue.put(read, size=size):
                return
    finally:
        this.queue.finish()


def _read(this: _Run, job: Job, piped_in: bytes | HatError | None) -> _Read:
    try:
        if reason := reason_to_skip(job, this.plan, this.journals):
            return _Read(job, outcome=Outcome(job, "skipped", reason=reason))
        source = _source(this, job, piped_in)
        all_frames = this.plan.frames != "first"
        return _Read(job, this.decoder.load(source, name=job.source.label, all_frames=all_frames))
    except Exception as error:
        return _Read(job, outcome=Outcome(job, "failed", error=this.bugs.failure(error, job.source.label)))


def _source(this: _Run, job: Job, piped_in: bytes | HatError | None) -> Path | bytes:
    """The file, or what came through a pipe, which can be read here and once only."""
    if job.source.path is None:
        if isinstance(piped_in, HatError):
            raise piped_in
        assert piped_in is not None
        return piped_in
    if not streams.is_stream(job.source.path):
        return job.source.path
    patience = PIPE_PATIENCE if len(this.jobs) == 1 else PIPE_PATIENCE_AMONG_MANY
    most = decode.most_bytes(this.plan.max_pixels)
    return streams.read_pipe(job.source.path, most=most, patience=patience, is_wanted=lambda: not this.queue.is_stopped)


def _enlarge_all(this: _Run, upscaler: Upscaler, writing: _Writing) -> Iterator[Event]:
    """Picture after picture through the network, results to the writers."""
    for read in this.queue:
        yield Started(read.job)
        yield from writing.finished()
        if read.original is None:
            assert read.outcome is not None
            yield read.outcome
            continue
        began = time.monotonic()
        try:
            yield from _enlarge(read.job, read.original, upscaler, this.plan, writing, began)
        except Exception as error:
            failure = this.bugs.failure(error, read.job.source.label)
            yield Outcome(read.job, "failed", error=failure, seconds=time.monotonic() - began)
    yield from writing.finished(all_of_them=True)


def _enlarge(
    job: Job, original: Original, upscaler: Upscaler, plan: Plan, writing: _Writing, began: float
) -> Iterator[Event]:
    """One picture through the network that suits it and on to the writers."""
    picture = original.picture
    upscaler = upscaler.suited(picture.width, picture.height, jpeg_quality=picture.jpeg_quality, target=plan.target)
    size = upscaler.plan(picture.width, picture.height, plan.target)
    if plan.only_if_smaller and not size.passes:
        yield Outcome(job, "skipped", reason="it is large enough already")
        return
    container = output_format(job, picture, plan.format)
    notes = encode.check_format(
        container,
        width=size.width,
        height=size.height,
        bits=picture.bits,
        alpha=upscaler.keeps_alpha(picture),
        gray=picture.is_gray,
        options=plan.options,
    )
    moving = _moving(original, container, plan)
    said = upscaler.notes(picture.width, picture.height, picture.bits, plan.target)
    told = (*(picture if moving is None else moving.frames[0]).notes, *said, *notes)
    result = Result(
        job,
        picture,
        container,
        width=size.width,
        height=size.height,
        origin=original.stamp,
        made_by=_made_by(upscaler, picture, plan),
    )
    share = size.width * size.height / (picture.width * picture.height)
    if moving is not None:
        frames: BoundedQueue[Picture] = BoundedQueue(most_bytes=UNWRITTEN_ROWS, most_items=1 << 20)
        result = replace(result, animation=moving, frames=frames)
        made = _frames(job, moving, upscaler, plan)
        yield from _hand_over(made, frames, _Made(result, picture, told, began), writing)
        return
    if container in encode.STREAMED and picture_bytes(picture) * share >= STREAM_FROM:
        strips: BoundedQueue[Samples] = BoundedQueue(most_bytes=UNWRITTEN_ROWS, most_items=1 << 20)
        result = replace(result, strips=strips, has_alpha=upscaler.keeps_alpha(picture))
        rows = _rows(job, picture, upscaler, plan)
        yield from _hand_over(rows, strips, _Made(result, picture, told, began), writing)
        return
    enlarged = yield from mapped(upscaler.steps(picture, plan.target), partial(Advanced, job))
    result = replace(result, picture=enlarged)
    yield from writing.make_room(result.waiting_bytes)
    writing.add(_Made(result, picture, told, began))
    yield Writing(job)


def _made_by(upscaler: Upscaler, picture: Picture, plan: Plan) -> dict[str, Any]:
    """Which model makes a picture's result, and what decides so."""
    if upscaler.model is None:
        return {}
    factor = plan.target.factor(picture.width, picture.height)
    facts = {"model": upscaler.model.name, "weights": upscaler.model.digest}
    return {**facts, "jpeg_quality": picture.jpeg_quality, "factor": factor}


def _moving(original: Original, container: str, plan: Plan) -> Animation | None:
    """The animation, if all of its frames are to be enlarged."""
    moving = original.animation
    if moving is None or container not in animation.FORMATS:
        return None
    return moving if plan.frames == "all" or container == original.picture.format else None


def _frames(job: Job, moving: Animation, upscaler: Upscaler, plan: Plan) -> Iterator[Advanced | tuple[Picture, int]]:
    """Frame after frame, enlarged, with its bytes."""
    frames = (*(() if moving.still is None else (moving.still,)), *moving.frames)
    for number, frame in enumerate(frames):

        def advanced(progress: Progress, number: int = number) -> Advanced:
            return Advanced(job, replace(progress, done=(number + progress.done) / len(frames)))

        picture = yield from mapped(upscaler.steps(frame, plan.target), advanced)
        yield picture, picture_bytes(picture)


def _rows(job: Job, picture: Picture, upscaler: Upscaler, plan: Plan) -> Iterator[Advanced | tuple[Samples, int]]:
    """The result's rows as they are finished, with their bytes."""
    for event in upscaler.stream(picture, plan.target):
        if isinstance(event, Progress):
            yield Advanced(job, event)
        else:
            yield event.samples, event.samples.nbytes


def _hand_over(
    made: Iterator[Advanced | tuple[Part, int]], parts: BoundedQueue[Part], whole: _Made, writing: _Writing
) -> Iterator[Event]:
    """A result that is written while it is made, part by part; a failure of either side ends both."""
    yield from writing.make_room(UNWRITTEN)  # a writer that waits for parts must not wait behind other results
    writing.add(whole)
    try:
        for event in made:
            if isinstance(event, Advanced):
                yield event
            elif not parts.put(event[0], size=event[1]):
                return  # the writer has failed, and its outcome says why
        parts.finish()
        yield Writing(whole.result.job)
        yield from writing.finished(all_of_them=True)
    finally:
        parts.stop()


class _Writing:
    """Results on their way to files: how many bytes wait, and which are done."""

    def __init__(self, threads: ThreadPoolExecutor, this: _Run) -> None:
        self._threads, self._run = threads, this
        self._waiting: dict[Future[Outcome | None], int] = {}

    def add(self, made: _Made) -> None:
        """Begin to write."""
        future = self._threads.submit(_write, made, self._run)
        self._waiting[future] = made.result.waiting_bytes

    def make_room(self, size: int) -> Iterator[Outcome]:
        """Wait until a result of `size` bytes may be added; what got done meanwhile."""
        while self._waiting and sum(self._waiting.values()) + size > UNWRITTEN:
            wait(self._waiting, return_when=FIRST_COMPLETED)
            yield from self.finished()

    def finished(self, *, all_of_them: bool = False) -> Iterator[Outcome]:
        """What is written by now; or everything, after waiting for it."""
        if all_of_them:
            wait(self._waiting)
        for future in [future for future in self._waiting if future.done()]:
            del self._waiting[future]
            if (outcome := future.result()) is not None:
                yield outcome


def _write(made: _Made, this: _Run) -> Outcome | None:
    """One result to its file; a writer's thread. None: its rows ended early, and somebody else says why."""
    result, job = made.result, made.result.job
    journal = this.journals.get(job.root) if job.root is not None else None
    try:
        lost = write(result, options=this.plan.options, overwrite=this.plan.overwrite, journal=journal)
    except UnfinishedError:
        return None
    except BrokenPipeError:  # whoever reads our stdout has enough: no failure of the picture's
        raise
    except Exception as error:
        failure = this.bugs.failure(error, job.source.label)
        return Outcome(job, "failed", error=failure, seconds=time.monotonic() - made.began)
    finally:
        if result.parts is not None:
            result.parts.stop()  # nobody takes any more
    return Outcome(
        job,
        "done",
        width=result.width,
        height=result.height,
        source_width=made.source.width,
        source_height=made.source.height,
        seconds=time.monotonic() - made.began,
        notes=tuple(dict.fromkeys((*made.notes, *lost))),
        model=result.made_by.get("model"),
        jpeg_quality=made.source.jpeg_quality,
    )
