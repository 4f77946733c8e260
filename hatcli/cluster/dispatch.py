"""A run over many workers: who gets which pictures, what becomes of them, and of those whose worker died.

Tells the same events as the run of one machine. Truth is the journal: a result is made when it is noted there and has
its name, whatever workers believe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Advanced, Event, Outcome, Started, Writing
from hatcli.batch.pieces import Divisible
from hatcli.batch.plan import Job, Plan
from hatcli.batch.run import noted, until_failure
from hatcli.cluster.divisions import Divisions
from hatcli.cluster.hands import Hands
from hatcli.cluster.messages import Division, Ended, Said, Task
from hatcli.cluster.staging import Committer
from hatcli.cluster.supply import Supply
from hatcli.errors import HatError
from hatcli.upscaling.parts import Part
from hatcli.upscaling.progress import Progress

LIVES = 4  # workers that one picture may cost
_TURN = 0.5  # seconds
_UNHEARD = 1000  # events that wait for whoever shows them


@dataclass(frozen=True)
class Joined:
    """A worker can begin."""

    worker: str


@dataclass(frozen=True)
class Told:
    """What a worker said."""

    worker: str
    said: Sequence[Said]


@dataclass(frozen=True)
class Rested:
    """A worker has done all it was given, and was told that nothing more comes."""

    worker: str


@dataclass(frozen=True)
class Lost:
    """A worker is gone, with all it was given."""

    worker: str


News = Joined | Told | Rested | Lost


class Workers(Protocol):
    """Those who enlarge, wherever they are."""

    def news(self, seconds: float) -> list[News]:
        """What happened; waits so long at most.

        Raises:
            HatError: there is no worker, and none will come.
        """

    @property
    def count(self) -> int:
        """How many there are, or are about to be."""

    def give(self, worker: str, tasks: list[Task]) -> None:
        """Pictures for a worker, who begins with them when it is done with those before."""

    def end(self, worker: str) -> None:
        """Nothing more comes for now: it rests when it is done."""

    def stop(self) -> None:
        """All end at the next tile, and rest."""


def run(
    jobs: Iterable[Job],
    plan: Plan,
    journals: Mapping[Path, Journal],
    workers: Workers,
    *,
    size_of: Callable[[Job], float],
) -> Generator[Event, None, None]:
    """Each job's events, as of `batch.run.run`; exceptions thrown in, such as Ctrl-C, end it in the same way.

    Args:
        jobs: a list: the longest of all come first; else they may be found while others are made.
        journals: open ones, of every job's root.
        size_of: about how many pixels a picture has.

    Raises:
        HatError: there is no worker any more.
    """
    events: BoundedQueue[Event] = BoundedQueue(most_bytes=_UNHEARD, most_items=_UNHEARD)
    supply = Supply(jobs, plan, journals)
    dispatch = _Dispatch(supply, plan, journals, workers, events)
    with ThreadPoolExecutor(2, "dispatch") as threads:  # Ctrl-C strikes the main thread, and not in the middle of this
        found = threads.submit(supply.find)
        done = threads.submit(dispatch.run, size_of, all_first=isinstance(jobs, list))
        try:
            last = None
            for event in noted(until_failure(events.kept(), plan), journals):
                yield event
                last = event
            dispatch.stop()
            yield from noted((event for event in _outcomes(events) if event is not last), journals)
        except GeneratorExit:
            raise
        except BaseException:
            dispatch.stop()
            yield from noted(_outcomes(events), journals)
            raise
        finally:
            dispatch.stop()
            events.stop()
        done.result()
        found.result()


def _outcomes(events: BoundedQueue[Event]) -> Iterator[Event]:
    return (event for event in events.kept() if isinstance(event, Outcome))


class _Dispatch:
    """The thread that talks to the workers."""

    def __init__(
        self,
        supply: Supply,
        plan: Plan,
        journals: Mapping[Path, Journal],
        workers: Workers,
        events: BoundedQueue[Event],
    ) -> None:
        self._supply, self._workers, self._events = supply, workers, events
        self._committer = Committer(plan, journals)
        self._jobs: dict[int, Job] = {}  # that are not done
        self._count = 0
        self._hands = Hands(LIVES)
        self._hands.are_fed = True
        self._divisions = Divisions(self._hands, journals)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End soon; what workers finish until then is told."""
        self._stopped.set()
        self._supply.stop()

    def run(self, size_of: Callable[[Job], float], *, all_first: bool) -> None:
        """All that happens, until every job has ended or `stop`."""
        try:
            if all_first:
                self._wait_for(list(self._numbered(self._supply.rest())), size_of)
            while self._hands.are_needed and not self._stopped.is_set():
                self._take_in(size_of)
                self._hand_out()
                self._turn()
            self._hands.are_fed = False
            if self._hands.are_needed:
                self._workers.stop()
            while self._hands.are_needed and self._hands.are_busy:
                self._turn()
        finally:
            self._supply.stop()
            self._divisions.close()
            self._events.finish()

    def _take_in(self, size_of: Callable[[Job], float]) -> None:
        """More jobs, as many as have been found by now and there is room for."""
        while self._hands.have_room and (block := self._supply.take()):
            self._wait_for(list(self._numbered(block)), size_of)
        self._hands.are_fed = not self._supply.is_over

    def _numbered(self, found: Iterable[Job | Outcome]) -> Iterator[int]:
        """The numbers that jobs get; what is skipped is told."""
        for job in found:
            if isinstance(job, Outcome):
                self._tell(job)
            else:
                self._jobs[self._count] = job
                yield self._count
                self._count += 1

    def _wait_for(self, numbers: list[int], size_of: Callable[[Job], float]) -> None:
        self._hands.wait_for(numbers, [size_of(self._jobs[number]) for number in numbers])

    def _tell(self, event: Event) -> None:
        self._events.put(event, size=1)

    def _turn(self) -> None:
        """What happened, and what came of it."""
        ended: list[tuple[int, Ended]] = []
        for news in self._workers.news(_TURN):
            if isinstance(news, Joined):
                self._hands.join(news.worker)
            elif isinstance(news, Rested):
                self._hands.rest(news.worker)
            elif isinstance(news, Lost):
                for number in self._hands.lose(news.worker):
                    if not self._divisions.lose(number):
                        self._end(number, Outcome(self._jobs[number], "failed", error=_deadly(self._jobs[number])))
            else:
                ended += [(said.number, told) for said in news.said if (told := self._heard(news.worker, said))]
        whole = [(number, self._jobs[number], told) for number, told in ended if not self._is_of_parts(number, told)]
        for number, outcome in self._committer.commit(whole):
            if outcome is None:
                self._hands.lack(number)
            else:
                self._hands.done(number)
                self._end(number, outcome)

    def _heard(self, worker: str, said: Said) -> Ended | None:
        """Tell what a picture is at; how it ended, if it has."""
        number, what = said.number, said.what
        if isinstance(what, Ended | Division):
            self._hands.end(worker, number)
        if isinstance(what, Ended):
            return what
        if isinstance(what, Division):
            self._divide(number, what.parts)
            return None
        if what is None:
            self._hands.begin(worker, number)
        if self._divisions.knows(number):
            event = self._divisions.heard(number, what)
        else:
            job = self._jobs[number]
            told = Advanced(job, what) if isinstance(what, Progress) else Writing(job)
            event = Started(job) if what is None else told
        if event is not None:
            self._tell(event)
        return None

    def _divide(self, number: int, parts: Sequence[Part]) -> None:
        numbers = range(self._count, self._count + len(parts))
        self._count += len(numbers)
        self._divisions.divide(number, self._jobs[number], numbers, parts)

    def _is_of_parts(self, number: int, told: Ended) -> bool:
        """Take in how a part has ended, or why parts could not be joined; False: it is something else."""
        if not self._divisions.knows(number) or (number in self._jobs and told.error is None):
            return False
        if (ended := self._divisions.end(number, told)) is not None:
            self._hands.done(ended[0])
            self._end(*ended)
        return True

    def _end(self, number: int, outcome: Outcome) -> None:
        """A picture has ended."""
        if (seconds := self._divisions.seconds(number)) is not None:
            outcome = replace(outcome, seconds=seconds)
        self._divisions.drop(number)
        del self._jobs[number]
        self._tell(outcome)

    def _hand_out(self) -> None:
        self._hands.expected = self._workers.count
        self._divisions.withdraw()
        for worker, numbers in self._hands.portions():
            self._workers.give(worker, [self._task(number) for number in numbers])
        for worker in self._hands.ending():
            self._workers.end(worker)

    def _task(self, number: int) -> Task:
        if self._divisions.knows(number):
            return self._committer.task(number, self._divisions.job_of(number))
        job, most = self._jobs[number], self._hands.divisible.pop(number, 0)
        if most and job.stored is None:  # a worker looks whether it can be
            job = replace(job, piece=Divisible(most))
        return self._committer.task(number, job)


def _deadly(job: Job) -> HatError:
    return HatError(
        f"{job.source.label}: {LIVES} workers died over it, perhaps for want of memory",
        hint="give each more memory with fewer --workers, or smaller tiles with --max-memory",
    )
