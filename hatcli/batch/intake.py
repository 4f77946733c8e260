"""Pictures decoded ahead of the network, in a thread of their own, as many as memory allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from hatcli.batch import streams
from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.bugs import BugReport
from hatcli.batch.decoder import Decoder
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Outcome
from hatcli.batch.places.objects import Stored
from hatcli.batch.plan import Job, Plan, reason_to_skip
from hatcli.batch.reading import Original
from hatcli.errors import HatError
from hatcli.image import decode

READ_AHEAD = 256 << 20  # bytes of decoded pictures that wait for the network (one picture always may)
READ_AHEAD_PICTURES = 16
PIPE_PATIENCE = 60.0  # seconds until somebody has to write to a pipe that was named alone ...
PIPE_PATIENCE_AMONG_MANY = 5.0  # ... or that lies among other files, where it may well be nobody's


@dataclass(frozen=True)
class Ready:
    """A job whose picture is decoded, or that has ended already; None: a film, which is read while it is enlarged."""

    job: Job
    found: Original | Outcome | None


def _queue() -> BoundedQueue[Ready]:
    return BoundedQueue(most_bytes=READ_AHEAD, most_items=READ_AHEAD_PICTURES)


@dataclass(frozen=True)
class Intake:
    """The jobs of a run, read one after the other into `queue`; they may come while it goes on."""

    jobs: Iterable[Job]
    plan: Plan
    journals: dict[Path, Journal]
    decoder: Decoder
    bugs: BugReport
    queue: BoundedQueue[Ready] = field(default_factory=_queue)

    def read_stdin(self) -> bytes | HatError | None:
        """Stdin, if a job wants it: for the main thread, which Ctrl-C can interrupt."""
        if not isinstance(self.jobs, list) or all(job.source.origin is not None for job in self.jobs):
            return None
        try:
            return streams.read_stdin(most=decode.most_bytes(self.plan.max_pixels))
        except HatError as error:
            return error

    def read_all(self, piped_in: bytes | HatError | None) -> None:
        """Decode picture after picture, in order, until nobody takes any more; for a thread of its own."""
        try:
            for job in self.jobs:
                ready = self._read(job, piped_in)
                size = ready.found.bytes if isinstance(ready.found, Original) else 0
                if not self.queue.put(ready, size=size):
                    return
        finally:
            self.queue.finish()

    def _read(self, job: Job, piped_in: bytes | HatError | None) -> Ready:
        try:
            if reason := reason_to_skip(job, self.plan, self.journals):
                return Ready(job, Outcome(job, "skipped", reason=reason))
            if self.plan.has_film(job):
                return Ready(job, None)
            all_frames = self.plan.frames != "first"
            if job.source.stored is not None:
                return Ready(job, self._load_stored(job, job.source.stored, all_frames=all_frames))
            source = self._source(job, piped_in)
            return Ready(job, self.decoder.load(source, name=job.source.label, all_frames=all_frames))
        except Exception as error:
            return Ready(job, Outcome(job, "failed", error=self.bugs.failure(error, job.source.label)))

    def _load_stored(self, job: Job, stored: Stored, *, all_frames: bool) -> Original:
        """The picture in an object, with its store's stamp, by which it is known again without being read."""
        data, stamp = stored.holder.read(stored.key, most=decode.most_bytes(self.plan.max_pixels))
        return replace(self.decoder.load(data, name=job.source.label, all_frames=all_frames), stamp=stamp)

    def _source(self, job: Job, piped_in: bytes | HatError | None) -> Path | bytes:
        """The file, or what came through a pipe, which can be read here and once only."""
        path = job.source.path
        if path is None:
            if isinstance(piped_in, HatError):
                raise piped_in
            assert piped_in is not None
            return piped_in
        if not streams.is_stream(path):
            return path
        is_alone = isinstance(self.jobs, list) and len(self.jobs) == 1
        patience = PIPE_PATIENCE if is_alone else PIPE_PATIENCE_AMONG_MANY
        most = decode.most_bytes(self.plan.max_pixels)
        return streams.read_pipe(path, most=most, patience=patience, is_wanted=lambda: not self.queue.is_stopped)
