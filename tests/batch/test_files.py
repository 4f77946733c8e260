"""Inputs to jobs: what is found, what is passed over, and what is refused before any work."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hatcli.batch import files
from hatcli.batch.files import Found, InputFile, Job, Naming
from hatcli.errors import OutputError, UsageError


def png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(path, "PNG")
    return path


def find(*inputs: str | Path, recursive: bool = False, **naming: str) -> Found:
    return files.find([str(given) for given in inputs], recursive=recursive, naming=Naming(**naming))


def places(found: Found) -> list[str]:
    return [file.place.as_posix() for file in found.files]


def test_a_folder_gives_its_pictures_sorted_and_counts_the_rest(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "sub/c.png"):
        png(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    found = find(tmp_path)
    assert (places(found), found.passed_over, found.from_folder) == (["a.png", "b.png"], 1, True)
    assert places(find(tmp_path, recursive=True)) == ["a.png", "b.png", "sub/c.png"]


def test_hidden_files_and_folders_are_left_out_unless_named(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    png(tmp_path / ".b.png")
    png(tmp_path / ".cache" / "c.png")
    assert places(find(tmp_path, recursive=True)) == ["a.png"]
    assert places(find(tmp_path / ".b.png")) == [".b.png"]


def test_own_results_are_not_picked_up_again(tmp_path: Path) -> None:
    for name in ("a.png", "a_x4.png", "a_x2.5.webp", "b_x4.png"):
        png(tmp_path / name)
    assert places(find(tmp_path)) == ["a.png", "b_x4.png"]  # b_x4 is nobody's result here
    assert places(find(tmp_path / "a_x4.png")) == ["a_x4.png"]  # unless it is named


def test_links_in_circles_end(tmp_path: Path) -> None:
    png(tmp_path / "sub" / "a.png")
    try:
        (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "self").symlink_to("self")
    except OSError:
        pytest.skip("no links here")
    assert places(find(tmp_path, recursive=True)) == ["sub/a.png"]


def test_each_picture_is_found_once(tmp_path: Path) -> None:
    picture = png(tmp_path / "a.png")
    assert len(find(picture, tmp_path, picture).files) == 1


def test_globs_and_lists_name_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a1.png", "a2.png", "sub/b [1].png"):
        png(tmp_path / name)
    assert places(find(tmp_path / "a?.png")) == ["a1.png", "a2.png"]
    assert places(find(tmp_path / "**" / "*.png")) == ["a1.png", "a2.png", "b [1].png"]
    assert places(find(tmp_path / "sub" / "b [1].png")) == ["b [1].png"]  # an existing name is no pattern
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a2.png'}\n\n{tmp_path / 'a1.png'}\n")
    assert places(find(f"@{tmp_path / 'list.txt'}")) == ["a2.png", "a1.png"]
    monkeypatch.chdir(tmp_path)
    png(tmp_path / "@odd.png")
    assert places(find("@odd.png")) == ["@odd.png"]


@pytest.mark.parametrize("given", ["missing.png", "*.nothing", "@missing.txt", "x" * 5000, "a\0b"])
def test_what_is_not_there_is_refused(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        find(given)


def test_a_folder_without_pictures_and_stdin_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no picture"):
        find(tmp_path)
    with pytest.raises(UsageError, match="stdin"):
        find("-", "-")


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png(tmp_path / "a.png")
    (tmp_path / "locked").mkdir()
    really = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find(tmp_path, recursive=True)
    assert places(found) == ["a.png"]
    assert [str(error.filename) for error in found.unreadable] == [str(tmp_path / "locked")]


def job(source: Path, output: Path, *, at_least: int = 0) -> Job:
    return Job(InputFile(source, Path(source.name)), output, at_least=at_least)


def test_two_results_of_one_name_are_refused(tmp_path: Path) -> None:
    a, b = png(tmp_path / "a.png"), png(tmp_path / "b.png")
    with pytest.raises(UsageError, match="both become"):
        files.check_outputs([job(a, tmp_path / "x.png"), job(b, tmp_path / "sub" / ".." / "x.png")])


def test_a_result_over_an_input_is_refused_also_through_links(tmp_path: Path) -> None:
    a, b = png(tmp_path / "a.png"), png(tmp_path / "b.png")
    ways = [a, b, tmp_path / "sub" / ".." / "a.png"]
    try:
        (tmp_path / "soft.png").symlink_to(a)
        (tmp_path / "hard.png").hardlink_to(b)
        ways += [tmp_path / "soft.png", tmp_path / "hard.png"]
    except OSError:
        pass  # no links here: the plain ways remain
    for way in ways:
        with pytest.raises(UsageError, match="is the input"):
            files.check_outputs([job(a, way), job(b, tmp_path / "y.png")])


def test_a_result_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        files.check_outputs([job(png(tmp_path / "a.png"), tmp_path / "out.png")])


def test_a_place_that_cannot_be_written_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    picture = png(tmp_path / "a.png")
    with pytest.raises(OutputError):
        files.check_targets([job(picture, picture / "sub" / "x.png")])  # below a file
    files.check_targets([job(picture, tmp_path / "new" / "deep" / "x.png")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_too_little_disk_is_refused(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    jobs = [job(tmp_path / "a.png", tmp_path / "new" / f"{n}.png", at_least=free * 2 // 3) for n in range(2)]
    files.check_room(jobs[:1])
    with pytest.raises(OutputError, match="at least"):
        files.check_room(jobs)


@pytest.mark.parametrize("stem", ["x" * 251, "ü" * 125, "漢" * 83])
def test_a_stem_too_long_for_the_suffix_is_cut_between_letters(stem: str) -> None:
    source = InputFile(None, Path(f"{stem}.png"))
    name = Naming().file_name(source, scale=4, width=1, height=1, source_format="PNG")
    assert len(os.fsencode(name)) <= 255
    assert name.endswith("_x4.png")
    assert stem.startswith(name.removesuffix("_x4.png"))


@pytest.mark.parametrize("template", ["a/b", "{nothing}", "{", "{stem.x}", "{stem:d}", "{0}", "{}"])
def test_templates_that_cannot_be_meant_are_refused(template: str) -> None:
    with pytest.raises(UsageError):
        Naming(name=template)
