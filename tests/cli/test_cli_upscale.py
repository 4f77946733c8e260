"""Folders through `hat upscale`: resumed, interrupted, oddly named, and told in JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.commands import hat, refused

from hatcli.batch.journal_files import NAME
from hatcli.image import decode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six small pictures, one of them in a folder of its own."""
    for number in range(6):
        place = tmp_path / "in" / ("sub" if number == 5 else "") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 8, 3)).astype(np.uint8)).save(place)
    return tmp_path / "in"


def events(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hat(*arguments, "--json").stdout.splitlines()]


def kinds(*arguments: str | Path) -> dict[str, str]:
    """How each input ended."""
    told = events(*arguments)
    return {
        Path(event["input"]).name: event["event"] for event in told if event["event"] in ("done", "skipped", "failed")
    }


def test_a_second_run_makes_only_what_is_not_true_any_more(folder: Path, weights: Path) -> None:
    out = folder.parent / "out"
    again = (folder, "-r", "-o", out, "-n", weights)
    assert set(kinds(*again).values()) == {"done"}
    assert set(kinds(*again).values()) == {"skipped"}
    results = sorted(path for path in out.rglob("*") if path.is_file() and path.name != NAME)
    contents = [path.read_bytes() for path in results]
    (out / "0_x2.png").write_bytes(contents[0][:-20])
    (out / "1_x2.png").unlink()
    shutil.copy(folder / "0.png", folder / "2.png")
    ended = kinds(*again)
    assert {name for name, kind in ended.items() if kind == "done"} == {"1.png", "2.png"}
    assert (out / "0_x2.png").read_bytes() == contents[0][:-20]  # somebody did that
    assert kinds(*again, "--overwrite")["0.png"] == "done"
    assert (out / "0_x2.png").read_bytes() == contents[0]
    assert (out / "1_x2.png").read_bytes() == contents[1]
    assert set(kinds(*again, "--compression", "9").values()) == {"done"}
    assert not list(out.rglob(".hat-*.part"))


def test_a_result_that_was_retouched_is_kept_and_told(folder: Path, weights: Path) -> None:
    out = folder.parent / "out"
    assert hat(folder, "-o", out, "-n", weights).exit_code == 0
    with Image.open(out / "3_x2.png") as image:
        image.rotate(180).save(out / "3_x2.png")
    retouched = (out / "3_x2.png").read_bytes()
    result = hat(folder, "-o", out, "-n", weights)
    assert result.exit_code == 0
    assert "3.png: its result was changed since" in result.stderr
    assert "3_x2.png was changed since hat made it" in refused(
        hat(folder, "-o", out, "-n", weights, "--compression", "1"), 2
    )
    assert (out / "3_x2.png").read_bytes() == retouched
    assert kinds(folder, "-o", out, "-n", weights, "--overwrite")["3.png"] == "done"
    assert (out / "3_x2.png").read_bytes() != retouched


@pytest.mark.parametrize("way", ["glob", "shell", "suffix", "name"])
def test_every_way_to_name_inputs_can_be_resumed(folder: Path, weights: Path, way: str) -> None:
    def again() -> dict[str, str]:
        shell = sorted(str(path) for path in folder.glob("*.png"))
        arguments = {
            "glob": [str(folder / "*.png")],
            "shell": shell,
            "suffix": [str(folder), "--suffix", "_big"],
            "name": [str(folder), "--name", "{stem}_{model}_x{scale}"],
        }
        return kinds(*arguments[way], "-n", weights)

    assert set(again().values()) == {"done"}
    made = sorted(path for path in folder.glob("*.png") if not path.stem.isdecimal())
    assert len(made) == 5
    made[0].unlink()
    ended = again()
    assert sorted(ended.values()) == ["done", "skipped", "skipped", "skipped", "skipped"]
    assert sorted(path for path in folder.glob("*.png") if not path.stem.isdecimal()) == made


def test_names_of_pictures_without_a_picture_fail_by_name_and_others_are_named_with_v(
    folder: Path, weights: Path
) -> None:
    (folder / "page.jpg").write_text("<!doctype html><html></html>")
    (folder / "a\x1b[31mb.txt").write_text("x")
    result = hat(folder, "-o", folder.parent / "out", "-n", weights, "-v")
    assert result.exit_code == 1
    assert "page.jpg: it is a web page" in result.stderr
    assert "passed over" in result.stderr
    assert "\\x1b[31mb.txt" in result.stderr
    assert "\x1b" not in result.stderr


def test_a_traceback_asked_for_holds_no_escape_sequences(folder: Path, weights: Path) -> None:
    result = hat(folder / "a\x1b[31mb.png", "-n", weights, "-v")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs devices")
def test_a_device_as_output_is_refused_before_any_work_and_stays(folder: Path, weights: Path, tmp_path: Path) -> None:
    before = Path("/dev/null").lstat()
    result = hat(folder / "0.png", "-o", "/dev/null", "-f", "png", "-n", weights, "--overwrite")
    assert "is a device" in refused(result, 5)
    assert (Path("/dev/null").lstat().st_ino, Path("/dev/null").lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.skipif(os.name == "nt", reason="needs links and signals")
def test_an_output_folder_that_becomes_a_link_to_the_originals_hurts_none(tmp_path: Path, weights: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for place in range(80):
        Image.new("RGB", (64, 64), (place % 256, 9, 9)).save(folder / f"{place:03}.png")
    originals = {path.name: path.read_bytes() for path in folder.iterdir()}
    process = running(folder, out, weights, "--suffix", "", "--overwrite")
    while process.poll() is None and len(list(out.glob("*.png"))) < 3:
        time.sleep(0.01)
    out.rename(tmp_path / "moved")
    out.symlink_to(folder, target_is_directory=True)
    _, stderr = process.communicate(timeout=120)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == originals, stderr
    assert len(list((tmp_path / "moved").glob("*.png"))) == 80
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="an open folder cannot be removed there")
def test_an_output_folder_removed_in_the_middle_ends_the_run_and_the_next_one_works(
    tmp_path: Path, weights: Path
) -> None:
    folder, out, last = tmp_path / "in", tmp_path / "out", tmp_path / "last.png"
    folder.mkdir()
    for place in range(20):
        Image.new("RGB", (64, 64), (place % 256, 9, 9)).save(folder / f"{place:03}.png")
    os.mkfifo(last)  # the run cannot end before this one comes, however slow this test is
    process = running(folder, out, weights, str(last))
    while process.poll() is None and len(list(out.glob("*.png"))) < 3:
        time.sleep(0.01)
    gone = tmp_path / "gone"
    out.rename(gone)
    while gone.exists():  # a result may be on its way into it
        shutil.rmtree(gone, ignore_errors=True)
    while process.poll() is None:
        with suppress(OSError):  # nobody reads it yet, or any more
            pipe = os.open(last, os.O_WRONLY | os.O_NONBLOCK)
            os.write(pipe, (folder / "000.png").read_bytes())
            os.close(pipe)
            break
        time.sleep(0.01)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 5, stderr
    assert b"was removed while" in stderr
    assert b"Traceback" not in stderr
    assert not out.exists()
    assert set(kinds(folder, "-o", out, "-n", weights).values()) == {"done"}


def test_a_result_that_no_journal_knows_is_refused_before_any_work(folder: Path, weights: Path) -> None:
    out = folder.parent / "out"
    out.mkdir()
    (out / "3_x2.png").write_bytes(b"precious")
    arguments = (folder, "-o", out, "-n", weights)
    assert "exists" in refused(hat(*arguments), 2)
    assert [path.name for path in out.iterdir()] == ["3_x2.png"]
    assert kinds(*arguments, "--skip-existing")["3.png"] == "skipped"
    assert (out / "3_x2.png").read_bytes() == b"precious"
    assert kinds(*arguments, "--overwrite")["3.png"] == "done"
    assert decode.read(out / "3_x2.png").width == 16


def test_results_beside_the_inputs_are_resumed_too(folder: Path, weights: Path) -> None:
    assert set(kinds(folder, "-r", "-n", weights).values()) == {"done"}
    assert set(kinds(folder, "-r", "-n", weights).values()) == {"skipped"}
    assert (folder / NAME).exists()
    assert not (folder / "sub" / NAME).exists()
    os.utime(folder / "0.png", ns=(1, 1))  # touched, not changed
    assert set(kinds(folder, "-r", "-n", weights).values()) == {"skipped"}


def test_one_named_file_keeps_no_journal(folder: Path, weights: Path) -> None:
    run = hat(folder / "0.png", "-n", weights)
    assert run.exit_code == 0, run.stderr
    assert not list(folder.rglob(NAME))
    assert "exists" in refused(hat(folder / "0.png", "-n", weights), 2)


FIELDS = {
    "start": {"pictures", "model", "device", "precision", "why", "notes"},
    "progress": {"input", "done", "tile", "tiles"},
    "done": {"input", "output", "width", "height", "source_width", "source_height", "seconds", "model", "notes"},
    "skipped": {"input", "output", "reason"},
    "failed": {"input", "error", "hint", "exit_code"},
    "plan": {
        "input", "output", "source_width", "source_height", "width", "height", "passes", "tiles", "frames",
        "model", "jpeg_quality", "whole_image_bytes", "file_bytes", "seconds",
    },
    "estimate": {
        "pictures", "unread", "unread_bytes", "seconds", "seconds_range", "file_bytes",
        "file_bytes_range", "done", "skipped", "failed",
    },
    "summary": {
        "done", "skipped", "failed", "not_started", "passed_over", "seconds", "megapixels_per_second", "device",
        "model", "failures",
    },
}  # fmt: skip


def test_every_event_has_the_fields_it_is_documented_to_have(folder: Path, weights: Path) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    arguments = (folder, "-o", folder.parent / "out", "-n", weights)
    told = [*events(*arguments), *events(*arguments), *events(*arguments, "--dry-run", "--compression", "3")]
    assert {event["event"] for event in told} == set(FIELDS)
    for event in told:
        assert set(event) - {"event"} == FIELDS[event["event"]]
    summary = next(event for event in told if event["event"] == "summary")
    assert (summary["done"], summary["failed"], len(summary["failures"])) == (5, 1, 1)


def test_a_dry_run_estimates_and_writes_nothing(folder: Path, weights: Path) -> None:
    before = sorted(folder.parent.rglob("*"))
    told = events(folder, "-r", "-o", folder.parent / "out", "-n", weights, "--dry-run")
    plans = [event for event in told if event["event"] == "plan"]
    assert [(plan["width"], plan["height"], plan["tiles"]) for plan in plans] == [(16, 18, 1)] * 6
    assert told[-1]["event"] == "estimate"
    assert told[-1]["pictures"] == 6
    assert told[-1]["seconds"] > 0
    assert told[-1]["file_bytes"] == sum(plan["file_bytes"] for plan in plans)
    assert sorted(folder.parent.rglob("*")) == before


NAMES = ["photo[final].png", "[red]x[/red].png", "a\x1b[31mb.png", "ünï 漢字 🎈.png", "line\nbreak.png", "-dash.png",
         "x" * 251 + ".png", "ü" * 125 + ".png", "x\u202egnp.png"]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="names that Windows refuses")
def test_any_name_is_enlarged_and_printed_harmlessly(tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for name in [*NAMES, os.fsdecode(b"\xff\xfe.png")]:
        try:
            shutil.copy(tmp_path / "a.png", folder / name)
        except OSError:  # a file system that takes less
            continue
    (folder / "bad\x1b[2J.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    count = len(list(folder.iterdir()))
    for _ in range(2):
        result = hat(folder, "-o", tmp_path / "out", "-n", weights)
        assert result.exit_code == 1, result.stderr
        assert "\x1b" not in result.stderr
        assert "\u202e" not in result.stderr
        assert result.stderr.count("error: ") == 1
    assert len([path for path in (tmp_path / "out").iterdir() if path.name != NAME]) == count - 1


def running(folder: Path, out: Path, weights: Path, *options: str) -> subprocess.Popen[bytes]:
    named = [str(folder), "-o", str(out), "-n", str(weights), *options]
    command = [sys.executable, "-m", "hatcli", "upscale", *named, "--cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.PIPE, env=environment)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_keeps_finished_files_and_no_others(tmp_path: Path, weights: Path, number: str, code: int) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for place in range(80):
        Image.new("RGB", (64, 64), (place % 256, 9, 9)).save(folder / f"{place:03}.png")
    process = running(folder, out, weights)
    while process.poll() is None and len(list(out.glob("*.png"))) < 3:
        time.sleep(0.01)
    process.send_signal(getattr(signal, number))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    assert b"Traceback" not in stderr
    left = [path for path in out.iterdir() if path.name != NAME]
    assert 3 <= len(left) < 80
    told = re.search(rb"(\d+) done, (\d+) not started", stderr)
    assert told is not None, stderr
    assert [int(number) for number in told.groups()] == [len(left), 80 - len(left)]
    for path in left:
        assert path.suffix == ".png"
        assert decode.read(path).width == 128
    ended = kinds(folder, "-o", out, "-n", weights)
    assert sum(kind == "skipped" for kind in ended.values()) == len(left)
    assert set(ended.values()) == {"skipped", "done"}
