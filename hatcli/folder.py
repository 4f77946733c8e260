"""A folder held open: names are looked up in the folder that was opened, whatever its path leads to by now."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from hatcli.outside import NotPlainError, kind_of, open_plain

_RELATIVE = os.open in os.supports_dir_fd and os.link in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")


class FolderGoneError(OSError):
    """The folder was removed, or something else has taken its place, while it was in use."""


class Folder:
    """An open folder. Without support by the platform its path is checked to lead to the same folder before each use.

    Args:
        path: of the folder; links in it are followed, for somebody named it.
        make: whether it is made, with its parents, if it is missing.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._descriptor = _opened(path, None, os.O_DIRECTORY) if _RELATIVE else None
        self._identity = _identity(os.stat(path if self._descriptor is None else self._descriptor))  # noqa: PTH116

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def below(self, *names: str) -> Folder:
        """The folder of this name inside, and inside that, ..., made where missing; never through a link.

        Raises:
            NotPlainError: a link or a file has the name.
        """
        found: Folder = _Below(self, None)
        for name in names:
            with found:
                found = _Below(found, name)
        return found

    def status(self, name: str) -> os.stat_result | None:
        """What has this name, links not followed; None if nothing has."""
        try:
            return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Of everything inside."""
        return os.listdir(self.path if self._descriptor is None else self._descriptor)  # noqa: PTH208

    def create(self, name: str) -> BinaryIO:
        """A new file, open for writing and reading, with the user's umask; its `name` is its path.

        Raises:
            FileExistsError: something has this name already.
            FolderGoneError: the folder is not there any more.
        """
        try:
            return open(self.path / name, "xb+", opener=lambda _, flags: self._open(name, flags))
        except FileNotFoundError as error:
            if not self._is_at_its_path():
                raise FolderGoneError(errno.ENOENT, "the folder was removed", str(self.path)) from error
            raise

    def open(self, name: str) -> BinaryIO:
        """A plain file inside, for reading; a link is not followed. Raises as `open_plain`."""
        return open_plain(self._at(name), follow=False, dir_fd=self._descriptor)

    def append(self, name: str) -> BinaryIO:
        """A plain file inside, made if missing, for reading and writing at its end.

        Raises:
            NotPlainError: something else has this name.
        """
        status = self.status(name)
        if status is not None and (kind := kind_of(status)):
            raise NotPlainError(errno.EINVAL, f"it is {kind}, not a file", str(self.path / name))
        extra = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        file: BinaryIO = open(  # noqa: SIM115  (the caller's)
            self.path / name, "ab+", opener=lambda _, flags: self._open(name, flags | extra)
        )
        if kind := kind_of(os.fstat(file.fileno())):
            file.close()
            raise NotPlainError(errno.EINVAL, f"it is {kind}, not a file", str(self.path / name))
        return file

    def remove(self, name: str) -> None:
        """Take a name away."""
        os.unlink(self._at(name), dir_fd=self._descriptor)

    def rename(self, name: str, to: str, *, replace: bool) -> None:
        """Give a file inside another name.

        Args:
            replace: take the name from a file that has it.

        Raises:
            FileExistsError: something has the name, and may not be replaced.
        """
        source, target, here = self._at(name), self._at(to), self._descriptor
        if replace:
            os.replace(source, target, src_dir_fd=here, dst_dir_fd=here)
        elif sys.platform == "win32":
            os.rename(source, target)  # noqa: PTH104  (refuses there what exists)
        else:
            self._rename_if_free(name, to)

    def _rename_if_free(self, name: str, to: str) -> None:
        """By a second link, which no file system puts over another name; where there are none, by a look before."""
        here = self._descriptor
        try:
            os.link(self._at(name), self._at(to), src_dir_fd=here, dst_dir_fd=here)
        except FileExistsError:
            raise
        except OSError:  # each file system without links says it in another way; what else is wrong, renaming will say
            if self.status(to) is not None:
                raise FileExistsError(errno.EEXIST, "it is there already", str(self.path / to)) from None
            os.rename(self._at(name), self._at(to), src_dir_fd=here, dst_dir_fd=here)
        else:
            with suppress(OSError):  # a second name of a finished file; the next clean-up takes it
                self.remove(name)

    def _open(self, name: str, flags: int) -> int:
        return os.open(self._at(name), flags | getattr(os, "O_CLOEXEC", 0), 0o666, dir_fd=self._descriptor)

    def _at(self, name: str) -> str:
        """The name as the system has to be given it."""
        if not name or name in (".", "..") or "/" in name or (os.sep != "/" and os.sep in name):
            raise ValueError(f"{name!r} is not the name of something in a folder")
        if self._descriptor is not None:
            return name
        if not self._is_at_its_path():
            raise FolderGoneError(errno.ENOENT, "the folder was removed", str(self.path))
        return str(self.path / name)

    def _is_at_its_path(self) -> bool:
        try:
            return _identity(os.stat(self.path)) == self._identity  # noqa: PTH116
        except OSError:
            return False


class _Below(Folder):
    """A folder found by its name in another one; without a name, the other one once more."""

    def __init__(self, outer: Folder, name: str | None) -> None:
        self.path = outer.path if name is None else outer.path / name
        if name is not None:
            _make(outer, name)
        if outer._descriptor is None:
            self._descriptor, self._identity = None, _identity(os.stat(self.path))  # noqa: PTH116
            return
        self._descriptor = _opened(name or ".", outer._descriptor, os.O_DIRECTORY | os.O_NOFOLLOW)
        self._identity = _identity(os.fstat(self._descriptor))


def _make(outer: Folder, name: str) -> None:
    """See to it that a folder of this name is there, and no link to one."""
    at = outer._at(name)
    try:
        os.mkdir(at, dir_fd=outer._descriptor)
    except FileExistsError:
        status = outer.status(name)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            kind = kind_of(status) or "a file"
            raise NotPlainError(errno.ENOTDIR, f"it is {kind}, not a folder", str(outer.path / name)) from None
    except FileNotFoundError as error:
        raise FolderGoneError(errno.ENOENT, "the folder was removed", str(outer.path)) from error


def _opened(path: Path | str, inside: int | None, flags: int) -> int:
    """A folder's descriptor; of one that may not be listed, too, where the platform has a way."""
    flags |= os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_RDONLY, dir_fd=inside)
    except PermissionError:
        if not hasattr(os, "O_PATH"):
            raise
        return os.open(path, flags | os.O_PATH, dir_fd=inside)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
