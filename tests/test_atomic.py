"""The one way out for results: whole or absent, never through a link, never over what is not to be replaced."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hatcli.atomic import VanishedError, hold, replacing, sweep, take
from hatcli.errors import OutputError, UsageError
from hatcli.folder import Folder
from hatcli.outside import NotPlainError, TooLargeError, open_plain, read_bounded

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")


def put(path: Path, *, replace: bool = True, meanwhile: Callable[[], object] = lambda: None) -> None:
    """A file with `result` in it; `meanwhile` happens before it is finished."""
    with replacing(path, replace=replace) as file:
        file.write(b"result")
        meanwhile()


def test_a_file_that_appears_meanwhile_is_not_replaced_unless_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(UsageError, match="is there already"):
        put(path, replace=False, meanwhile=lambda: path.write_bytes(b"precious"))
    assert path.read_bytes() == b"precious"
    with replacing(path, replace=lambda: path.read_bytes() == b"precious") as file:
        file.write(b"result")
    assert path.read_bytes() == b"result"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


@POSIX
@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("odd", ["a link", "a link to nothing", "a pipe", "a folder", "a device"])
def test_only_plain_files_are_replaced(tmp_path: Path, odd: str, replace: bool) -> None:
    path, victim = tmp_path / "out.png", tmp_path / "victim"
    if odd == "a device":
        path = Path("/dev/null")
    elif odd == "a pipe":
        os.mkfifo(path)
    elif odd == "a folder":
        path.mkdir()
    else:
        if odd == "a link":
            victim.write_bytes(b"precious")
        path.symlink_to(victim)
    before = path.lstat()
    with pytest.raises(OutputError, match="only plain files"), replacing(path, replace=replace) as file:
        file.write(b"result")
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert victim.exists() == (odd == "a link")
    assert not list(tmp_path.glob(".hat-*"))


@POSIX
def test_a_device_put_there_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    with pytest.raises(OutputError, match="a pipe"):
        put(path, meanwhile=lambda: os.mkfifo(path))
    assert path.is_fifo()


@POSIX
def test_a_folder_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    out, originals = tmp_path / "out", tmp_path / "originals"
    out.mkdir()
    originals.mkdir()
    (originals / "a.png").write_bytes(b"precious")
    with replacing(out / "a.png") as file:
        file.write(b"result")
        out.rename(tmp_path / "moved")
        out.symlink_to(originals, target_is_directory=True)
    assert (originals / "a.png").read_bytes() == b"precious"
    assert (tmp_path / "moved" / "a.png").read_bytes() == b"result"


@POSIX
def test_a_folder_inside_a_held_one_is_never_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with Folder(tmp_path / "out") as folder:
        with pytest.raises(NotPlainError):
            folder.below("sub", "deep")
        with folder.below("other", "deep") as deep, deep.create("x") as file:
            file.write(b"1")
    assert (tmp_path / "out" / "other" / "deep" / "x").read_bytes() == b"1"
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts what is open")
def test_nothing_stays_open_after_folders_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with Folder(tmp_path) as folder:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(5):
            with pytest.raises(NotPlainError):
                folder.below("file")
            folder.below("sub", "deep").close()
        (tmp_path / "sub" / "deep" / "file").write_bytes(b"")
        for _ in range(5):
            with pytest.raises(NotPlainError):
                folder.below("sub", "deep", "file")
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@POSIX
def test_a_removed_folder_is_told_and_not_made_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Folder(out, make=True) as folder:
        shutil.rmtree(out)
        with pytest.raises(VanishedError, match="was removed"), replacing(out / "a.png", folder=folder):
            raise AssertionError("nothing can be written")
        out.mkdir()  # another folder of the same name is not the one that was held
        with pytest.raises(VanishedError), replacing(out / "a.png", folder=folder):
            raise AssertionError("nothing can be written")


@POSIX
def test_temporary_files_of_other_commands_are_left_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "weights.safetensors") as file:
        file.write(b"half")
        file.flush()
        os.utime(file.name, (1, 1))  # as a training state that takes its time
        assert sweep({tmp_path}) == 0
    assert (tmp_path / "weights.safetensors").read_bytes() == b"half"


@POSIX
def test_a_clean_up_neither_follows_links_nor_waits_for_pipes(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    link, pipe, mine = (tmp_path / f".hat-{number:012x}.part" for number in range(3))
    link.symlink_to(victim)
    os.mkfifo(pipe)
    mine.write_bytes(b"left")
    for path in (victim, pipe, mine):
        os.utime(path, (1, 1))
    assert sweep({tmp_path}) == 1
    assert victim.read_bytes() == b"precious"
    assert not mine.exists()


@POSIX
def test_where_names_cannot_be_linked_a_file_takes_its_name_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refusing)
    with replacing(tmp_path / "a", replace=False) as file:
        file.write(b"1")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    with pytest.raises(UsageError), replacing(tmp_path / "a", replace=False) as file:
        file.write(b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_without_relative_names_a_folder_is_checked_before_each_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatcli.folder._RELATIVE", False)  # as on Windows
    out = tmp_path / "out"
    with Folder(out, make=True) as folder, folder.below("sub") as sub:
        with replacing(out / "sub" / "a", replace=False, folder=sub) as file:
            file.write(b"1")
        assert (out / "sub" / "a").read_bytes() == b"1"
        out.rename(tmp_path / "moved")
        (out / "sub").mkdir(parents=True)
        with pytest.raises(VanishedError), replacing(out / "sub" / "b", folder=sub) as file:
            file.write(b"2")
    assert not list((out / "sub").iterdir())


@POSIX
def test_only_plain_files_are_opened_and_nothing_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    (tmp_path / "plain").write_bytes(b"12345")
    for odd, kind in ((tmp_path / "pipe", "pipe"), (Path("/dev/zero"), "device"), (tmp_path, "folder")):
        with pytest.raises(NotPlainError, match=kind):
            open_plain(odd)
    with pytest.raises(NotPlainError, match="link"):
        open_plain(tmp_path / "link", follow=False)
    assert read_bounded(tmp_path / "link", most=5) == b"12345"
    with pytest.raises(TooLargeError):
        read_bounded(tmp_path / "plain", most=4)


@POSIX
def test_a_file_is_taken_by_one_and_where_there_are_no_locks_by_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "a", "wb") as first, open(tmp_path / "a", "wb") as second:
        assert take(first)
        assert not take(second)
        assert not hold(second)

        def missing(*_: object) -> None:
            raise OSError(errno.ENOLCK, "no locks here")

        monkeypatch.setattr("fcntl.flock", missing)
        assert take(second)
        assert not hold(second)
