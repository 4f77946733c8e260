"""How a server ends, and what it remembers when it starts again."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support.serving import Serving, png, size_of


def test_sigterm_leaves_the_job_at_the_next_tile_keeps_the_queue_and_exits_143(tmp_path: Path) -> None:
    with Serving(tmp_path / "state") as server:
        ids = [server.submit(png(400, 400), tile=64).json["id"], server.submit(png()).json["id"]]
        server.wait(ids[0], "running")
        token, family = server.token, server.family()
        assert server.end(signal.SIGTERM) == 143
        assert not [process for process in family if process.is_running()]
    with Serving(tmp_path / "state") as server:
        assert server.token == token
        jobs = server.jobs()
        assert set(jobs) == set(ids)
        assert {job["state"] for job in jobs.values()} <= {"queued", "running"}
        server.ask("POST", f"/api/v1/jobs/{ids[0]}/cancel")
        server.wait(ids[1], "done")
        assert size_of(server.ask("GET", f"/api/v1/jobs/{ids[1]}/result").body) == (24, 18)
        assert server.job(ids[0])["state"] == "cancelled"


def test_the_pages_menu_ends_it_as_sigterm_does(tmp_path: Path) -> None:
    with Serving(tmp_path / "state") as server:
        listening = socket.create_connection(("127.0.0.1", server.port))
        request = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n\r\n"
        listening.sendall(request.encode())
        assert listening.recv(1000).startswith(b"HTTP/1.1 200")
        assert server.ask("POST", "/api/v1/stop").status == 202
        assert server.process.wait(60) == 143
        while listening.recv(1000):  # an open event stream does not hold it up, and ends in order
            pass
        listening.close()


def test_one_state_folder_has_one_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatcli", "serve", "--port", "0", "--no-browser", "--state", str(tmp_path)]
    with Serving(tmp_path):
        second = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert second.returncode == 2
    assert second.stderr.decode().startswith("error: another hat serve uses")
    assert not second.stdout


def test_a_taken_port_is_told_in_two_lines(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "hatcli", "serve", "--port", port, "--state", str(tmp_path)]
        run = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert run.returncode == 2
    assert [line.partition(":")[0] for line in run.stderr.decode().splitlines()] == ["error", "hint"]


def test_another_host_needs_a_name_and_says_what_it_means(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatcli", "serve", "--host", "0.0.0.0", "--state", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert run.returncode == 2
    assert b"--allow-host" in run.stderr
    with Serving(tmp_path, "--host", "0.0.0.0", "--allow-host", "pictures.example") as server:
        assert server.ask("GET", "/api/v1/limits", headers={"Host": "pictures.example:80"}).status == 200
        assert server.ask("GET", "/api/v1/limits", headers={"Host": "other.example"}).status == 421
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stderr is not None
        said = server.process.stderr.read().decode()
    assert "not encrypted" in said


@pytest.mark.parametrize("name", ["pictures.example:80", "http://pictures.example", "bad host", "*", ""])
def test_what_is_no_hosts_name_is_not_allowed(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "hatcli", "serve", "--port", "0", "--no-browser", "--state", str(tmp_path)]
    run = subprocess.run([*command, "--allow-host", name], capture_output=True, timeout=60, check=False)
    assert run.returncode == 2
    assert b"--allow-host" in run.stderr
    assert [line.partition(":")[0] for line in run.stderr.decode().splitlines()] == ["error", "hint"]


def test_a_job_whose_worker_is_killed_is_done_by_the_next_worker(tmp_path: Path) -> None:
    with Serving(tmp_path / "state") as server:
        job = server.submit(png(300, 300), tile=32).json["id"]
        behind = server.submit(png()).json["id"]
        for _ in range(2):
            server.wait(job, "running")
            for worker in server.workers():
                worker.send_signal(signal.SIGKILL)
                psutil.wait_procs([worker], timeout=30)
        done = server.wait(job, "done", "failed")
        assert (done["state"], done["attempts"]) == ("done", 3)
        assert server.wait(behind, "done")["attempts"] == 1
        assert size_of(server.ask("GET", f"/api/v1/jobs/{job}/result").body) == (600, 600)
