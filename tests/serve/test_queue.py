"""The queue: any order of submit, cancel, kill, restart, move, retry leaves no lost and no doubled job."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

pytest.importorskip("starlette")

from hatcli.serve.desk import Desk
from hatcli.serve.jobs import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job, Progress
from hatcli.serve.limits import Limits, RefusedError, disk_full
from hatcli.serve.queue import MOST_CRASHES, MOST_KILLS, Queue
from hatcli.serve.state import State, new_id

MOST = 6


def fresh(kind: str = "upscale") -> Job:
    return Job(new_id(), kind, "a.png", QUEUED, 0.0, {"scale": 2.0}, 100, 1.0)


def queue(path: Path, *, max_jobs: int = 1000, told: list[tuple[str, dict[str, Any]]] | None = None) -> Queue:
    heard = told if told is not None else []
    return Queue(path / "queue.sqlite", max_jobs=max_jobs, tell=lambda kind, data: heard.append((kind, data)))


class AnyOrder(RuleBasedStateMachine):
    """A server whose network is fake: two workers take jobs and say how they went, or never do.

    The model is a dictionary of states; what was made is counted by job, so that a doubled one would be seen.
    """

    jobs = Bundle("jobs")
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.queue = queue(Path(self.folder.name), max_jobs=MOST)
        self.states: dict[str, str] = {}
        self.order: list[str] = []  # of those that wait
        self.holders: dict[str, Job] = {}  # the attempt that counts
        self.results: dict[str, int] = {}
        self.kept_back: set[str] = set()  # that nobody has started
        self.deaths: dict[tuple[str, str], int] = {}  # of workers and servers over a job

    def teardown(self) -> None:
        self.queue.close()
        self.folder.cleanup()

    def leave(self, id: str, state: str) -> None:
        self.states[id] = state
        self.holders.pop(id, None)
        if id in self.order:
            self.order.remove(id)

    @rule(target=jobs, kind=st.sampled_from(["upscale", "upscale", "preview"]), held=st.booleans())
    def submit(self, kind: str, held: bool) -> Any:
        job = replace(fresh(kind), held=held)
        busy = [state for state in self.states.values() if state in (QUEUED, RUNNING)]
        if len(busy) >= MOST:
            with pytest.raises(RefusedError) as refused:
                self.queue.submit(job)
            assert refused.value.status == 429
            return multiple()
        self.queue.submit(job)
        self.states[job.id] = QUEUED
        self.order.insert(0 if kind == "preview" else len(self.order), job.id)
        if held:
            self.kept_back.add(job.id)
        return job.id

    @rule(id=jobs)
    def start(self, id: str) -> None:
        if self.states.get(id) != QUEUED or id not in self.kept_back:
            with pytest.raises(RefusedError):
                self.queue.start(id)
            return
        self.queue.start(id)
        self.kept_back.remove(id)
        self.order.remove(id)
        self.order.append(id)

    @rule(target=held)
    def take(self) -> Any:
        job = self.queue.take(seconds=0)
        ready = [id for id in self.order if id not in self.kept_back]
        if job is None:
            assert not ready
            return multiple()
        assert job.id == ready[0]
        self.order.remove(job.id)
        self.states[job.id] = RUNNING
        self.holders[job.id] = job
        return job

    @rule(job=held, share=st.floats(0, 1))
    def advance(self, job: Job, share: float) -> None:
        self.queue.advance(job, Progress(share, 1, 2))

    @rule(job=consumes(held), state=st.sampled_from([DONE, FAILED]))
    def end(self, job: Job, state: str) -> None:
        counts = self.queue.end(job, state)
        assert counts == (self.holders.get(job.id) == job)
        if counts:
            self.leave(job.id, state)
            self.results[job.id] = self.results.get(job.id, 0) + (state == DONE)

    @rule(job=consumes(held), how=st.sampled_from(["crashes", "kills"]))
    def worker_dies(self, job: Job, how: str) -> None:
        if self.queue.give_back(job, why="x", **{how: 1}):
            assert self.holders.pop(job.id) == job
            self.died_over(job.id, how)

    @rule(job=consumes(held))
    def worker_is_stopped(self, job: Job) -> None:
        if self.queue.give_back(job):
            assert self.holders.pop(job.id) == job
            self.wait_again(job.id)

    def died_over(self, id: str, how: str) -> None:
        """It waits again, or has failed if too many have died over it."""
        self.deaths[id, how] = self.deaths.get((id, how), 0) + 1
        if self.deaths[id, how] == {"crashes": MOST_CRASHES, "kills": MOST_KILLS}[how]:
            self.states[id] = FAILED
        else:
            self.wait_again(id)

    @rule(job=held)
    def worker_speaks_late(self, job: Job) -> None:
        if self.holders.get(job.id) != job:
            assert not self.queue.end(job, DONE)
            assert not self.queue.give_back(job)

    def wait_again(self, id: str) -> None:
        self.states[id] = QUEUED
        places = {job.id: job.position for job in self.queue.jobs()}
        self.order = sorted([*self.order, id], key=lambda one: places[one])

    @rule(id=jobs)
    def cancel(self, id: str) -> None:
        self.changed(id, (QUEUED, RUNNING), lambda: self.queue.cancel(id), CANCELLED)

    @rule(id=jobs)
    def retry(self, id: str) -> None:
        busy = sum(state in (QUEUED, RUNNING) for state in self.states.values())
        if busy < MOST and self.changed(id, (DONE, FAILED, CANCELLED), lambda: self.queue.retry(id), QUEUED):
            self.order.append(id)
            self.results[id] = 0  # it is wanted once more
            self.kept_back.discard(id)
            self.deaths = {key: count for key, count in self.deaths.items() if key[0] != id}

    @rule(id=jobs, before=st.none() | jobs)
    def move(self, id: str, before: str | None) -> None:
        if self.states.get(id) != QUEUED or (
            before is not None and (self.states.get(before) != QUEUED or before == id)
        ):
            with pytest.raises(RefusedError):
                self.queue.move(id, before)
            return
        self.queue.move(id, before)
        self.order.remove(id)
        self.order.insert(len(self.order) if before is None else self.order.index(before), id)

    @rule(id=jobs)
    def remove(self, id: str) -> None:
        if self.changed(id, (DONE, FAILED, CANCELLED), lambda: self.queue.remove(id), "removed"):
            del self.states[id]

    def changed(self, id: str, allowed: tuple[str, ...], change: Any, state: str) -> bool:
        if self.states.get(id) not in allowed:
            with pytest.raises(RefusedError) as refused:
                change()
            assert refused.value.status == (409 if id in self.states else 404)
            return False
        change()
        self.leave(id, state)
        return True

    @rule()
    def server_is_killed_and_starts_again(self) -> None:
        """The database is opened once more while the dead server's connection was never closed."""
        dead, self.queue = self.queue, queue(Path(self.folder.name), max_jobs=MOST)
        dead.close()
        assert self.queue.recover() == len(self.holders)
        lost, self.holders = self.holders, {}
        for id in lost:
            self.died_over(id, "kills")

    @invariant()
    def no_job_is_lost_or_doubled(self) -> None:
        found = self.queue.jobs()
        assert {job.id: job.state for job in found} == self.states
        assert len(found) == len(self.states)
        assert [job.id for job in found if job.state == QUEUED] == self.order
        assert all(count <= 1 for count in self.results.values())


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_two_workers_never_get_the_same_job(tmp_path: Path) -> None:
    found = queue(tmp_path)
    for _ in range(40):
        found.submit(fresh())
    taken: list[str] = []

    def work() -> None:
        while (job := found.take(seconds=0)) is not None:
            taken.append(job.id)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(taken) == len(set(taken)) == 40
    found.close()


def test_many_moves_before_the_same_job_keep_their_order(tmp_path: Path) -> None:
    found = queue(tmp_path)
    first, *others = [found.submit(fresh()).id for _ in range(80)]
    for id in others:
        found.move(id, first)
    assert [job.id for job in found.jobs()] == [*others, first]
    found.close()


def test_a_job_that_kills_every_server_fails_in_the_end_and_can_be_tried_again(tmp_path: Path) -> None:
    found = queue(tmp_path)
    id = found.submit(fresh()).id
    for _ in range(MOST_KILLS):
        assert found.take(seconds=0) is not None
        found.close()
        found = queue(tmp_path)
        found.recover()
    assert found.take(seconds=0) is None
    job = found.get(id)
    assert job is not None
    assert job.state == FAILED
    assert job.attempts == MOST_KILLS
    assert "killed" in (job.error or "")
    assert job.hint
    assert found.retry(id).kills == 0
    found.close()


def test_a_queue_of_an_older_hat_is_taken_over(tmp_path: Path) -> None:
    found = queue(tmp_path)
    id = found.submit(fresh()).id
    found.close()
    with sqlite3.connect(tmp_path / "queue.sqlite") as database:
        for name in ("kills", "exit_code"):
            database.execute(f"ALTER TABLE jobs1 DROP COLUMN {name}")
    database.close()
    found = queue(tmp_path)
    job = found.take(seconds=0)
    assert job is not None
    assert (job.id, job.kills, job.exit_code) == (id, 0, None)
    found.close()


def test_a_full_disk_refuses_and_leaves_the_queue_as_it_was(tmp_path: Path) -> None:
    found = queue(tmp_path)
    id = found.submit(fresh()).id
    found._database.execute("PRAGMA max_page_count = 1")  # what SQLite takes for a full disk
    statuses: list[int] = []
    while not statuses:
        try:
            found.submit(fresh())
        except RefusedError as error:
            statuses.append(error.status)
    assert statuses == [507]
    assert found.get(id) is not None
    found.close()
    with sqlite3.connect(tmp_path / "queue.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


class FullUntil(Queue):
    """A queue on a disk that is full as long as there is a certain folder."""

    folder = Path()

    def remove(self, id: str) -> None:
        if self.folder.exists():
            raise disk_full()
        super().remove(id)


def test_jobs_can_be_removed_from_a_disk_that_is_full(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    found = FullUntil(state.database, max_jobs=10)
    looks: Any = None
    desk = Desk(state, found, Limits(), looks, looks)
    ids = [found.submit(fresh()).id for _ in range(2)]
    job = found.take(seconds=0)
    assert job is not None
    found.end(job, DONE)
    for id in ids:
        found.folder = state.folder_of(id)
        (found.folder / "source").write_bytes(b"x")
    with pytest.raises(RefusedError):
        desk.remove(ids[1])  # it waits
    assert (found.folder / "source").exists()
    found.folder = state.folder_of(ids[0])
    desk.remove(ids[0])
    assert [job.id for job in found.jobs()] == [ids[1]]
    assert not found.folder.exists()
    found.close()
    state.close()


def test_each_change_is_told_with_the_whole_job(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    found = queue(tmp_path, told=told)
    found.submit(fresh())
    job = found.take(seconds=0)
    assert job is not None
    found.advance(job, Progress(0.5, 1, 2, 3.0))
    found.end(job, DONE, result_bytes=5)
    found.remove(job.id)
    assert [kind for kind, _ in told] == ["job"] * 4 + ["removed"]
    assert [data.get("state") for _, data in told] == [QUEUED, RUNNING, RUNNING, DONE, None]
    assert told[2][1]["done"] == 0.5
    assert told[2][1]["seconds_left"] == 3.0
    assert told[3][1]["done"] == 1.0
    found.close()
