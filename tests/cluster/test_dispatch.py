"""A run over workers that only pretend: every picture ends once, the driver alone gives names, memory stays flat."""

from __future__ import annotations

import errno
import hashlib
import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from PIL import Image

from hatcli.atomic import temporary_name
from hatcli.batch.claims import FOUND_AGAIN
from hatcli.batch.inputs import InputFile
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Event, Outcome, Started
from hatcli.batch.pieces import Divisible, Joint, Piece
from hatcli.batch.plan import Job, Plan
from hatcli.batch.reading import Stamp
from hatcli.batch.stamps import stamp_file
from hatcli.cluster.dispatch import Joined, Lost, News, Rested, Told, run
from hatcli.cluster.messages import Division, Ended, Said, Staged, Task
from hatcli.errors import OutputError, UsageError
from hatcli.upscaling.parts import Part
from hatcli.upscaling.size import Target

MEMORY = """
import resource, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from cluster.test_dispatch import Pretenders, jobs_in, journal_in
from hatcli.batch.plan import Plan
from hatcli.cluster.dispatch import run
from hatcli.upscaling.size import Target
import psutil

root = Path(sys.argv[2])
jobs, journal = jobs_in(root, int(sys.argv[3])), journal_in(root)
me, marks, ended = psutil.Process(), [], 0
workers = Pretenders(4, stages=False)
for event in run(jobs, Plan(Target()), {root: journal}, workers, size_of=lambda job: 1.0):
    if type(event).__name__ == "Outcome":
        ended += 1
        if ended in (len(jobs) // 10, len(jobs)):
            marks.append(me.memory_info().rss)
assert ended == len(jobs), ended
print((marks[1] - marks[0]) / 1e6)
"""


class Pretenders:
    """Workers that stage a file of a few bytes for each picture, or say that it has failed.

    Args:
        dies_after: pictures after which one of them is lost, once.
    """

    def __init__(self, count: int, *, stages: bool = True, dies_after: int | None = None) -> None:
        self.given: dict[str, deque[Task]] = {str(number): deque() for number in range(count)}
        self.ending: set[str] = set()
        self.made: list[int] = []
        self._news: list[News] = [Joined(name) for name in self.given]
        self._stages, self._dies_after, self._stopped = stages, dies_after, False

    def news(self, seconds: float) -> list[News]:
        news, self._news = self._news, []
        for name, tasks in list(self.given.items()):
            if self._dies_after is not None and len(self.made) >= self._dies_after:
                self._dies_after = None
                del self.given[name]
                news.append(Lost(name))
            elif tasks and not self._stopped:
                task = tasks.popleft()
                self.made.append(task.number)
                news.append(Told(name, [Said(task.number, None), Said(task.number, self._end(task))]))
            elif name in self.ending or self._stopped:
                self.ending.discard(name)
                news.append(Rested(name))
        return news

    def _end(self, task: Task) -> Ended | Division:
        if not self._stages:
            return Ended({"status": "skipped", "reason": "it is large enough already"})
        assert isinstance(task.source, str)
        origin = stamp_file(Path(task.source))
        temporary, content = temporary_name(), f"result {task.number}".encode()
        path = Path(task.output).with_name(temporary)
        path.write_bytes(content)
        made = Stamp(len(content), path.stat().st_mtime_ns, hashlib.sha256(content).hexdigest())
        return Ended({"status": "done", "seconds": 0.1}, staged=Staged(temporary, origin, made, {}))

    @property
    def count(self) -> int:
        return len(self.given)

    def give(self, worker: str, tasks: list[Task]) -> None:
        self.given[worker].extend(tasks)

    def end(self, worker: str) -> None:
        self.ending.add(worker)

    def stop(self) -> None:
        self._stopped = True


def jobs_in(root: Path, count: int) -> list[Job]:
    names = [f"{number:06}.png" for number in range(count)]
    return [Job(InputFile(root / "in" / name, Path(name)), root / name, root) for name in names]


def journal_in(root: Path) -> Journal:
    journal = Journal(root, {})
    journal.open()
    return journal


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    (tmp_path / "in").mkdir()
    found = jobs_in(tmp_path, 100)
    for job in found:
        assert job.source.path is not None
        Image.new("RGB", (2, 2)).save(job.source.path)
    return found


def outcomes(jobs: list[Job], workers: Pretenders) -> list[Outcome]:
    root = jobs[0].root
    assert root is not None
    journal = journal_in(root)
    try:
        events = list(run(jobs, Plan(Target()), {root: journal}, workers, size_of=lambda job: 1.0))
    finally:
        journal.close()
    return [event for event in events if isinstance(event, Outcome)]


@pytest.mark.parametrize("dies_after", [None, 0, 5, 60])
def test_every_picture_ends_once_whoever_is_lost(jobs: list[Job], dies_after: int | None) -> None:
    workers = Pretenders(3, dies_after=dies_after)
    ended = outcomes(jobs, workers)
    assert {outcome.status for outcome in ended} == {"done"}
    assert sorted(str(outcome.job.output) for outcome in ended) == [str(job.output) for job in jobs]
    assert len(workers.made) == len(set(workers.made)) == 100
    assert all(job.output is not None and job.output.exists() for job in jobs)
    assert not list(jobs[0].output.parent.glob(".hat-*.part")) if jobs[0].output else False
    assert {outcome.status for outcome in outcomes(jobs, Pretenders(1))} == {"skipped"}  # the journal knows


class Dividers(Pretenders):
    """Workers that make pictures in three parts if they are told to, some of which go wrong.

    Args:
        wrong: what goes wrong, once: `part`, `join`, `origin` (of a part), `disk`, `dies` (twice, over a part), or
            `stalls` (a part, for good).
    """

    def __init__(self, count: int, wrong: str = "") -> None:
        super().__init__(count)
        self.pieces: list[Piece | None] = []
        self.wrong = wrong
        self.deaths = 2 * (wrong == "dies")

    def news(self, seconds: float) -> list[News]:
        for name, tasks in list(self.given.items()):
            piece = tasks[0].piece if tasks else None
            if self.deaths and isinstance(piece, Part) and piece.top == 10:
                self.deaths -= 1
                del self.given[name]
                self.given[name + "again"] = deque()
                self._news.append(Joined(name + "again"))
                return [Told(name, [Said(tasks[0].number, None)]), Lost(name)]
            if self.wrong == "stalls" and isinstance(piece, Part) and piece.top == 10:
                tasks.clear()
        return super().news(seconds)

    def _end(self, task: Task) -> Ended | Division:
        piece = task.piece
        self.pieces.append(piece)
        if isinstance(piece, Divisible):
            return Division((Part(0, 10, (64,)), Part(10, 20, (64,)), Part(20, 25, (64,))))
        ended, kind = super()._end(task), {Part: "part", Joint: "join"}.get(type(piece))
        assert isinstance(ended, Ended)
        assert ended.staged is not None
        assert ended.staged.temporary is not None
        if self.wrong == kind or (self.wrong == "disk" and kind == "part"):
            staged, system = Path(task.output).with_name(ended.staged.temporary), None
            if self.wrong == "disk":
                system = errno.ENOSPC
            self.wrong = ""
            staged.unlink()
            return Ended({"status": "failed"}, error=OutputError("it went wrong"), system=system)
        if self.wrong == "origin" and kind == "part":
            self.wrong = ""
            origin = replace(ended.staged.origin, sha256="another")
            return replace(ended, staged=replace(ended.staged, origin=origin))
        if isinstance(piece, Joint):
            assert len(piece.names) == 3
            assert all(Path(task.output).with_name(name).exists() for name in piece.names)
        return ended


def divided(jobs: list[Job], workers: Pretenders, *, large: int = 1) -> list[Event]:
    """A run over some pictures of which so many are worth dividing; nothing is left lying after it."""
    root = jobs[0].root
    assert root is not None
    journal = journal_in(root)
    sizes = {id(job): 90e6 if number < large else 1.0 for number, job in enumerate(jobs)}
    try:
        events = list(run(jobs, Plan(Target()), {root: journal}, workers, size_of=lambda job: sizes[id(job)]))
    finally:
        journal.close()
    assert not list(root.glob(".hat-*.part"))
    return events


@pytest.mark.parametrize("large", [1, 2])
def test_a_large_picture_is_made_in_parts_and_told_as_one(jobs: list[Job], large: int) -> None:
    workers = Dividers(4)
    events = divided(jobs, workers, large=large)
    ended = [event for event in events if isinstance(event, Outcome)]
    assert [outcome.status for outcome in ended] == ["done"] * 100
    assert len({id(outcome.job) for outcome in ended}) == 100
    assert sum(isinstance(piece, Part) for piece in workers.pieces) == 3 * large
    assert sum(isinstance(piece, Joint) for piece in workers.pieces) == large
    assert sum(isinstance(event, Started) and event.job is jobs[0] for event in events) == 1
    assert jobs[0].output is not None
    assert jobs[0].output.exists()
    assert all(event.job in jobs for event in events)


@pytest.mark.parametrize("wrong", ["part", "join", "origin", "dies"])
def test_what_goes_wrong_with_parts_is_not_told_and_the_picture_is_made_whole(jobs: list[Job], wrong: str) -> None:
    workers = Dividers(4, wrong)
    ended = [event for event in divided(jobs, workers) if isinstance(event, Outcome)]
    assert [outcome.status for outcome in ended] == ["done"] * 100
    assert sum(isinstance(piece, Divisible) for piece in workers.pieces) == 1
    assert sum(piece is None for piece in workers.pieces) == 100  # the large one among them
    assert (sum(isinstance(piece, Joint) for piece in workers.pieces) == 1) == (wrong == "join")


class Rough(Dividers):
    """Workers that die, and parts that fail, by chance."""

    def __init__(self, count: int, seed: int) -> None:
        super().__init__(count)
        self.chance, self.losses = random.Random(seed), 0

    def news(self, seconds: float) -> list[News]:
        news: list[News] = []
        for name, tasks in list(self.given.items()):
            if tasks and self.chance.random() < 0.1:
                self.losses += 1
                del self.given[name]
                self.given[f"after {name}"] = deque()
                news += [Told(name, [Said(tasks[0].number, None)]), Lost(name), Joined(f"after {name}")]
        return news + super().news(seconds)

    def _end(self, task: Task) -> Ended | Division:
        if isinstance(task.piece, Part | Joint) and self.chance.random() < 0.1:
            self.pieces.append(task.piece)
            return Ended({"status": "failed"}, error=OutputError("it went wrong"))
        return super()._end(task)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_goes_wrong_everything_is_made_once_and_nothing_is_left_lying(
    jobs: list[Job], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatcli.cluster.dispatch.LIVES", 99)
    workers = Rough(30, seed)
    ended = [event for event in divided(jobs, workers, large=10) if isinstance(event, Outcome)]
    assert workers.losses > 3
    assert any(isinstance(piece, Joint) for piece in workers.pieces)
    assert [outcome.status for outcome in ended] == ["done"] * 100
    assert {id(outcome.job) for outcome in ended} == {id(job) for job in jobs}


def test_a_disk_that_is_full_of_parts_ends_the_run_with_one_failure(jobs: list[Job]) -> None:
    workers = Dividers(4, "disk")
    ended = [event for event in divided(jobs, workers) if isinstance(event, Outcome)]
    failed = [outcome for outcome in ended if outcome.status == "failed"]
    assert [outcome.job for outcome in failed] == [jobs[0]]
    assert jobs[0].output is not None
    assert not jobs[0].output.exists()


def test_parts_of_a_run_that_is_interrupted_are_taken_away(jobs: list[Job]) -> None:
    root = jobs[0].root
    assert root is not None
    journal, workers = journal_in(root), Dividers(3, "stalls")
    events = run(jobs[:1], Plan(Target()), {root: journal}, workers, size_of=lambda job: 90e6)
    assert isinstance(next(events), Started)
    while not list(root.glob(".hat-*.part")):
        time.sleep(0.001)
    with pytest.raises(KeyboardInterrupt):
        list(chain([events.throw(KeyboardInterrupt())], events))
    journal.close()
    assert [path.name for path in root.iterdir() if path.name.endswith((".part", ".png"))] == []


def test_a_file_that_appeared_meanwhile_is_not_replaced(jobs: list[Job]) -> None:
    assert jobs[3].output is not None
    jobs[3].output.write_bytes(b"somebody's")
    ended = outcomes(jobs, Pretenders(2))
    failed = [outcome for outcome in ended if outcome.status == "failed"]
    assert [outcome.job for outcome in failed] == [jobs[3]]
    assert failed[0].error is not None
    assert "is there already" in failed[0].error.message
    assert jobs[3].output.read_bytes() == b"somebody's"
    assert not list(jobs[3].output.parent.glob(".hat-*.part"))


def test_a_result_that_is_there_and_not_in_the_journal_is_noted_and_told(jobs: list[Job]) -> None:
    assert jobs[3].output is not None
    jobs[3].output.write_bytes(b"result 3")
    ended = outcomes(jobs, Pretenders(2))
    assert {outcome.status for outcome in ended} == {"done"}
    assert [outcome.job for outcome in ended if FOUND_AGAIN in outcome.notes] == [jobs[3]]
    assert {outcome.status for outcome in outcomes(jobs, Pretenders(1))} == {"skipped"}
    assert not list(jobs[3].output.parent.glob(".hat-*.part"))


def test_a_failure_that_ends_the_run_is_told_once(jobs: list[Job]) -> None:
    root = jobs[0].root
    assert root is not None
    assert jobs[3].output is not None
    jobs[3].output.write_bytes(b"somebody's")
    journal = journal_in(root)
    plan = Plan(Target(), fail_fast=True)
    events = list(run(jobs, plan, {root: journal}, Pretenders(2), size_of=lambda job: 1.0))
    journal.close()
    ended = [event.job for event in events if isinstance(event, Outcome)]
    assert ended.count(jobs[3]) == 1
    assert len(ended) == len({id(job) for job in ended}) < 100


def test_an_exception_ends_the_run_and_what_was_staged_is_named(jobs: list[Job]) -> None:
    root = jobs[0].root
    assert root is not None
    journal, told = journal_in(root), []
    events = run(jobs, Plan(Target()), {root: journal}, Pretenders(2), size_of=lambda job: 1.0)
    for event in events:
        told.append(event)
        if sum(isinstance(event, Outcome) for event in told) == 3:
            break
    again = events.throw(KeyboardInterrupt())
    assert again is told[-1], "it is told once more: the exception may have come before anybody heard it"
    with pytest.raises(KeyboardInterrupt):
        told.extend(events)
    journal.close()
    done = {outcome.job.output for outcome in told if isinstance(outcome, Outcome)}
    assert 3 <= len(done) < 100
    assert done == set(root.glob("*.png"))


def test_work_begins_while_pictures_are_still_being_found(jobs: list[Job]) -> None:
    root = jobs[0].root
    assert root is not None
    has_begun = threading.Event()

    def found() -> Iterator[Job]:
        yield from jobs[:3]
        assert has_begun.wait(60), "the first pictures were not begun"
        late = root / "in" / "late.png"
        Image.new("RGB", (2, 2)).save(late)
        yield Job(InputFile(late, Path("late.png")), root / "late.png", root)

    journal, ended = journal_in(root), 0
    for event in run(found(), Plan(Target()), {root: journal}, Pretenders(3), size_of=lambda job: 1.0):
        has_begun.set()
        ended += isinstance(event, Outcome) and event.status == "done"
    journal.close()
    assert ended == 4


def test_what_goes_wrong_while_pictures_are_found_is_raised_after_those_that_were(jobs: list[Job]) -> None:
    root = jobs[0].root
    assert root is not None

    def found() -> Iterator[Job]:
        yield from jobs[:10]
        raise UsageError("two pictures would become the same")

    journal, told = journal_in(root), list[Event]()
    events = run(found(), Plan(Target()), {root: journal}, Pretenders(3), size_of=lambda job: 1.0)
    with pytest.raises(UsageError, match="the same"):
        told.extend(events)
    journal.close()
    assert len([event for event in told if isinstance(event, Outcome)]) == 10


def test_memory_does_not_grow_with_what_is_done(tmp_path: Path) -> None:
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", MEMORY, str(tests), str(tmp_path), "20000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 20  # megabytes
