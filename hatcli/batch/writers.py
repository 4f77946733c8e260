"""Threads that encode and write results while the next picture is enlarged."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from hatcli.batch.bugs import BugReport
from hatcli.batch.decision import Decision
from hatcli.batch.enlarged import Enlarged
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Outcome
from hatcli.batch.plan import Plan
from hatcli.batch.writing import UnfinishedError, write
from hatcli.image.picture import Picture

UNWRITTEN = 512 << 20  # bytes of results that wait to be written (one result always may)


@dataclass(frozen=True)
class Made:
    """A result on its way to a file, and what its outcome will say.

    Attributes:
        source: the picture it is made from.
        notes: what was decided on the way.
        began: when its enlarging began.
    """

    result: Enlarged
    decision: Decision
    source: Picture
    notes: tuple[str, ...]
    began: float


class Writers:
    """Results on their way to files: how many bytes wait, and which are done.

    A signal may end `add` or `finished` anywhere, and what has got its file must still be told. So the writing thread,
    which no signal reaches, puts an outcome where it is found, and there it stays until whoever got it asks for more.

    Args:
        threads: that write; the caller ends them.
        journals: open ones by `Job.root`.
    """

    def __init__(self, threads: ThreadPoolExecutor, plan: Plan, journals: dict[Path, Journal], bugs: BugReport) -> None:
        self._threads, self._plan, self._journals, self._bugs = threads, plan, journals, bugs
        self._waiting: dict[Future[None], int] = {}
        self._ended: deque[Outcome | BaseException] = deque()
        self._given: Outcome | None = None

    def add(self, made: Made) -> None:
        """Begin to write."""
        future = self._threads.submit(self._end, made)
        self._waiting[future] = made.result.waiting_bytes

    def make_room(self, size: int) -> Iterator[Outcome]:
        """Wait until a result of `size` bytes may be added; what got done meanwhile."""
        while self._waiting and sum(self._waiting.values()) + size > UNWRITTEN:
            wait(self._waiting, return_when=FIRST_COMPLETED)
            yield from self.finished()

    def last(self) -> Iterator[Outcome]:
        """Everything, after waiting for it; nothing can be added any more."""
        self._threads.shutdown()  # waits for those, too, whose future a signal kept from `add`
        yield from self.finished()

    def finished(self, *, all_of_them: bool = False) -> Iterator[Outcome]:
        """What is written by now; or everything, after waiting for it."""
        if all_of_them:
            wait(self._waiting)
        for future in [future for future in self._waiting if future.done()]:
            del self._waiting[future]
        while self._ended:
            ended = self._ended[0]
            if isinstance(ended, BaseException):
                self._ended.popleft()
                raise ended
            self._given = ended
            yield ended
            self.accepted()

    def accepted(self) -> None:
        """The outcome that was given last has arrived; until this is known, it may be given once more."""
        if self._ended and self._ended[0] is self._given:
            self._ended.popleft()

    def _end(self, made: Made) -> None:
        """A writer's thread: one result to its file, and its outcome to be found."""
        try:
            outcome = self._write(made)
        except BaseException as error:
            self._ended.append(error)
        else:
            if outcome is not None:
                self._ended.append(outcome)

    def _write(self, made: Made) -> Outcome | None:
        """One result to its file. None: its parts ended early, and somebody else says why."""
        result, job, size = made.result, made.result.provenance.job, made.decision.size
        journal = self._journals.get(job.root) if job.root is not None else None
        try:
            lost = write(result, options=self._plan.options, overwrite=self._plan.overwrite, journal=journal)
        except UnfinishedError:
            return None
        except BrokenPipeError:  # whoever reads our stdout has enough: no failure of the picture's
            raise
        except Exception as error:
            failure = self._bugs.failure(error, job.source.label)
            return Outcome(job, "failed", error=failure, seconds=time.monotonic() - made.began)
        finally:
            result.stop()  # nobody takes any more parts
        return Outcome(
            job,
            "done",
            width=size.width,
            height=size.height,
            source_width=made.source.width,
            source_height=made.source.height,
            seconds=time.monotonic() - made.began,
            notes=tuple(dict.fromkeys((*made.notes, *lost))),
            model=made.decision.model,
            jpeg_quality=made.source.jpeg_quality,
            advice=made.decision.advice,
        )
