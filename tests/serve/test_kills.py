"""kill -9 of the worker, the server or both at any instant: every job ends whole, once, and nothing half is served."""

from __future__ import annotations

import contextlib
import http.client
import random
import signal
import time
from pathlib import Path

import psutil
import pytest
from support.serving import Serving, png, size_of, until

SIDE = 96  # pixels; some tenths of a second of work


def survive(folder: Path, rounds: list[str], *, jobs: int) -> None:
    """Jobs go in, processes are killed, jobs come out."""
    chance = random.Random(7)
    accepted: dict[str, tuple[int, int]] = {}
    server = Serving(folder)
    try:
        for number, victim in enumerate(rounds):
            for extra in range(jobs):
                width, height = SIDE + number, SIDE - extra
                answer = server.submit(png(width, height), name=f"{number}-{extra}.png")
                assert answer.status == 202
                accepted[answer.json["id"]] = (width, height)
            time.sleep(chance.uniform(0, 3.5))
            look_at_results(server, accepted)
            if victim in ("worker", "both"):
                kill(server.workers())
            if victim in ("server", "both"):
                assert server.end(signal.SIGKILL) == -signal.SIGKILL
                server = Serving(folder)
                assert set(server.jobs()) == set(accepted), "a job was lost or doubled"
        for id, (width, height) in accepted.items():
            job = server.wait(id, "done", "failed")
            assert job["state"] == "done", job
            assert size_of(server.ask("GET", f"/api/v1/jobs/{id}/result").body) == (2 * width, 2 * height)
        assert set(server.jobs()) == set(accepted)
    finally:
        assert server.end() == 143
    assert not list((folder / "uploads").iterdir())
    assert not list(folder.rglob("*.part"))
    assert {path.name for path in (folder / "jobs").iterdir()} == set(accepted)


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def look_at_results(server: Serving, accepted: dict[str, tuple[int, int]]) -> None:
    """Whatever can be had is whole."""
    for id, (width, height) in accepted.items():
        with contextlib.suppress(http.client.HTTPException, OSError):
            answer = server.ask("GET", f"/api/v1/jobs/{id}/result")
            assert answer.status in (200, 409)
            if answer.status == 200:
                assert size_of(answer.body) == (2 * width, 2 * height)


def test_no_kill_loses_or_doubles_a_job(tmp_path: Path) -> None:
    survive(tmp_path / "state", ["worker", "both", "server"], jobs=2)


@pytest.mark.stress
def test_no_kill_of_many_loses_or_doubles_a_job(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    chance = random.Random(11)
    survive(tmp_path / "state", [chance.choice(["worker", "server", "both"]) for _ in range(20)], jobs=2)


def test_workers_and_decoders_end_with_a_killed_server(tmp_path: Path) -> None:
    server = Serving(tmp_path / "state")
    until(server.workers)
    family = server.family()
    assert family
    server.end(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
