"""The journal in parts: runs side by side, overlaps refused, everything found by every later run; and its status."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hatcli.batch.journal import Journal
from hatcli.batch.journal_files import NAME, name_of
from hatcli.batch.shards import WHOLE, Shard
from hatcli.batch.stamps import stamp_file
from hatcli.batch.status import status_of
from hatcli.errors import InputError, UsageError

SETTINGS = {"scale": 2}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(out: Path, shard: Shard, held: ExitStack, settings: dict[str, int] | None = None) -> Journal:
    journal = Journal(out, settings or SETTINGS, shard=shard)
    held.callback(journal.close)
    journal.open()
    return journal


def make(journal: Journal, out: Path, name: str, content: bytes = b"result") -> tuple[Path, Path]:
    """A result and its source, noted."""
    source, output = out.parent / "in" / name, out / name
    source.write_bytes(b"input")
    output.write_bytes(content)
    journal.record(output, source, origin=stamp_file(source), made=stamp_file(output))
    return output, source


def test_runs_over_other_parts_go_side_by_side_and_the_same_part_is_refused(out: Path, held: ExitStack) -> None:
    for number in range(1, 4):
        opened(out, Shard(number, 3), held)
    for shard in (Shard(2, 3), WHOLE, Shard(1, 2), Shard(5, 6)):
        with pytest.raises(UsageError, match="another run"):
            opened(out, shard, held)


def test_a_whole_run_keeps_every_part_out(out: Path, held: ExitStack) -> None:
    opened(out, WHOLE, held)
    with pytest.raises(UsageError, match="another run writes to"):
        opened(out, Shard(3, 16), held)


def test_parts_of_ended_runs_stand_in_nobodys_way(out: Path, held: ExitStack) -> None:
    for shard in (Shard(1, 2), WHOLE, Shard(3, 7), Shard(1, 2)):
        with ExitStack() as one:
            opened(out, shard, one)


@pytest.mark.parametrize("later", [WHOLE, Shard(1, 5), Shard(2, 3)], ids=str)
@pytest.mark.parametrize("earlier", [WHOLE, Shard(2, 3)], ids=str)
def test_what_any_part_has_made_is_finished_for_every_later_run(out: Path, earlier: Shard, later: Shard) -> None:
    with ExitStack() as one:
        output, source = make(opened(out, earlier, one), out, "a.png")
    journal = Journal(out, SETTINGS, shard=later)
    assert journal.is_finished(output, source)
    assert journal.has_made(output)
    source.write_bytes(b"other")
    assert not journal.is_finished(output, source)


@pytest.mark.parametrize("newer", [WHOLE, Shard(1, 2)], ids=str)
def test_which_file_was_written_last_does_not_decide_what_is_true(out: Path, newer: Shard) -> None:
    with ExitStack() as one:
        make(opened(out, Shard(1, 2), one), out, "a.png", b"old and other")
    with ExitStack() as one:
        output, source = make(opened(out, WHOLE, one), out, "a.png", b"new")
    os.utime(out / name_of(newer), (4e9, 4e9))
    assert Journal(out, SETTINGS).is_finished(output, source)
    output.write_bytes(b"by hand")
    assert not Journal(out, SETTINGS).is_finished(output, source)


def begin(journal: Journal, out: Path, names: list[str], found: int, inputs: str = "in") -> None:
    journal.begin([out / name for name in names], found=found, inputs=inputs)


def test_status_tells_done_failed_passed_missing_changed_and_not_begun(out: Path, held: ExitStack) -> None:
    journal = opened(out, Shard(1, 2), held)
    begin(journal, out, [f"{number}.png" for number in range(6)], found=10)
    outputs = [make(journal, out, f"{number}.png")[0] for number in range(3)]
    outputs[1].write_bytes(b"by hand")
    outputs[2].unlink()
    journal.record_failure(out / "3.png", out.parent / "in" / "3.png", InputError("no picture", hint="look"))
    journal.record_passed(out / "4.png", out.parent / "in" / "4.png", "it is large enough already")
    told = status_of(out)
    assert (told.done, told.passed, told.changed, told.missing) == (1, 1, ["1.png"], ["2.png", "5.png"])
    assert [(failure.output, failure.error, failure.hint) for failure in told.failed] == [
        ("3.png", "no picture", "look")
    ]
    assert (told.not_begun, told.left, told.running) == (4, 6, [Shard(1, 2)])
    assert not told.is_complete


def test_status_forgets_a_failure_that_was_made_good_and_remembers_a_later_one(out: Path, held: ExitStack) -> None:
    journal = opened(out, WHOLE, held)
    begin(journal, out, ["a.png"], found=1)
    failure = (out / "a.png", out.parent / "in" / "a.png", InputError("no picture"))
    journal.record_failure(*failure)
    assert len(status_of(out).failed) == 1
    make(journal, out, "a.png")
    assert status_of(out).is_complete
    assert status_of(out).seconds_left == 0
    journal.record_failure(*failure)
    assert len(status_of(out).failed) == 1


def test_status_follows_a_folder_whose_pictures_change(out: Path) -> None:
    for inputs, names, missing in (
        ("in", ["a.png", "b.png"], ["a.png", "b.png"]),
        ("in", ["b.png", "c.png"], ["b.png", "c.png"]),  # a.png is gone
        ("more", ["d.png"], ["b.png", "c.png", "d.png"]),  # other inputs say nothing of it
    ):
        with ExitStack() as one:
            begin(opened(out, WHOLE, one), out, names, found=len(names), inputs=inputs)
        assert status_of(out).missing == missing


def test_results_of_other_settings_are_missing_until_they_are_made_again(out: Path) -> None:
    with ExitStack() as one:
        journal = opened(out, WHOLE, one)
        begin(journal, out, ["a.png"], found=1)
        make(journal, out, "a.png")
    with ExitStack() as one:
        begin(opened(out, WHOLE, one, {"scale": 4}), out, ["a.png"], found=1)
    assert status_of(out).missing == ["a.png"]


def test_status_reads_torn_and_old_journals_and_writes_nothing(out: Path) -> None:
    with ExitStack() as one:
        journal = opened(out, WHOLE, one)
        begin(journal, out, ["a.png", "b.png"], found=2)
        make(journal, out, "a.png")
    path = out / NAME
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if '"expect"' not in line and '"begun"' not in line) + '\n{"outp')
    before = {entry.name: entry.stat().st_mtime_ns for entry in out.iterdir()}
    assert (status_of(out).done, status_of(out).is_complete) == (1, True)
    assert {entry.name: entry.stat().st_mtime_ns for entry in out.iterdir()} == before


def test_a_hundred_thousand_names_fit_into_lines_that_are_read_again(out: Path, held: ExitStack) -> None:
    names = [f"folder/{'ä' * 40} {number}.png" for number in range(100_000)]
    begin(opened(out, WHOLE, held), out, names, found=len(names))
    size = (out / NAME).stat().st_size
    assert len(status_of(out).missing) == 100_000
    with ExitStack() as one:
        held.close()
        begin(opened(out, WHOLE, one), out, names, found=len(names))
    assert (out / NAME).stat().st_size - size < 1000  # nothing is told twice


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_without_a_journal_has_no_status(tmp_path: Path, there: bool) -> None:
    with pytest.raises(UsageError, match="no run"):
        status_of(tmp_path if there else tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
