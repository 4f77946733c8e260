"""A worker that hangs, crashes, babbles or speaks late costs one job at most."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from hatcli.serve import oom
from hatcli.serve.child import Child
from hatcli.serve.jobs import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job
from hatcli.serve.limits import Limits
from hatcli.serve.queue import MOST_CRASHES, MOST_KILLS, Queue
from hatcli.serve.state import State, new_id
from hatcli.serve.supervisor import MOST_HELD, Supervisor

WORKER = """
import json, os, signal, sys, threading, time
def say(**fields):
    print(json.dumps(fields), flush=True)
def done(attempt):
    say(event="done", attempt=attempt, width=2, height=2, source_width=1, source_height=1, seconds=0.1,
        model="fake", notes=[], result_bytes=3)
written = None
say(event="ready", device="fake", precision="fp32", why="for a test")
for line in sys.stdin:
    asked = json.loads(line)
    attempt, name = asked["attempt"], asked.get("name", "")
    if written is not None and asked["do"] == "run":
        done(written)
        written = None
    if asked["do"] == "stop":
        say(event="stopped", attempt=attempt)
    elif name == "hang":
        time.sleep(1000)
    elif name == "crash":
        sys.exit(3)
    elif name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "babble":
        print("{not json", flush=True)
        time.sleep(1000)
    elif name == "slow":
        say(event="progress", attempt=attempt, done=0.25, tile=1, tiles=4)
    elif name == "written with the next":
        say(event="writing", attempt=attempt)
        written = attempt
    elif name == "written for a second":
        say(event="writing", attempt=attempt)
        threading.Timer(1.0, done, [attempt]).start()
    else:
        say(event="progress", attempt="another:1", done=0.5, tile=1, tiles=2)
        done(attempt)
"""


class Place:
    """A queue, a state folder and a supervisor over fake workers."""

    def __init__(self, folder: Path, patience: float) -> None:
        self.state = State(folder)
        self.queue = Queue(self.state.database, max_jobs=100)
        limits = replace(Limits(), patience=patience)
        self.starts = 0
        self.supervisor = Supervisor(self.queue, self.state, limits, self.start_worker)

    def start_worker(self) -> Child:
        self.starts += 1
        return Child([sys.executable, "-c", WORKER])

    def submit(self, name: str) -> str:
        return self.queue.submit(Job(new_id(), "upscale", name, QUEUED, 0.0, {}, 1, time.time(), output="a.png")).id

    def wait(self, id: str, *states: str) -> Job:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            job = self.queue.get(id)
            assert job is not None
            if job.state in states:
                return job
            time.sleep(0.02)
        raise AssertionError(job)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path / "state", patience=2.0)
    found.supervisor.start()
    yield found
    found.supervisor.stop()
    found.queue.close()
    found.state.close()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hang", "silent"),
        ("crash", "crashed 2 times (code 3)"),
        ("babble", "crashed 2 times"),
        ("killed", f"killed {MOST_KILLS} times"),
    ],
)
def test_a_worker_that_fails_over_a_job_costs_that_job_alone(place: Place, name: str, said: str) -> None:
    bad, good = place.submit(name), place.submit("good")
    failed = place.wait(bad, FAILED, DONE)
    assert failed.state == FAILED
    assert said in (failed.error or "")
    assert failed.hint
    assert failed.exit_code == 1
    assert failed.attempts <= MOST_KILLS
    done = place.wait(good, DONE, FAILED)
    assert done.state == DONE
    assert done.attempts == 1
    assert done.model == "fake"
    assert place.starts >= 2


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_job_over_which_the_kernel_runs_out_of_memory_is_given_up_soon(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oom, "kills", itertools.count().__next__)  # one more between any two looks
    bad, good = place.submit("killed"), place.submit("good")
    failed = place.wait(bad, FAILED, DONE)
    assert failed.error == f"its worker was killed for want of memory {MOST_CRASHES} times"
    assert "more memory than there is" in (failed.hint or "")
    assert place.wait(good, DONE, FAILED).state == DONE


def test_the_kernels_count_is_read(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 3\nswap_ra 0\n")
    assert oom.kills(tmp_path / "vmstat") == 3


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n", "nr_oom_kill 3\n"])
def test_a_system_that_does_not_count_such_kills_says_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "vmstat").write_text(text)
    assert oom.kills(tmp_path / "vmstat") is None
    assert oom.kills(tmp_path / "missing") is None


def test_the_next_job_begins_while_a_result_is_written(place: Place) -> None:
    first, second = place.submit("written with the next"), place.submit("good")
    assert place.wait(first, DONE, FAILED).state == DONE  # it never ends unless the worker gets another job
    assert place.wait(second, DONE, FAILED).state == DONE
    assert place.starts == 1


def test_no_more_than_three_jobs_are_with_a_worker(place: Place) -> None:
    ids = [place.submit("written for a second") for _ in range(5)]
    while any((job := place.queue.get(id)) is None or job.state != DONE for id in ids):
        assert len([job for job in place.queue.jobs() if job.state == RUNNING]) <= MOST_HELD
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["crash", "hang", "babble"])
def test_a_job_whose_result_is_written_outlives_the_next_jobs_failure(place: Place, name: str) -> None:
    innocent, bad = place.submit("written for a second"), place.submit(name)
    assert place.wait(bad, FAILED, DONE).state == FAILED
    done = place.wait(innocent, DONE, FAILED)
    assert done.state == DONE
    assert done.attempts <= 2  # after a crash it has the worker for itself
    assert place.wait(place.submit("good"), DONE, FAILED).state == DONE


def test_a_cancelled_job_frees_its_worker_for_the_next_one(place: Place) -> None:
    slow = place.submit("slow")
    place.wait(slow, RUNNING)
    place.queue.cancel(slow)
    assert place.wait(place.submit("good"), DONE, FAILED).state == DONE
    assert place.wait(slow, CANCELLED).state == CANCELLED
    assert place.starts == 1


def test_a_stopped_supervisor_gives_its_job_back(place: Place) -> None:
    slow = place.submit("slow")
    place.wait(slow, RUNNING)
    place.supervisor.stop()
    job = place.wait(slow, QUEUED)
    assert job.crashes == 0
    assert not place.supervisor.is_alive()
