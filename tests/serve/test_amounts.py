"""Much of everything: long uploads, thousands of jobs and listeners, a disk that is full."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from support.serving import ROOT, Serving, png, size_of

resource = pytest.importorskip("resource", reason="limits of a process are POSIX's")
JOBS = "/api/v1/jobs"


def peak_while(server: Serving, work: contextlib.AbstractContextManager[None]) -> int:
    """The most memory of the server itself in the block."""
    ended, peaks = threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(0.02):
            peaks.append(server.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    with work:
        pass
    ended.set()
    watcher.join()
    return max(peaks)


def pieces(size: int) -> Iterator[bytes]:
    """A TIFF of so many bytes that is no picture: what is measured is the upload."""
    yield b"II*\0"
    left = size - 4
    while left:
        piece = bytes(min(left, 1 << 20))
        left -= len(piece)
        yield piece


def upload(folder: Path, size: int) -> int:
    with Serving(folder, "--max-megabytes", "600") as server:

        @contextlib.contextmanager
        def sending() -> Iterator[None]:
            answer = server.ask("POST", JOBS, pieces(size), {"Content-Length": str(size)}, timeout=300, scale=2)
            assert answer.status in (413, 415, 422), answer.json
            yield

        peak = peak_while(server, sending())
        assert not list((folder / "uploads").iterdir())
    return peak


def test_an_upload_of_60_mb_takes_less_than_100_mb_of_memory(tmp_path: Path) -> None:
    assert upload(tmp_path / "state", 60_000_000) < 100e6


@pytest.mark.slow
def test_an_upload_of_500_mb_takes_less_than_100_mb_of_memory(tmp_path: Path) -> None:
    peak = upload(tmp_path / "state", 500_000_000)
    sys.stdout.write(f"peak {peak / 1e6:.0f} MB\n")
    assert peak < 100e6


def test_more_jobs_than_may_wait_are_refused_and_the_others_kept(tmp_path: Path) -> None:
    flood(tmp_path / "state", most=15, sent=60)


@pytest.mark.slow
def test_ten_thousand_tiny_jobs_are_refused_beyond_the_limit(tmp_path: Path) -> None:
    flood(tmp_path / "state", most=300, sent=10_000)


def flood(folder: Path, *, most: int, sent: int) -> None:
    content = png(400, 400)
    with Serving(folder, "--max-jobs", str(most)) as server:
        busy = server.submit(content, tile=32).json["id"]

        def send(number: int) -> int:
            answer = server.submit(png(), hold=1)
            if answer.status == 429:
                assert answer.json["hint"]
            return answer.status

        with ThreadPoolExecutor(20) as clients:
            statuses = list(clients.map(send, range(sent)))
        assert set(statuses) == {202, 429}
        assert most - 1 <= statuses.count(202) <= most
        assert server.memory() < 100e6
        assert server.ask("GET", "/api/v1/health").json["status"] == "ok"
        server.ask("POST", f"{JOBS}/{busy}/cancel")


def listen(server: Serving, count: int) -> int:
    """The server's memory while so many listen and nothing happens."""
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            line = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            known = f"Host: localhost\r\nAuthorization: Bearer {server.token}"
            line.sendall(f"GET /api/v1/events HTTP/1.1\r\n{known}\r\n\r\n".encode())
            assert line.recv(4096).startswith(b"HTTP/1.1 200")
        id = server.submit(png()).json["id"]
        server.wait(id)
        return server.memory()


def test_fifty_listeners_cost_little(server: Serving) -> None:
    assert listen(server, 50) < 200e6


@pytest.mark.slow
def test_a_thousand_idle_listeners_take_less_than_200_mb(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with Serving(tmp_path / "state") as server:
        memory = listen(server, 1000)
    sys.stdout.write(f"{memory / 1e6:.0f} MB\n")
    assert memory < 200e6


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on files there")
def test_a_file_that_cannot_grow_is_an_answer_and_the_server_lives_on(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    noisy = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (500, 500, 3)).astype(np.uint8)).save(noisy, "PNG")
    with Serving(tmp_path / "state", limit=limit) as server:
        answer = server.submit(bytes(3_000_000))
        assert answer.status == 507
        assert answer.json["hint"]
        assert not list((tmp_path / "state" / "uploads").iterdir())
        job = server.submit(noisy.getvalue())  # its result has 3 MB
        assert job.status == 202
        failed = server.wait(job.json["id"], "failed", "done")
        assert failed["state"] == "failed"
        assert "larger than files may be" in failed["error"]
        assert str(tmp_path) not in failed["error"]
        assert server.ask("GET", f"{JOBS}/{failed['id']}/result").status == 409
        small = server.submit(png()).json["id"]
        assert server.wait(small)["state"] == "done"
        assert not list((tmp_path / "state" / "jobs" / failed["id"]).glob(".hat-*"))


def test_more_than_may_be_kept_is_refused_until_something_is_removed(tmp_path: Path) -> None:
    with Serving(tmp_path / "state", "--max-disk", "5KB") as server:
        first = server.submit(png(30, 30)).json["id"]
        server.wait(first)
        refused = server.submit(png(30, 30))
        assert refused.status == 507
        assert "remove" in refused.json["hint"]
        server.ask("DELETE", f"{JOBS}/{first}")
        assert server.submit(png(10, 10)).status == 202


@pytest.mark.bench
def test_how_long_200_jobs_take_against_the_command_line(tmp_path: Path) -> None:
    """Prints wall and CPU time of `hat upscale` on a folder, and of 20 clients who send the same pictures.

    Both from the start of the program to the last result, with all that this machine has.
    """
    count = int(200 * float(os.environ.get("HAT_STRESS", "1")))
    (tmp_path / "in").mkdir()
    for number in range(count):
        (tmp_path / "in" / f"{number}.png").write_bytes(png(256, 256, seed=number))
    command = [sys.executable, "-m", "hatcli", "upscale", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-s", "2"]
    began, before = time.monotonic(), cpu_seconds()
    subprocess.run([*command, "--device", "cpu"], check=True, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    alone, cpu = time.monotonic() - began, cpu_seconds() - before
    began = time.monotonic()
    with Serving(tmp_path / "state") as server:

        def send(number: int) -> str:
            return str(server.submit((tmp_path / "in" / f"{number}.png").read_bytes()).json["id"])

        with ThreadPoolExecutor(20) as clients:
            ids = list(clients.map(send, range(count)))
        until_done(server)
        results = [server.ask("GET", f"{JOBS}/{id}/result").body for id in ids]
        served = time.monotonic() - began
        processes = [psutil.Process(server.process.pid), *server.family()]
        work = sum(sum(process.cpu_times()[:2]) for process in processes)
        sizes = f"memory {server.memory() / 1e6:.0f} MB"
        times = f"alone {alone:.1f} s, served {served:.1f} s, ratio {served / alone:.3f}"
        sys.stdout.write(f"{times}; CPU {cpu:.1f} s and {work:.1f} s, ratio {work / cpu:.3f}; {sizes}\n")
    assert all(size_of(result) == (512, 512) for result in results)


def cpu_seconds() -> float:
    """Of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(used.ru_utime + used.ru_stime)


def until_done(server: Serving) -> None:
    deadline = time.monotonic() + 1800
    while time.monotonic() < deadline:
        with contextlib.suppress(http.client.HTTPException, OSError):
            text = server.ask("GET", "/api/v1/metrics").body.decode()
            if 'state="queued"} 0' in text and 'state="running"} 0' in text:
                return
        time.sleep(0.2)
    raise AssertionError(json.dumps(server.jobs())[:2000])
