"""`hat upscale --server`: the same command, the work done by a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.serving import ROOT, Serving, png, size_of


def hat(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatcli", "upscale", *map(str, arguments)]
    known = {name: value for name, value in os.environ.items() if name != "HAT_TOKEN"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False,
        env={**known, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        (tmp_path / f"ä{number}.png").write_bytes(png(12 + number, 9))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    return tmp_path


def test_a_folder_is_enlarged_by_the_server_which_keeps_nothing(server: Serving, folder: Path) -> None:
    before, url = set(server.jobs()), f"http://127.0.0.1:{server.port}"
    out = folder / "out"
    run = hat(folder, "-o", out, "-s", "2", "--server", url, "--json", "--tile", "64", HAT_TOKEN=server.token)
    assert run.returncode == 1, run.stderr
    events: list[Any] = [json.loads(line) for line in run.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] in ("done", "failed")].count("done") == 3
    failed = next(event for event in events if event["event"] == "failed")
    assert failed["input"].endswith("bad.png")
    assert events[-1]["device"] == url
    for number in range(3):
        assert size_of((out / f"ä{number}_x2.png").read_bytes()) == (2 * (12 + number), 18)
    assert set(server.jobs()) == before
    assert {path.suffix for path in out.iterdir()} == {".png"}
    again = hat(folder / "ä0.png", "-o", out / "ä0_x2.png", "-s", "2", "--server", f"{url}/?token={server.token}")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def test_the_result_is_the_one_made_here(server: Serving, folder: Path) -> None:
    url = f"http://127.0.0.1:{server.port}"
    picture = folder / "ä0.png"
    there = hat(picture, "-o", folder / "there.webp", "--lossless", "--server", url, "--token", server.token)
    here = hat(picture, "-o", folder / "here.webp", "--lossless", "--device", "cpu")
    assert (there.returncode, here.returncode) == (0, 0), there.stderr + here.stderr
    assert (folder / "there.webp").read_bytes() == (folder / "here.webp").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--server", "http://127.0.0.1:{port}", "--token", "wrong"], "token is missing or wrong"),
        (["--server", "http://127.0.0.1:{port}"], "wants a token"),
        (["--server", "ftp://x", "--token", "x"], "is no address"),
        (["--server", "http://127.0.0.1:1", "--token", "x"], "does not answer"),
        (["--server", "http://127.0.0.1:{port}", "--token", "x", "--keep-color"], "do not go together"),
        (["--server", "http://127.0.0.1:{port}", "--token", "x", "--name", "{stem}_{model}"], "do not go together"),
        (["--server", "http://127.0.0.1:{port}", "--token", "x", "--dry-run"], "do not go together"),
    ],
)
def test_what_cannot_be_is_told_in_two_lines(server: Serving, folder: Path, arguments: list[str], said: str) -> None:
    before = sorted(folder.rglob("*"))
    filled = [argument.replace("{port}", str(server.port)) for argument in arguments]
    run = hat(folder / "ä0.png", "-s", "2", *filled)
    assert run.returncode in (1, 2)
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert [line.partition(":")[0] for line in run.stderr.splitlines()] == ["error", "hint"]
    assert sorted(folder.rglob("*")) == before
