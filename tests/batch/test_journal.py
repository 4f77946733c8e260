"""The journal: skips what is still true, redoes what changed, survives torn lines and other runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hatcli.atomic import VanishedError, sweep
from hatcli.batch.journal import Journal
from hatcli.batch.journal_files import NAME
from hatcli.batch.stamps import stamp_file
from hatcli.errors import OutputError, UsageError

SETTINGS = {"scale": 2, "model": "abc"}


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """An input, and its result that a journal knows."""
    source, output = tmp_path / "in" / "a.png", tmp_path / "out" / "a_x2.png"
    for path, content in ((source, b"input"), (output, b"result")):
        path.parent.mkdir()
        path.write_bytes(content)
    record(tmp_path / "out", output, source)
    return source, output


def record(root: Path, output: Path, source: Path) -> None:
    journal = Journal(root, SETTINGS)
    journal.open()
    journal.record(output, source, origin=stamp_file(source), made=stamp_file(output))
    journal.close()


def again(output: Path, settings: dict[str, object] | None = None) -> Journal:
    return Journal(output.parent, SETTINGS if settings is None else settings)


def test_finished_work_is_known_to_a_later_run(made: tuple[Path, Path]) -> None:
    source, output = made
    assert again(output).is_finished(output, source)
    assert again(output).has_made(output)
    assert not again(output).knows(output.with_name("b_x2.png"))


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


CHANGES: dict[str, tuple[Callable[[Path, Path], object], bool]] = {  # and whether the result is the run's still
    "another input": (lambda source, output: source.write_bytes(b"INPUT"), True),
    "a longer input": (lambda source, output: source.write_bytes(b"input and more"), True),
    "a truncated output": (lambda source, output: output.write_bytes(b"res"), False),
    "another output": (lambda source, output: output.write_bytes(b"RESULT"), False),
    "no output": (lambda source, output: output.unlink(), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_not_finished_and_what_others_changed_is_theirs(made: tuple[Path, Path], change: str) -> None:
    source, output = made
    changed, ours = CHANGES[change]
    changed(source, output)
    for path in made:
        if path.exists():
            os.utime(path, ns=(5, 5))  # the time alone could not tell
    assert not again(output).is_finished(output, source)
    assert again(output).has_made(output) is ours
    assert again(output).was_changed(output, source) is (output.exists() and not ours)


def test_a_result_of_an_earlier_way_stays_the_runs_own(made: tuple[Path, Path]) -> None:
    source, output = made
    origin, old = stamp_file(source), stamp_file(output)
    journal = Journal(output.parent, {"scale": 3})
    journal.open()
    journal.record(output, source, origin=origin, made=replace(old, sha256="0" * 64, size=7))
    journal.close()  # killed between the note and the name: the old file is still there
    later = Journal(output.parent, {"scale": 3})
    assert not later.is_finished(output, source)
    assert later.has_made(output)
    later.open()  # which reads the journal once more
    later.close()
    assert later.has_made(output)


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
@pytest.mark.parametrize("odd", ["a link", "a link to nothing", "a pipe", "a folder"])
def test_a_journal_that_is_no_plain_file_is_refused_untouched(tmp_path: Path, odd: str) -> None:
    victim, path = tmp_path / "victim.rc", tmp_path / "out" / NAME
    path.parent.mkdir()
    if odd != "a link to nothing":
        victim.write_text("precious\n")
    if odd.startswith("a link"):
        path.symlink_to(victim)
    elif odd == "a pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(OutputError, match=f"{odd.removesuffix(' to nothing')}|folder"):
        Journal(path.parent, SETTINGS).open()
    assert not victim.exists() if odd == "a link to nothing" else victim.read_text() == "precious\n"


def test_nested_and_endless_lines_are_passed_over(made: tuple[Path, Path]) -> None:
    source, output = made
    with open(output.parent / NAME, "ab") as file:
        file.write(b"[" * 60_000 + b"\n" + b'{"output":' * 6_000 + b"\n" + b"x" * 3_000_000 + b"\n")
    assert again(output).is_finished(output, source)


def test_other_settings_make_it_again(made: tuple[Path, Path]) -> None:
    source, output = made
    assert not again(output, {**SETTINGS, "model": "xyz"}).is_finished(output, source)


def test_a_copied_archive_is_still_finished(made: tuple[Path, Path]) -> None:
    source, output = made
    _touch(source)
    _touch(output)
    assert again(output).is_finished(output, source)
    moved = source.rename(source.with_name("elsewhere.png"))
    assert again(output).is_finished(output, moved)


def test_the_journal_may_be_cut_anywhere(made: tuple[Path, Path]) -> None:
    source, output = made
    path = output.parent / NAME
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert not again(output).is_finished(output, source) or length == len(content) - 1
        record(output.parent, output, source)
        assert again(output).is_finished(output, source), f"cut at {length}"


def test_rubbish_lines_are_passed_over(made: tuple[Path, Path]) -> None:
    source, output = made
    with open(output.parent / NAME, "ab") as file:
        file.write(b'\0\0\xff\n[]\n{"output": 3}\n{"output": "x.png", "made": [1]}\n')
    assert again(output).is_finished(output, source)
    assert not again(output).is_finished(output.with_name("x.png"), source)


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe [red]\x1b[31m\n.png"))
    try:
        source.write_bytes(b"input")
    except OSError:
        pytest.skip("this file system takes text only")
    output = source.with_name(source.stem + "_x2.png")
    output.write_bytes(b"result")
    record(tmp_path, output, source)
    assert Journal(tmp_path, SETTINGS).is_finished(output, source)


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, SETTINGS), Journal(tmp_path, SETTINGS)
    first.open()
    with pytest.raises(UsageError, match="another run"):
        second.open()
    first.close()
    second.open()
    second.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open files")
def test_nothing_is_made_any_more_when_the_journal_was_removed(made: tuple[Path, Path]) -> None:
    source, output = made
    journal = again(output)
    journal.open()
    (output.parent / NAME).unlink()  # as `rm -rf` does before it finds that the folder is not empty any more
    with pytest.raises(VanishedError, match="was removed"):
        journal.record(output, source, origin=stamp_file(source), made=stamp_file(output))
    journal.close()
    assert not (output.parent / NAME).exists()


def test_a_folder_that_cannot_be_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        Journal(tmp_path / "file" / "out", SETTINGS).open()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_a_disk_that_takes_no_line_is_told_once_and_the_journal_can_be_closed(made: tuple[Path, Path]) -> None:
    import resource

    source, output = made
    journal = again(output)
    journal.open()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 10, before[1]))
    try:
        with pytest.raises(OutputError, match="grows larger"):
            journal.record(output, source, origin=stamp_file(source), made=stamp_file(output))
        journal.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    record(output.parent, output, source)
    assert again(output).is_finished(output, source)


def test_settings_are_written_once_for_each_way(made: tuple[Path, Path]) -> None:
    source, output = made
    record(output.parent, output, source)
    lines = (output.parent / NAME).read_text().splitlines()
    assert sum('"settings"' in line for line in lines) == 1
    assert len(lines) == 3


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there anyway")
def test_only_temporary_files_that_nobody_holds_are_swept(tmp_path: Path) -> None:
    import fcntl

    left, held, young, other = (
        tmp_path / name
        for name in (f".hat-{1:012x}.part", f".hat-{2:012x}.part", f".hat-{3:012x}.part", ".hat-mine.part")
    )
    for path in (left, held, young, other):
        path.write_bytes(b"")
    for path in (left, held, other):
        os.utime(path, (1, 1))
    with open(held, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert sweep({tmp_path, tmp_path / "missing"}) == 1
    assert not left.exists()
    assert all(path.exists() for path in (held, young, other))
