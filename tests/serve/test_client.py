"""`hat upscale --server`: the same command, the work done by a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.serving import ROOT, Serving, png, size_of, until

from hatcli.batch.journal_files import NAME


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
    assert {path.name for path in out.iterdir()} == {NAME, *(f"ä{number}_x2.png" for number in range(3))}
    again = hat(folder / "ä0.png", "-o", out / "ä0_x2.png", "-s", "2", "--server", f"{url}/?token={server.token}")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def outcomes(run: subprocess.CompletedProcess[str]) -> dict[str, str]:
    told = [json.loads(line) for line in run.stdout.splitlines()]
    kinds = ("done", "skipped", "failed")
    return {Path(event["input"]).name: event["event"] for event in told if event["event"] in kinds}


def test_a_second_run_sends_only_what_is_not_true_any_more(server: Serving, folder: Path) -> None:
    out, url = folder / "out", f"http://127.0.0.1:{server.port}"
    (folder / "bad.png").unlink()
    asked = (folder, "-o", out, "-s", "2", "--json")
    there = ("--server", url, "--token", server.token)
    assert outcomes(hat(*asked, *there)) == {f"ä{number}.png": "done" for number in range(3)}
    assert set(outcomes(hat(*asked, *there)).values()) == {"skipped"}
    lines = (out / NAME).read_text().splitlines(keepends=True)
    (out / NAME).write_text("".join(line for line in lines if "ä0_x2" not in json.loads(line).get("output", "")))
    assert outcomes(hat(*asked, *there)) == {"ä0.png": "done", "ä1.png": "skipped", "ä2.png": "skipped"}
    (folder / "ä1.png").write_bytes(png(20, 20))
    (out / "ä2_x2.png").unlink()
    again = hat(*asked, *there)
    assert outcomes(again) == {"ä0.png": "skipped", "ä1.png": "done", "ä2.png": "done"}, again.stderr
    assert size_of((out / "ä1_x2.png").read_bytes()) == (40, 40)
    assert set(outcomes(hat(*asked, *there, "--tile", "64")).values()) == {"done"}
    assert set(outcomes(hat(*asked, "--device", "cpu", "--overwrite")).values()) == {"done"}  # not made here so far
    assert set(outcomes(hat(*asked, "--device", "cpu")).values()) == {"skipped"}


def test_a_killed_client_goes_on_where_it_was(server: Serving, folder: Path) -> None:
    out, url = folder / "out", f"http://127.0.0.1:{server.port}"
    (folder / "bad.png").unlink()
    for number in range(20):
        (folder / f"{number}.png").write_bytes(png(60, 60, seed=number))
    asked = ("-m", "hatcli", "upscale", folder, "-o", out, "-s", "2", "--server", url, "--token", server.token)
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, *map(str, asked)], env=known, stderr=subprocess.DEVNULL) as process:
        until(lambda: process.poll() is not None or len(list(out.glob("*_x2.png"))) > 2)
        process.kill()
    made = {path.name: path.read_bytes() for path in out.glob("*_x2.png")}
    assert all(size_of(content) for content in made.values())
    run = hat(folder, "-o", out, "-s", "2", "--server", url, "--token", server.token, "--json")
    assert list(outcomes(run).values()).count("skipped") == len(made) >= 3
    assert "failed" not in outcomes(run).values()
    assert len(list(out.glob("*_x2.png"))) == 23
    for id in server.jobs():
        server.ask("DELETE", f"/api/v1/jobs/{id}")


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
