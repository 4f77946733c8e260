"""A run over many pictures: what overlaps, what fails alone, what stops everything, and what stays afterwards."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.repeating import Doubling
from torch import Tensor

from hatcli.atomic import write_error
from hatcli.batch import enlarging, intake, writers, writing
from hatcli.batch import run as running
from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.inputs import InputFile
from hatcli.batch.outcomes import Advanced, Event, Outcome, Started, Writing
from hatcli.batch.plan import Job, Plan
from hatcli.errors import InputError, MemoryLimitError
from hatcli.image import decode
from hatcli.upscaling.device import choose
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler


@pytest.fixture
def upscaler() -> Upscaler:
    return Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"))


def jobs_in(folder: Path, count: int) -> list[Job]:
    jobs = []
    for number in range(count):
        source = folder / f"{number:03}.png"
        Image.fromarray(np.full((6, 5, 3), number, np.uint8)).save(source)
        jobs.append(Job(InputFile(source, Path(source.name)), folder / "out" / source.name))
    return jobs


def outcomes(events: Iterator[Event]) -> list[Outcome]:
    return [event for event in events if isinstance(event, Outcome)]


PLAN = Plan(Target())


def test_every_job_has_one_outcome_and_its_own_picture(tmp_path: Path, upscaler: Upscaler) -> None:
    jobs = jobs_in(tmp_path, 30)
    ended = outcomes(running.run(jobs, upscaler, PLAN))
    assert sorted(str(outcome.job.output) for outcome in ended) == [str(job.output) for job in jobs]
    for number, job in enumerate(jobs):
        assert job.output is not None
        assert (decode.read(job.output).pixels == number).all()
    assert {(outcome.status, outcome.width, outcome.height) for outcome in ended} == {("done", 10, 12)}


def test_a_bad_picture_fails_alone(tmp_path: Path, upscaler: Upscaler) -> None:
    jobs = jobs_in(tmp_path, 5)
    assert jobs[1].source.path is not None
    jobs[1].source.path.write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    assert jobs[3].source.path is not None
    jobs[3].source.path.unlink()  # vanished since it was found
    ended = {outcome.job.source.label: outcome for outcome in outcomes(running.run(jobs, upscaler, PLAN))}
    status = [ended[job.source.label].status for job in jobs]
    assert status == ["done", "failed", "done", "failed", "done"]
    assert all(isinstance(outcome.error, InputError) for outcome in ended.values() if outcome.status == "failed")


def test_fail_fast_stops_and_keeps_what_is_finished(tmp_path: Path, upscaler: Upscaler) -> None:
    jobs = jobs_in(tmp_path, 9)
    assert jobs[2].source.path is not None
    jobs[2].source.path.write_bytes(b"rubbish")
    ended = outcomes(running.run(jobs, upscaler, Plan(Target(), fail_fast=True)))
    assert sorted(outcome.status for outcome in ended) == ["done", "done", "failed"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000.png", "001.png"]


def test_a_full_disk_ends_the_run(tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> list[str]:
        cause = OSError(errno.ENOSPC, "no space")
        raise write_error(tmp_path / "x.png", cause) from cause

    monkeypatch.setattr(writers, "write", full)
    ended = outcomes(running.run(jobs_in(tmp_path, 200), upscaler, PLAN))
    assert 1 <= len(ended) < 100
    assert {outcome.status for outcome in ended} == {"failed"}


def test_the_next_picture_runs_while_one_is_written(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_runs = threading.Event()
    really = writing.write

    def waiting(*arguments: Any, **options: Any) -> list[str]:
        assert second_runs.wait(30), "nothing went on while the first result was written"
        return really(*arguments, **options)

    monkeypatch.setattr(writers, "write", waiting)
    ended = 0
    jobs = jobs_in(tmp_path, 3)
    for event in running.run(jobs, upscaler, PLAN):
        if isinstance(event, Advanced) and event.job == jobs[1]:
            second_runs.set()
        ended += isinstance(event, Outcome)
    assert ended == 3


def test_unwritten_results_are_bounded(tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "UNWRITTEN", 3 * 10 * 12 * 2)  # two results
    begun = ended = most = 0
    really = writing.write

    def slow(*arguments: Any, **options: Any) -> list[str]:
        time.sleep(0.01)
        return really(*arguments, **options)

    monkeypatch.setattr(writers, "write", slow)
    for event in running.run(jobs_in(tmp_path, 12), upscaler, PLAN):
        begun += isinstance(event, Started)
        ended += isinstance(event, Outcome)
        most = max(most, begun - ended)
    assert ended == 12
    assert most <= 4  # two being written, one made, one begun


def test_closing_early_leaves_whole_files_only(tmp_path: Path, upscaler: Upscaler) -> None:
    events = running.run(jobs_in(tmp_path, 40), upscaler, PLAN)
    for event in events:
        if isinstance(event, Outcome):
            break
    events.close()
    left = list((tmp_path / "out").iterdir())
    assert 1 <= len(left) < 40
    for path in left:
        decode.read(path)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("read", "write"))]


def test_an_output_that_appears_meanwhile_is_not_replaced(tmp_path: Path, upscaler: Upscaler) -> None:
    jobs = jobs_in(tmp_path, 2)
    assert jobs[1].output is not None
    jobs[1].output.parent.mkdir()
    jobs[1].output.write_bytes(b"precious")
    ended = outcomes(running.run(jobs, upscaler, PLAN))
    assert sorted(outcome.status for outcome in ended) == ["done", "failed"]
    assert jobs[1].output.read_bytes() == b"precious"


class Refusing(Doubling):
    """A network with a bug that shows where the picture is white."""

    def forward(self, values: Tensor) -> Tensor:
        if values.min() > 0.9:
            raise KeyError("no white, please")
        return super().forward(values)


def test_a_bug_costs_one_picture_and_its_traceback_lies_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))
    jobs = jobs_in(tmp_path, 5)
    for job in jobs[1:3]:
        assert job.source.path is not None
        Image.new("RGB", (6, 5), "white").save(job.source.path)
    ended = outcomes(running.run(jobs, Upscaler({2: Refusing()}, choice=choose("cpu", "fp32")), PLAN))
    by_name = {outcome.job.source.relative.name: outcome for outcome in ended}
    assert [by_name[f"{number:03}.png"].status for number in range(5)] == ["done", "failed", "failed", "done", "done"]
    error = by_name["001.png"].error
    assert error is not None
    assert "KeyError: 'no white, please'" in error.message
    assert "bug" in (error.hint or "")
    reports = list((tmp_path / "home" / "bugs").iterdir())
    assert len(reports) == 1
    assert str(reports[0]) in (error.hint or "")
    text = reports[0].read_text()
    assert text.count("Traceback (most recent call last)") == 1  # the second picture met the same bug
    assert "in forward" in text


@pytest.mark.parametrize(
    ("room", "where", "job_of"),
    [
        (intake, "reason_to_skip", lambda job, *_: job),
        (enlarging, "decide", lambda _, job, *__: job),
        (writers, "write", lambda result, *_: result.provenance.job),
    ],
    ids=["reading", "enlarging", "writing"],
)
def test_a_bug_in_any_thread_is_a_failure_of_its_picture(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch, room: Any, where: str, job_of: Any
) -> None:
    really = getattr(room, where)

    def broken(*arguments: Any, **options: Any) -> Any:
        if job_of(*arguments).source.relative.name == "001.png":
            raise KeyError("bug")
        return really(*arguments, **options)

    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(room, where, broken)
    told = outcomes(running.run(jobs_in(tmp_path, 3), upscaler, PLAN))
    ended = {outcome.job.source.relative.name: outcome for outcome in told}
    assert [ended[f"{number:03}.png"].status for number in range(3)] == ["done", "failed", "done"]
    assert "KeyError" in str(ended["001.png"].error)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000.png", "002.png"]


def test_memory_that_runs_out_in_a_writer_is_a_failure_of_its_picture(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: Any, **__: Any) -> list[str]:
        raise MemoryError

    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(writers, "write", greedy)
    ended = outcomes(running.run(jobs_in(tmp_path, 2), upscaler, PLAN))
    assert [type(outcome.error) for outcome in ended] == [MemoryLimitError] * 2
    assert not (tmp_path / "home").exists()  # no bug


@pytest.mark.parametrize("inside", [True, False])
def test_an_interruption_is_told_after_all_that_is_finished(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    jobs, told = jobs_in(tmp_path, 40), list[Event]()
    really = Upscaler.steps

    def interrupted(self: Upscaler, *arguments: Any) -> Any:
        if len([event for event in told if isinstance(event, Started)]) > 10:
            raise KeyboardInterrupt
        return really(self, *arguments)

    def tell(event: Event) -> None:
        told.append(event)
        if not inside and isinstance(event, Writing) and event.job == jobs[9]:
            raise KeyboardInterrupt

    if inside:
        monkeypatch.setattr(Upscaler, "steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        running.deliver(running.run(jobs, upscaler, PLAN), tell)
    assert len(outcomes(iter(told))) == len(list((tmp_path / "out").iterdir())) == 10


def test_a_run_that_can_be_told_to_nobody_ends(tmp_path: Path, upscaler: Upscaler) -> None:
    def full(event: Event) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        running.deliver(running.run(jobs_in(tmp_path, 40), upscaler, PLAN), full)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("read", "write"))]


@pytest.mark.skipif(os.name == "nt", reason="needs named pipes")
def test_a_pipe_is_read_once_and_one_that_nobody_writes_to_fails_alone(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PIPE_PATIENCE_AMONG_MANY", 0.2)
    jobs = jobs_in(tmp_path, 4)
    paths = [job.source.path for job in jobs if job.source.path is not None]
    content = paths[2].read_bytes()
    for path in paths[1:3]:
        path.unlink()
        os.mkfifo(path)
    feeding = threading.Thread(target=paths[2].write_bytes, args=(content,), daemon=True)
    feeding.start()
    ended = {outcome.job.source.path: outcome for outcome in outcomes(running.run(jobs, upscaler, PLAN))}
    assert [ended[path].status for path in paths] == ["done", "failed", "done", "done"]
    assert "nobody writes" in str(ended[paths[1]].error)


def test_a_queue_is_bounded_and_can_be_stopped() -> None:
    queue: BoundedQueue[int] = BoundedQueue(most_bytes=10, most_items=3)
    assert all(queue.put(number, size=4) for number in range(2))
    putting = threading.Thread(target=queue.put, args=(2,), kwargs={"size": 4})
    putting.start()
    putting.join(0.05)
    assert putting.is_alive()
    items = iter(queue)
    assert next(items) == 0
    putting.join(5)
    assert not putting.is_alive()
    queue.finish()
    assert list(items) == [1, 2]
    queue.stop()
    assert not queue.put(3, size=99)


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_large_results_go_to_their_file_row_by_row(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch, ending: str, alpha: bool
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (300, 200, 4 if alpha else 3)).astype(np.uint8)
    source, usual, streamed = tmp_path / "a.png", tmp_path / f"usual{ending}", tmp_path / f"streamed{ending}"
    Image.fromarray(pixels).save(source, dpi=(200, 200))
    events = list(running.run([Job(InputFile(source, Path("a.png")), usual)], upscaler, PLAN))
    monkeypatch.setattr(enlarging, "STREAM_FROM", 1)
    monkeypatch.setattr(enlarging, "UNWRITTEN_PARTS", 1000)
    monkeypatch.setattr(Upscaler, "steps", None)  # the way that keeps the result whole
    events = list(running.run([Job(InputFile(source, Path("a.png")), streamed)], upscaler, PLAN))
    assert outcomes(iter(events))[0].status == "done"
    assert any(isinstance(event, Advanced) for event in events)
    assert streamed.read_bytes() == usual.read_bytes()


def test_a_streamed_result_whose_network_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Doubling):
        def forward(self, values: Tensor) -> Tensor:
            result = super().forward(values)
            return result * float("nan") if values.mean() > 0.9 else result

    pixels = np.zeros((300, 40, 3), np.uint8)
    pixels[200:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.setattr(enlarging, "STREAM_FROM", 1)
    upscaler = Upscaler({2: Late()}, choice=choose("cpu", "fp32"), settings=Settings(tile=32, overlap=8))
    ended = outcomes(
        running.run([Job(InputFile(tmp_path / "a.png", Path("a.png")), tmp_path / "b.png")], upscaler, PLAN)
    )
    assert [outcome.status for outcome in ended] == ["failed"]
    assert "not finite" in str(ended[0].error)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_exception_ends_a_result_that_is_written_while_it_is_made(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((400, 40, 3), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(enlarging, "STREAM_FROM", 1)
    rows, waited = enlarging._parts(), threading.Event()
    monkeypatch.setattr(enlarging, "_parts", lambda: rows)

    def end_waiting() -> None:
        waited.set()
        rows.stop()

    rescue = threading.Timer(20, end_waiting)  # lest a failure waits for good
    rescue.start()
    events = running.run([Job(InputFile(tmp_path / "a.png", Path("a.png")), tmp_path / "b.png")], upscaler, PLAN)
    assert any(isinstance(event, Advanced) for event in events)
    with pytest.raises(KeyboardInterrupt):
        list(chain([events.throw(KeyboardInterrupt())], events))
    rescue.cancel()
    assert not waited.is_set()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_streamed_result_that_cannot_be_written_stops_the_network(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(np.zeros((400, 40, 3), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(enlarging, "STREAM_FROM", 1)
    monkeypatch.setattr(enlarging, "UNWRITTEN_PARTS", 10)

    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("hatcli.image.encode.write_rows_into", full)
    ended = outcomes(
        running.run([Job(InputFile(tmp_path / "a.png", Path("a.png")), tmp_path / "b.png")], upscaler, PLAN)
    )
    assert [type(outcome.error).__name__ for outcome in ended] == ["OutputError"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


class InterruptedAt:
    """Raises KeyboardInterrupt once, at the given place of a run: a line, or the end of a thread pool's `submit`.

    (Not at any line of a thread pool: it would keep its lock.)
    """

    def __init__(self, place: int) -> None:
        self.left, self.before = place, sys.gettrace()

    def __enter__(self) -> InterruptedAt:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if code.co_filename in (running.__file__, writers.__file__):
            return partial(self._reached, "line")
        return partial(self._reached, "return") if code is ThreadPoolExecutor.submit.__code__ else None

    def _reached(self, awaited: str, frame: FrameType, event: str, argument: object) -> Any:
        if event == awaited:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return partial(self._reached, awaited)


def told_until(place: int, jobs: list[Job], upscaler: Upscaler) -> tuple[list[Outcome], bool]:
    """What a run tells that is interrupted at this place, and whether it ended before."""
    told = list[Event]()

    def tell(event: Event) -> None:
        if not told or told[-1] is not event:
            told.append(event)

    with InterruptedAt(place) as interruption, suppress(KeyboardInterrupt):
        running.deliver(running.run(jobs, upscaler, PLAN), tell)
    return outcomes(iter(told)), interruption.left > 0


def test_an_interruption_at_any_line_leaves_no_result_untold(tmp_path: Path, upscaler: Upscaler) -> None:
    jobs, place, is_over = jobs_in(tmp_path, 2), 0, False
    while not is_over:
        place += 5
        told, is_over = told_until(place, jobs, upscaler)
        left = list((tmp_path / "out").glob("*"))
        assert sorted(str(outcome.job.output) for outcome in told) == sorted(str(path) for path in left), place
        for path in left:
            path.unlink()
    assert place > 150
