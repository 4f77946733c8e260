"""Inputs to pictures: what is found, what is passed over, what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.pictures import small_png

from hatcli.batch import inputs as searching
from hatcli.batch.inputs import Found
from hatcli.batch.naming import Naming
from hatcli.errors import UsageError


def find(*inputs: str | Path, recursive: bool = False, **naming: str) -> Found:
    return searching.find([str(given) for given in inputs], recursive=recursive, naming=Naming(**naming))


def places(found: Found) -> list[str]:
    return [file.place.as_posix() for file in found.files]


def test_a_folder_gives_its_pictures_sorted_and_counts_the_rest(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "sub/c.png"):
        small_png(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    found = find(tmp_path)
    assert (places(found), found.passed_over, found.from_folder) == (["a.png", "b.png"], 1, True)
    assert places(find(tmp_path, recursive=True)) == ["a.png", "b.png", "sub/c.png"]


def test_hidden_files_and_folders_are_left_out_unless_named(tmp_path: Path) -> None:
    small_png(tmp_path / "a.png")
    small_png(tmp_path / ".b.png")
    small_png(tmp_path / ".cache" / "c.png")
    assert places(find(tmp_path, recursive=True)) == ["a.png"]
    assert places(find(tmp_path / ".b.png")) == [".b.png"]


def test_own_results_are_not_picked_up_again(tmp_path: Path) -> None:
    for name in ("a.png", "a_x4.png", "a_x2.5.webp", "b_x4.png"):
        small_png(tmp_path / name)
    assert places(find(tmp_path)) == ["a.png", "b_x4.png"]  # b_x4 is nobody's result here
    assert places(find(tmp_path / "a_x4.png")) == ["a_x4.png"]  # unless it is named


def test_links_in_circles_end(tmp_path: Path) -> None:
    small_png(tmp_path / "sub" / "a.png")
    try:
        (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "self").symlink_to("self")
    except OSError:
        pytest.skip("no links here")
    assert places(find(tmp_path, recursive=True)) == ["sub/a.png"]


def test_each_picture_is_found_once(tmp_path: Path) -> None:
    picture = small_png(tmp_path / "a.png")
    assert len(find(picture, tmp_path, picture).files) == 1


def test_globs_and_lists_name_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a1.png", "a2.png", "sub/b [1].png"):
        small_png(tmp_path / name)
    assert places(find(tmp_path / "a?.png")) == ["a1.png", "a2.png"]
    assert places(find(tmp_path / "**" / "*.png")) == ["a1.png", "a2.png", "b [1].png"]
    assert places(find(tmp_path / "sub" / "b [1].png")) == ["b [1].png"]  # an existing name is no pattern
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a2.png'}\n\n{tmp_path / 'a1.png'}\n")
    assert places(find(f"@{tmp_path / 'list.txt'}")) == ["a2.png", "a1.png"]
    monkeypatch.chdir(tmp_path)
    small_png(tmp_path / "@odd.png")
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
    small_png(tmp_path / "a.png")
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
