"""Parts of a folder and several devices, as typed: every picture once, whoever makes it, and `hat status` of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.commands import hat, refused
from typer.testing import CliRunner

from hatcli.batch.journal_files import NAME
from hatcli.cli import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(9):
        path = tmp_path / "in" / ("sub" if number > 6 else "") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 8, 3)).astype(np.uint8)).save(path)
    return tmp_path / "in"


def told(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hat(*arguments, "--json").stdout.splitlines()]


def done(*arguments: str | Path) -> list[str]:
    return [Path(event["input"]).name for event in told(*arguments) if event["event"] == "done"]


def status(out: Path) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["status", str(out), "--json"])
    return result.exit_code, json.loads(result.stdout)


def results(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.png")}


def test_parts_make_together_what_one_run_makes_and_nothing_twice(folder: Path, weights: Path) -> None:
    out, calm = folder.parent / "out", folder.parent / "calm"
    command = (folder, "-r", "-n", weights, "-o")
    assert len(done(*command, calm)) == 9
    first = done(*command, out, "--shard", "2/3")
    code, half = status(out)
    assert (code, half["done"], half["not_begun"]) == (1, len(first), 9 - len(first))
    made = [*first, *done(*command, out, "--shard", "1/3"), *done(*command, out, "--shard=3/3")]
    assert sorted(made) == [f"{number}.png" for number in range(9)]
    assert results(out) == results(calm)
    for later in ((), ("--shard", "1/2"), ("--shard", "3/3")):
        assert done(*command, out, *later) == []
    assert status(out)[0] == 0
    Image.new("RGB", (9, 8)).save(folder / "new.png")
    assert [done(*command, out, "--shard", f"{number}/3") for number in (1, 2, 3)].count([]) == 2


def test_two_devices_share_the_pictures_as_one_run(folder: Path, weights: Path) -> None:
    out, calm = folder.parent / "out", folder.parent / "calm"
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    command = (folder, "-r", "-n", weights, "-o")
    hat(*command, calm)
    events = told(*command, out, "--device", "cpu,cpu")
    assert results(out) == results(calm)
    ended = [event["event"] for event in events if event["event"] in ("done", "failed")]
    assert (ended.count("done"), ended.count("failed")) == (9, 1)
    assert (events[0]["pictures"], events[0]["device"]) == (10, "cpu, cpu")
    assert {key: events[-1][key] for key in ("event", "done", "failed", "not_started", "device")} == {
        "event": "summary", "done": 9, "failed": 1, "not_started": 0, "device": "cpu, cpu",
    }  # fmt: skip
    assert hat(*command, out, "-g", "cpu,cpu").exit_code == 1
    (folder / "bad.png").unlink()
    again = hat(*command, out, "--device=cpu,cpu")
    assert (again.exit_code, again.stderr.count("it is finished already")) == (0, 9)
    code, state = status(out)
    assert (code, state["failed"], state["missing"]) == (1, 1, 0)  # only a whole run sees that a picture is gone
    hat(*command, out)
    assert status(out)[0] == 0


def test_a_part_that_another_run_has_is_refused_by_its_device(folder: Path, weights: Path, tmp_path: Path) -> None:
    from hatcli.batch.journal import Journal
    from hatcli.batch.shards import Shard

    out = tmp_path / "out"
    journal = Journal(out, {}, shard=Shard(2, 2))
    journal.open()
    result = hat(folder, "-r", "-o", out, "-n", weights, "--device", "cpu,cpu")
    journal.close()
    assert "cpu, part 2/2: another run writes to" in refused(result, 2)
    assert 0 < len(results(out)) < 9


@pytest.mark.parametrize("typed", [("--device", "cpu,"), ("--device", "cpu,abacus"), ("--shard", "0/3")])
def test_odd_devices_and_parts_are_refused_before_any_work(folder: Path, typed: tuple[str, str], weights: Path) -> None:
    refused(hat(folder, "-r", "-o", folder.parent / "out", "-n", weights, *typed), 2)
    assert not (folder.parent / "out").exists()


def test_several_devices_need_files(folder: Path, weights: Path) -> None:
    result = hat(folder / "1.png", "-o", "-", "-n", weights, "--device", "cpu,cpu")
    assert "stdin or stdout" in refused(result, 2)


def test_status_of_nothing_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", str(tmp_path)])
    assert "no run" in refused(result, 2)


def test_status_says_in_words_what_is_missing_and_why(folder: Path, weights: Path) -> None:
    (folder / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    out = folder.parent / "out"
    hat(folder, "-r", "-o", out, "-n", weights)
    (out / "1_x2.png").unlink()
    result = CliRunner().invoke(app, ["status", str(out)])
    assert result.exit_code == 1
    assert "0.png: its header is damaged" in result.stdout
    assert "missing: 1_x2.png" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="needs signals between processes")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_the_end_of_the_run_is_the_end_of_its_processes(
    tmp_path: Path, weights: Path, sent: signal.Signals, code: int
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(400):
        Image.fromarray(np.full((90, 90, 3), number % 256, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    out = tmp_path / "out"
    words = ["upscale", tmp_path / "in", "-o", out, "-n", weights, "--device", "cpu,cpu", "-x"]
    process = subprocess.Popen([sys.executable, "-m", "hatcli", *map(str, words)], stderr=subprocess.PIPE)
    while len(list(out.glob("*.png"))) < 4:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(sent)
    _, words_said = process.communicate()
    assert process.returncode == code, words_said.decode()
    waited = time.monotonic()
    while status(out)[1]["running"]:  # after a kill they notice when they next tell something
        assert time.monotonic() - waited < 60
        time.sleep(0.1)
    count = len(list(out.glob("*.png")))
    assert count < 400
    if code > 0:
        assert b"finished files stay" in words_said
        assert [path.name for path in out.iterdir() if not path.name.startswith(NAME) and path.suffix != ".png"] == []
        assert status(out)[1]["done"] == count
