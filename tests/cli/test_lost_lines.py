"""Results whose journal's lines were lost, with a power cut or by somebody's hand: found again, and never replaced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import hat, refused
from support.films import film

from hatcli.batch.claims import FOUND_AGAIN
from hatcli.batch.journal_files import NAME


@pytest.fixture
def command(tmp_path: Path, weights: Path) -> tuple[str | Path, ...]:
    """Three small pictures, enlarged once to `out`."""
    for number in range(3):
        place = tmp_path / "in" / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 8, 3)).astype(np.uint8)).save(place)
    words = (tmp_path / "in", "-r", "-o", tmp_path / "out", "-n", weights, "--json")
    assert hat(*words).exit_code == 0
    return words


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != NAME}


def notes_of(stdout: str) -> dict[str, bool]:
    """Whether what was made was found again, by name."""
    told = [json.loads(line) for line in stdout.splitlines()]
    return {Path(event["input"]).name: FOUND_AGAIN in event["notes"] for event in told if event["event"] == "done"}


@pytest.mark.parametrize("lines", range(6))
def test_a_journal_that_was_cut_stops_nothing_and_is_whole_again(
    tmp_path: Path, command: tuple[str | Path, ...], lines: int
) -> None:
    journal = tmp_path / "out" / NAME
    whole, made = journal.read_bytes().splitlines(keepends=True), contents(tmp_path / "out")
    assert len(whole) == 6  # how they are made, that a run began, what it will make, and a line for each
    journal.write_bytes(b"".join(whole[:lines]) + whole[lines][:40])
    again = hat(*command)
    assert again.exit_code == 0, again.stderr
    lost = {f"{number}.png": True for number in range(max(0, lines - 3), 3)}
    assert notes_of(again.stdout) == lost
    assert contents(tmp_path / "out") == made
    third = hat(*command)
    assert (third.exit_code, notes_of(third.stdout)) == (0, {})
    assert '"skipped": 3' in third.stdout


def test_what_is_no_result_is_refused_when_the_result_is_made_and_never_noted(
    tmp_path: Path, command: tuple[str | Path, ...]
) -> None:
    out = tmp_path / "out"
    (out / NAME).write_bytes(b"")
    Image.new("RGB", (16, 18)).save(out / "1_x2.png")  # as large as the result
    others = contents(out)
    for made in ({"0.png": True, "2.png": True}, {}):
        again = hat(*command)
        assert again.exit_code == 1
        assert "1_x2.png is there already" in again.stderr
        assert notes_of(again.stdout) == made
        assert contents(out) == others
    assert '"output": "1_x2.png"' not in (out / NAME).read_text()


@pytest.mark.parametrize("other", ["another size", "no picture"])
def test_what_can_be_no_result_is_refused_before_any_work(
    tmp_path: Path, command: tuple[str | Path, ...], other: str
) -> None:
    out = tmp_path / "out"
    (out / NAME).write_bytes(b"")
    if other == "no picture":
        (out / "1_x2.png").write_bytes(b"precious")
    else:
        Image.new("RGB", (18, 16)).save(out / "1_x2.png")
    (out / "2_x2.png").unlink()
    before = contents(out)
    assert "1_x2.png exists already" in refused(hat(*command), 2)
    assert contents(out) == before
    assert (out / NAME).read_bytes() == b""


def test_a_film_whose_line_was_lost_is_not_made_for_hours_only_to_be_compared(tmp_path: Path, weights: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "in").mkdir()
    film(tmp_path / "in" / "a.mkv", frames=3)
    words = (tmp_path / "in", "-o", tmp_path / "out", "-n", weights, "--json", "--threads", "1")
    first = hat(*words)
    assert first.exit_code == 0, first.stderr
    made = contents(tmp_path / "out")
    (tmp_path / "out" / NAME).write_bytes(b"")
    assert "a_x2.mkv exists already" in refused(hat(*words), 2)
    assert contents(tmp_path / "out") == made
