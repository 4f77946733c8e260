"""What a run tells while it goes, and what comes of it all."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from hatcli.atomic import VanishedError
from hatcli.batch.decision import Decision
from hatcli.batch.plan import Job
from hatcli.errors import HatError, OutputError
from hatcli.image.decode import PictureInfo
from hatcli.upscaling.parts import Part
from hatcli.upscaling.progress import Progress

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
class Writing:
    """A job's picture is enlarged, and its result on the way to its file."""

    job: Job


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: `done`, `failed` or `skipped`; or `divided`, of a job that may be: nothing is made but `parts` are told.
        error: why it failed.
        reason: why it was skipped.
        width, height: of the result, in pixels; 0 unless done.
        source_width, source_height: of the input, in pixels; 0 if it was not read.
        seconds: from the start of its enlarging to the finished file.
        notes: what was decided on the way, a sentence each.
        model: the name of the model that made it, where it has one.
        jpeg_quality: of the input, as in `Picture.jpeg_quality`.
        advice: what would suit such a picture better, or None.
        parts: that the result can be made in.
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
    advice: str | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Foreseen:
    """What a job would be, if it were done.

    Attributes:
        tiles: of the first pass.
        whole_bytes: memory that the first pass would take without tiles.
        file_bytes: about what the result takes on the disk.
        seconds: about what it takes.
    """

    job: Job
    info: PictureInfo
    decision: Decision
    tiles: int
    whole_bytes: int
    file_bytes: int
    seconds: float


@dataclass(frozen=True)
class Unforeseen:
    """A job whose picture can be read but once, or lies in a store, and so is not looked at beforehand.

    Attributes:
        source_bytes: of its file or object; 0 where they are not known.
    """

    job: Job
    source_bytes: int = 0


Event = Started | Advanced | Writing | Outcome
Foresight = Foreseen | Unforeseen | Outcome


@dataclass
class Tally:
    """What came of a run.

    Attributes:
        counts: of outcomes by status.
        failures: what failed and why.
        pixels: of all inputs that were enlarged.
        models: that made something, in order of appearance.
        foreseen, seconds, file_bytes: jobs that would be done, and what they would take.
        unforeseen, unforeseen_bytes: jobs whose pictures were not looked at, and what is known of their bytes.
    """

    counts: dict[str, int] = field(default_factory=lambda: {"done": 0, "skipped": 0, "failed": 0})
    failures: list[tuple[str, HatError]] = field(default_factory=list)
    pixels: int = 0
    models: dict[str, None] = field(default_factory=dict)
    foreseen: int = 0
    unforeseen: int = 0
    unforeseen_bytes: int = 0
    seconds: float = 0.0
    file_bytes: int = 0

    def add(self, event: Event | Foresight) -> None:
        """Count an event."""
        if isinstance(event, Foreseen):
            self.foreseen += 1
            self.seconds += event.seconds
            self.file_bytes += event.file_bytes
        elif isinstance(event, Unforeseen):
            self.unforeseen += 1
            self.unforeseen_bytes += event.source_bytes
        elif isinstance(event, Outcome):
            self.counts[event.status] += 1
            self.pixels += event.source_width * event.source_height
            if event.model is not None:
                self.models[event.model] = None
            if event.error is not None:
                self.failures.append((event.job.source.label, event.error))

    def fail(self, source: str, error: HatError) -> None:
        """Count what failed before it could become a job."""
        self.counts["failed"] += 1
        self.failures.append((source, error))

    def exit_code(self, jobs: int) -> int:
        """0 without failures; 5 if the disk ended the run; what all share if everything failed alike; else 1."""
        errors = [error for _, error in self.failures]
        codes = {error.exit_code for error in errors}
        if not codes:
            return 0
        if disk_ended(errors[-1]):
            return errors[-1].exit_code
        return codes.pop() if len(codes) == 1 and len(errors) >= jobs else 1


def disk_ended(error: HatError) -> bool:
    """Whether a failure says that nothing more can be written."""
    if isinstance(error, VanishedError):
        return True
    cause = error.__cause__
    return isinstance(error, OutputError) and isinstance(cause, OSError) and cause.errno in _END_OF_DISK
