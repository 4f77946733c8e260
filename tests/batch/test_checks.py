"""What is refused before any work: results over inputs or each other, places and disks that take none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.pictures import small_png

from hatcli.batch import checks
from hatcli.batch.inputs import InputFile
from hatcli.batch.journal import Journal
from hatcli.batch.plan import Job, Plan
from hatcli.batch.stamps import stamp_file
from hatcli.errors import OutputError, UsageError
from hatcli.upscaling.size import Target


def job(source: Path, output: Path) -> Job:
    return Job(InputFile(source, Path(source.name)), output)


def test_two_results_of_one_name_are_refused(tmp_path: Path) -> None:
    a, b = small_png(tmp_path / "a.png"), small_png(tmp_path / "b.png")
    with pytest.raises(UsageError, match="both become"):
        checks.check_outputs([job(a, tmp_path / "x.png"), job(b, tmp_path / "sub" / ".." / "x.png")])


def test_a_result_over_an_input_is_refused_also_through_links(tmp_path: Path) -> None:
    a, b = small_png(tmp_path / "a.png"), small_png(tmp_path / "b.png")
    ways = [a, b, tmp_path / "sub" / ".." / "a.png"]
    try:
        (tmp_path / "soft.png").symlink_to(a)
        (tmp_path / "hard.png").hardlink_to(b)
        ways += [tmp_path / "soft.png", tmp_path / "hard.png"]
    except OSError:
        pass  # no links here: the plain ways remain
    for way in ways:
        with pytest.raises(UsageError, match="is the input"):
            checks.check_outputs([job(a, way), job(b, tmp_path / "y.png")])


def test_a_result_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        checks.check_outputs([job(small_png(tmp_path / "a.png"), tmp_path / "out.png")])


def test_a_place_that_cannot_be_written_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    picture = small_png(tmp_path / "a.png")
    with pytest.raises(OutputError):
        checks.check_targets([job(picture, picture / "sub" / "x.png")])  # below a file
    checks.check_targets([job(picture, tmp_path / "new" / "deep" / "x.png")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("ignores", [True, False])
def test_names_alike_but_for_case_are_one_where_the_file_system_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignores: bool
) -> None:
    a, b = small_png(tmp_path / "1.png"), small_png(tmp_path / "2.png")
    out = tmp_path / "out"
    jobs = [job(a, out / "A.png"), job(b, out / "a.png")]
    real = Path.lstat
    # what a file system that ignores case would answer
    monkeypatch.setattr(Path, "lstat", lambda path: real(path.with_name(path.name.lower()) if ignores else path))
    if ignores:
        with pytest.raises(UsageError, match="both become"):
            checks.check_outputs(jobs)
    elif not checks.ignores_case(tmp_path):
        checks.check_outputs(jobs)
    with pytest.raises(UsageError, match="both become"):
        checks.check_outputs([job(a, out / "A.png"), job(b, out / "a.png"), job(b, out / "a.png")])
    assert not list(tmp_path.rglob(".hat-*"))


def test_a_drive_that_is_not_there_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: False)  # as for Z:\\x on Windows
    with pytest.raises(OutputError, match="there is no place"):
        checks.check_targets([job(tmp_path / "a.png", tmp_path / "x.png")])


def test_what_another_run_has_made_a_moment_ago_is_not_in_the_way(tmp_path: Path) -> None:
    source, out = small_png(tmp_path / "a.png"), tmp_path / "out"
    jobs = [Job(InputFile(source, Path("a.png")), out / "a_x2.png", out)]
    ours, theirs = Journal(out, {}), Journal(out, {})
    theirs.open()
    result = small_png(out / "a_x2.png")
    with pytest.raises(UsageError, match="exists already"):
        checks.refuse_existing(jobs, Plan(Target()), {out: ours}, is_alike=lambda job: False)
    theirs.record(result, source, origin=stamp_file(source), made=stamp_file(result))
    theirs.close()
    checks.refuse_existing(jobs, Plan(Target()), {out: ours}, is_alike=lambda job: False)


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_folders_behind_links_are_refused_and_nothing_is_tried_in_them(
    tmp_path: Path,
) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    out.mkdir()
    (out / "sub").symlink_to(elsewhere, target_is_directory=True)
    before = elsewhere.stat().st_mtime_ns
    source = InputFile(tmp_path / "a.png", Path("sub/deep/a.png"))
    with pytest.raises(OutputError, match="is a link"):
        checks.check_targets([Job(source, out / "sub" / "deep" / "a.png", out)])
    assert elsewhere.stat().st_mtime_ns == before
    named = tmp_path / "named"
    named.symlink_to(out, target_is_directory=True)
    checks.check_targets([Job(source, named / "deep" / "a.png", named)])  # a link that was named is meant
