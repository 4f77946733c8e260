"""What a run leaves to other programs: as asked for, or more on battery."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from support.training_data import TINY_RECIPE, write_pictures

from hatcli.training import priority


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What would have been taken off this process's priority; the tests keep theirs."""
    seen: list[int] = []
    monkeypatch.setattr(os, "nice", seen.append, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return seen


def power(monkeypatch: pytest.MonkeyPatch, plugged: bool | None) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: SimpleNamespace(power_plugged=plugged), raising=False)


@pytest.mark.parametrize(("plugged", "expected"), [(False, [priority.ON_BATTERY]), (True, []), (None, [])])
def test_on_battery_other_programs_go_first(
    monkeypatch: pytest.MonkeyPatch, taken: list[int], plugged: bool | None, expected: list[int]
) -> None:
    power(monkeypatch, plugged)
    assert priority.lower_priority(None) == sum(expected)
    assert taken == expected


@pytest.mark.parametrize("asked", [0, 7, 19])
def test_what_was_asked_for_wins(monkeypatch: pytest.MonkeyPatch, taken: list[int], asked: int) -> None:
    power(monkeypatch, plugged=False)
    assert priority.lower_priority(asked) == asked
    assert sum(taken) == asked


def test_a_machine_without_a_battery_or_a_way_to_look_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, taken: list[int]
) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: None, raising=False)
    assert priority.lower_priority(None) == 0
    monkeypatch.delattr(psutil, "sensors_battery")
    assert priority.lower_priority(None) == 0
    assert taken == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has classes instead")
def test_the_threads_of_a_run_have_its_priority(tmp_path: Path) -> None:
    """Seen from outside: on Linux every thread has a priority of its own."""
    folder = write_pictures(tmp_path / "pictures")
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    words = ["train", folder, "-o", tmp_path / "n.safetensors", "--recipe", tmp_path / "tiny.toml", "--batch", 2]
    words += ["--threads", 2, "--steps", 1_000_000, "--save-steps", 1, "--device", "cpu", "--nice", 5]
    own = psutil.Process().nice()
    with subprocess.Popen([sys.executable, "-m", "hatcli", *map(str, words)], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        said = [next(run.stderr) for _ in range(2)]
        while not (tmp_path / "n.jsonl").exists() or not (tmp_path / "n.jsonl").read_text():
            assert run.poll() is None, run.stderr.read()
        found = [psutil.Process(run.pid).nice()]
        if sys.platform == "linux":
            stats = [(task / "stat").read_text() for task in Path(f"/proc/{run.pid}/task").iterdir()]
            found = [int(stat.rpartition(")")[2].split()[16]) for stat in stats]
            assert len(found) >= 3  # one is the command's own, two are workers
        run.kill()
        run.stderr.read()
    assert "other programs go first (--nice 5)\n" in said
    assert set(found) == {min(19, own + 5)}
