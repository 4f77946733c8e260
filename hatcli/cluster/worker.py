"""A worker: holds a network and enlarges what it is given, by the very run of one machine; knows nothing of Ray."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hatcli.batch.inputs import InputFile
from hatcli.batch.journal import Journal
from hatcli.batch.lending import LastingDecoder
from hatcli.batch.outcomes import Advanced, Event, Outcome, Started
from hatcli.batch.places.objects import Stored
from hatcli.batch.plan import Job
from hatcli.batch.run import run
from hatcli.cluster.calibration import Attempt, Tried
from hatcli.cluster.feed import Feed
from hatcli.cluster.messages import Division, Ended, Order, Said, Staged, Task
from hatcli.cluster.sending import Holders, SendingJournal
from hatcli.cluster.staging import StagingJournal, discard
from hatcli.cluster.weights import opened
from hatcli.upscaling.device import PRECISIONS, DeviceChoice, choose, free_memory
from hatcli.upscaling.memory import SHARE_OF_FREE
from hatcli.upscaling.upscaler import Upscaler

PROGRESS_EVERY = 0.5  # seconds between two messages on how far a picture is


class Worker:
    """Shifts of work, one after the other; `feed`, `finish` and `stop` come from other threads.

    Raises:
        HatError: the model cannot be opened here, or the device is not there.
    """

    def __init__(self, order: Order) -> None:
        self._order, self._is_moved = order, False
        with suppress(OSError):  # where the driver's folder is not, names of pictures are made absolute
            os.chdir(order.folder)
            self._is_moved = True
        if order.device == "cpu":
            torch.set_num_threads(order.threads)
        self.choice = _choice(order)
        networks = opened(order.weights, factor=order.plan.target.scale)
        self._upscaler = Upscaler(networks, choice=self.choice, settings=order.settings)
        self._decoder = LastingDecoder(max_pixels=order.plan.max_pixels, options=order.plan.decoding)
        self._holders = Holders(order.credentials)
        self._sent = None if order.store is None else SendingJournal(order.store)
        self._feeds: dict[int, Feed] = {}
        self._tasks: dict[str, Task] = {}  # by their results
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def feed(self, shift: int, tasks: list[Task]) -> None:
        """More pictures for a shift, which may only be about to begin."""
        jobs = []
        for task in tasks:
            file, root = self._file_of(task), Path(task.root)
            if self._sent is None:
                job = Job(file, Path(task.output), root, piece=task.piece)
            else:
                job = Job(file, None, root, stored=Stored(self._sent.place, task.output))
                if task.may_replace and job.stored is not None:
                    self._sent.expect_in_the_way(job.stored)
            self._tasks[str(job.result)] = task
            jobs.append(job)
        self._feed_of(shift).put(jobs)

    def _file_of(self, task: Task) -> InputFile:
        return self._holders.file_of(task, Path() if self._is_moved else Path(self._order.folder))

    def finish(self, shift: int, count: int) -> None:
        """No more than so many pictures come for a shift; it ends when they are done."""
        self._feed_of(shift).finish(count)

    def stop(self) -> None:
        """End at the next tile; results that are finished are kept."""
        with self._lock:
            self._stopped.set()
            for feed in self._feeds.values():
                feed.stop()

    def _feed_of(self, shift: int) -> Feed:
        with self._lock:
            feed = self._feeds.setdefault(shift, Feed())
            if self._stopped.is_set():
                feed.stop()
            return feed

    def work(self, shift: int) -> Iterator[list[Said]]:
        """What becomes of the pictures of a shift."""
        journals = _Journals(self._sent)
        events = run(
            self._feed_of(shift),
            self._upscaler,
            replace(self._order.plan, fail_fast=False),
            journals=journals,
            decoder=self._decoder.lend(),
        )
        told = 0.0
        try:
            for event in self._until_stopped(events):
                if isinstance(event, Advanced):
                    if time.monotonic() - told < PROGRESS_EVERY:
                        continue
                    told = time.monotonic()
                yield [self._said(event, journals)]
        finally:
            events.close()
            journals.close()
            with self._lock:
                self._feeds.pop(shift, None)

    def try_out(self, tasks: list[Task], containers: list[str]) -> Tried:
        """What pictures take here; nothing is written to a store."""
        plan, place = self._order.plan, None if self._sent is None else self._sent.place
        ask = None if place is None else partial(place.head, tasks[0].output)
        attempt = Attempt(self._upscaler, self._decoder.lend(), plan.target, plan.options, ask)
        return attempt.all([self._file_of(task) for task in tasks], containers)

    def _until_stopped(self, events: Generator[Event, None, None]) -> Iterator[Event]:
        last: Event | None = None
        for event in events:
            yield event
            last = event
            if self._stopped.is_set():
                break
        else:
            return
        self._decoder.close()  # nobody waits for what is being read
        with suppress(KeyboardInterrupt):
            if (event := events.throw(KeyboardInterrupt())) is not last:  # it may come once more
                yield event
            yield from events

    def _said(self, event: Event, journals: _Journals) -> Said:
        number = self._tasks[str(event.job.result)].number
        if isinstance(event, Started):
            return Said(number, None)
        if isinstance(event, Advanced):
            return Said(number, event.progress)
        if not isinstance(event, Outcome):
            return Said(number, "writing")
        del self._tasks[str(event.job.result)]
        if event.status == "divided":
            return Said(number, Division(event.parts))
        staged = journals.taken(event.job)
        if event.status != "done":
            journals.discard(event.job, staged)
            staged = None
        cause = None if event.error is None else event.error.__cause__
        details = {field.name: getattr(event, field.name) for field in fields(event)}
        return Said(
            number,
            Ended(
                {name: value for name, value in details.items() if name not in ("job", "error")},
                error=event.error,
                system=cause.errno if isinstance(cause, OSError) else None,
                staged=staged,
            ),
        )


class _Journals(dict[Path, Journal]):
    """A staging journal for each folder, or the one of the store that results go to."""

    def __init__(self, sent: SendingJournal | None) -> None:
        super().__init__()
        self._sent = sent

    def __missing__(self, root: Path) -> Journal:
        journal = self[root] = StagingJournal(root) if self._sent is None else self._sent
        return journal

    def get(self, root: Path, default: Any = None) -> Any:
        return self[root]

    def taken(self, job: Job) -> Staged | None:
        """The finished result of a job, which is the driver's from now on."""
        assert job.root is not None
        journal = self[job.root]
        if isinstance(journal, SendingJournal):
            return None if job.stored is None else journal.taken(job.stored)
        assert isinstance(journal, StagingJournal)
        return None if job.output is None else journal.taken(job.output)

    def discard(self, job: Job, staged: Staged | None) -> None:
        """Take away a staged result that is not needed; an object that is there is whole, and stays."""
        if staged is not None and staged.temporary is not None and job.output is not None and job.root is not None:
            discard(self[job.root], job.output, staged)

    def close(self) -> None:
        """Let go of all folders."""
        for journal in self.values():
            journal.close()


def _choice(order: Order) -> DeviceChoice:
    """Device and precision; workers that share a memory plan with a part of it each, and with the same tiles as one."""
    if order.device != "cpu":
        return choose("cuda", order.precision)
    device = torch.device("cpu")
    shared = order.neighbours > 1 and order.settings.max_memory is None
    room = int(free_memory(device) * SHARE_OF_FREE / order.neighbours) if shared else None
    return DeviceChoice(device, PRECISIONS[order.precision], "a worker of a cluster", room)
