"""Inputs to pictures: what is found, what is passed over, what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.pictures import small_png

from hatcli.batch import inputs as searching
from hatcli.batch.inputs import Found
from hatcli.batch.journal import Journal
from hatcli.batch.naming import Naming
from hatcli.batch.stamps import stamp_file
from hatcli.errors import UsageError


def find(
    *inputs: str | Path, recursive: bool = False, follow_links: bool = False, naming: Naming | None = None
) -> Found:
    given = [str(name) for name in inputs]
    return searching.find(given, recursive=recursive, follow_links=follow_links, naming=naming or Naming())


def names_of(found: Found) -> list[str]:
    return [file.relative.as_posix() for file in found.files]


def test_a_folder_gives_its_pictures_sorted_and_counts_the_rest(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "sub/c.png"):
        small_png(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    found = find(tmp_path)
    assert (names_of(found), found.passed_over, found.from_folder) == (["a.png", "b.png"], 1, True)
    assert names_of(find(tmp_path, recursive=True)) == ["a.png", "b.png", "sub/c.png"]


def test_hidden_files_and_folders_are_left_out_unless_named(tmp_path: Path) -> None:
    small_png(tmp_path / "a.png")
    small_png(tmp_path / ".b.png")
    small_png(tmp_path / ".cache" / "c.png")
    assert names_of(find(tmp_path, recursive=True)) == ["a.png"]
    assert names_of(find(tmp_path / ".b.png")) == [".b.png"]


def test_own_results_are_not_picked_up_again(tmp_path: Path) -> None:
    for name, size in {"a.png": (4, 6), "a_x4.png": (16, 24), "a_x2.5.webp": (10, 15), "b_x4.png": (16, 24)}.items():
        small_png(tmp_path / name, size=size)
    small_png(tmp_path / "c.png")
    small_png(tmp_path / "c_x2.png", size=(50, 50))  # named like a result, and none
    assert names_of(find(tmp_path)) == ["a.png", "b_x4.png", "c.png", "c_x2.png"]  # b_x4 is nobody's result here
    assert names_of(find(tmp_path / "a_x4.png")) == ["a_x4.png"]  # unless it is named
    assert names_of(find(tmp_path / "a.png", tmp_path / "a_x4.png")) == ["a.png"]  # as a shell's pattern names it
    assert names_of(find(tmp_path / "a*.png")) == ["a.png"]


@pytest.mark.parametrize(
    ("naming", "name"),
    [
        (Naming(suffix="_big"), "a_big.png"),
        (Naming(name="{stem}_{model}_x{scale}"), "a_hat-t_x2.png"),
        (Naming(name="big-{stem}-{width}x{height}-{stem}"), "big-a-8x12-a.png"),
        (Naming(name="{ext}-{stem}-{scale}"), "png-a-2.png"),
    ],
)
def test_own_results_of_any_naming_are_known_by_name_and_size(tmp_path: Path, naming: Naming, name: str) -> None:
    small_png(tmp_path / "a.png", size=(4, 6))
    small_png(tmp_path / name, size=(8, 12))
    assert names_of(find(tmp_path, naming=naming)) == ["a.png"]
    small_png(tmp_path / name, size=(9, 30))
    assert set(names_of(find(tmp_path, naming=naming))) == {"a.png", name}


def recorded(root: Path, source: Path, output: Path) -> None:
    journal = Journal(root, {})
    journal.open()
    journal.record(output, source, origin=stamp_file(source), made=stamp_file(output))
    journal.close()


def test_what_a_journal_knows_is_no_input_beside_its_source(tmp_path: Path) -> None:
    source, result = small_png(tmp_path / "g" / "a.png"), small_png(tmp_path / "g" / "sub" / "odd name.png")
    recorded(tmp_path / "g", source, result)
    assert names_of(find(tmp_path / "g", recursive=True)) == ["a.png"]
    assert names_of(find(tmp_path / "g" / "**" / "*.png")) == ["a.png"]
    assert names_of(find(source, result)) == ["a.png"]
    assert names_of(find(result)) == ["odd name.png"]  # to enlarge it once more
    assert names_of(find(tmp_path / "g" / "sub")) == ["odd name.png"]
    (tmp_path / "g").rename(tmp_path / "h")
    beside = small_png(tmp_path / "h" / "b.png")
    recorded(tmp_path / "h", tmp_path / "h" / "a.png", beside)
    (tmp_path / "h").rename(tmp_path / "i")  # and the whole folder moved
    assert "b.png" not in names_of(find(tmp_path / "i"))


def test_a_result_whose_source_is_gone_is_no_input_but_another_picture_of_its_name_is(tmp_path: Path) -> None:
    source, result = small_png(tmp_path / "a.png"), small_png(tmp_path / "a_x2.png")
    small_png(tmp_path / "b.png")
    recorded(tmp_path, source, result)
    source.unlink()
    assert names_of(find(tmp_path)) == ["b.png"]
    small_png(result, size=(7, 7))
    assert names_of(find(tmp_path)) == ["a_x2.png", "b.png"]


def test_a_name_of_a_picture_with_no_picture_in_it_is_an_input_that_will_fail(tmp_path: Path) -> None:
    small_png(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("<!doctype html>")
    (tmp_path / "c.webp").write_text("version https://git-lfs.github.com/spec/v1")
    (tmp_path / "d.heic").write_bytes(b"garbage")
    (tmp_path / "e.tif").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    found = find(tmp_path)
    assert names_of(found) == ["a.png", "b.jpg", "c.webp", "d.heic", "e.tif"]
    assert found.passed_over == 1
    assert "notes.txt" in found.details[0]


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
def test_links_to_pictures_and_pipes_in_folders_are_told(tmp_path: Path) -> None:
    small_png(tmp_path / "original.png")
    (tmp_path / "a_link.png").symlink_to("original.png")
    (tmp_path / "nothing.png").symlink_to("missing.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    for given in (tmp_path, tmp_path / "*"):
        found = find(given)
        assert sorted(names_of(found)) == ["nothing.png", "original.png"]
        assert "a_link.png is the same file as" in found.remarks[0]
        assert [Path(str(error.filename)).name for error in found.unreadable] == ["pipe.png"]
        assert found.passed_over == 2  # the link, and the pipe that is not named like a picture


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_links_to_folders_are_followed_only_when_asked(tmp_path: Path) -> None:
    small_png(tmp_path / "elsewhere" / "deep" / "b.png")
    small_png(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "named").symlink_to(tmp_path / "in", target_is_directory=True)
    for given in (tmp_path / "in", tmp_path / "named"):  # a link that was named is meant
        found = find(given, recursive=True)
        assert names_of(found) == ["a.png"]
        assert "--follow-links" in found.remarks[0]
    assert names_of(find(tmp_path / "in" / "**" / "*.png")) == ["a.png"]
    for given in (tmp_path / "in", tmp_path / "in" / "**" / "*.png"):
        found = find(given, recursive=True, follow_links=True)
        assert {file.path.name: file.linked for file in found.files if file.path} == {"a.png": False, "b.png": True}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_list_may_have_a_mark_and_any_line_ends(tmp_path: Path, encoding: str, newline: str) -> None:
    names = [str(small_png(tmp_path / name)) for name in ("ä.png", "b\u2028c.png")]
    (tmp_path / "list.txt").write_bytes((newline.join(names) + newline).encode(encoding))
    assert names_of(find(f"@{tmp_path / 'list.txt'}")) == ["ä.png", "b\u2028c.png"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    small_png(tmp_path / "sub" / "a.png")
    try:
        (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "self").symlink_to("self")
    except OSError:
        pytest.skip("no links here")
    for follow_links in (False, True):
        assert names_of(find(tmp_path, recursive=True, follow_links=follow_links)) == ["sub/a.png"]


def test_each_picture_is_found_once(tmp_path: Path) -> None:
    picture = small_png(tmp_path / "a.png")
    assert len(find(picture, tmp_path, picture).files) == 1


def test_globs_and_lists_name_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a1.png", "a2.png", "sub/b [1].png"):
        small_png(tmp_path / name)
    assert names_of(find(tmp_path / "a?.png")) == ["a1.png", "a2.png"]
    assert names_of(find(tmp_path / "**" / "*.png")) == ["a1.png", "a2.png", "b [1].png"]
    assert names_of(find(tmp_path / "sub" / "b [1].png")) == ["b [1].png"]  # an existing name is no pattern
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a2.png'}\n\n{tmp_path / 'a1.png'}\n")
    assert names_of(find(f"@{tmp_path / 'list.txt'}")) == ["a2.png", "a1.png"]
    monkeypatch.chdir(tmp_path)
    small_png(tmp_path / "@odd.png")
    assert names_of(find("@odd.png")) == ["@odd.png"]


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
    assert names_of(found) == ["a.png"]
    assert [str(error.filename) for error in found.unreadable] == [str(tmp_path / "locked")]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_strangers_journal_in_a_folder_open_to_all_is_not_believed(tmp_path: Path) -> None:
    source, other = small_png(tmp_path / "mine" / "a.png"), small_png(tmp_path / "mine" / "b.png")
    recorded(tmp_path, source, other)
    assert names_of(find(tmp_path / "mine")) == ["a.png"]
    os.chown(tmp_path / ".hat-journal", 12345, 12345)
    assert names_of(find(tmp_path / "mine")) == ["a.png", "b.png"]
