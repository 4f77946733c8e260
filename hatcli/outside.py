"""Files that come from outside: plain ones only, opened once, never waited for, never read beyond a bound."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20  # bytes
_JUNCTION = 0xA0000003  # the tag of a link to a folder on Windows, which `lstat` shows as a folder


class NotPlainError(OSError):
    """Something else than a plain file; `strerror` says what, fit for an error line after the name."""


class TooLargeError(OSError):
    """More bytes than may be read."""


def open_plain(path: Path | str, *, follow: bool = True, pipes: bool = False, dir_fd: int | None = None) -> BinaryIO:
    """A plain file, open for reading.

    Args:
        follow: whether a symbolic link as the last part of the path is followed.
        pipes: whether a named pipe will do as well, as for a file that the user typed: `<(...)`. It is waited for.
        dir_fd: an open folder that a relative path is looked up in, where the platform has that.

    Raises:
        NotPlainError: it is a pipe, a device, a folder, a socket or, unless followed, a link.
        OSError: it cannot be opened.
    """
    before = os.stat(path, dir_fd=dir_fd, follow_symlinks=follow)  # also says it where no flag could
    waited_for = pipes and stat.S_ISFIFO(before.st_mode)
    if not waited_for:
        _check_kind(before, path)
    descriptor = os.open(path, _flags(follow=follow, wait=waited_for), dir_fd=dir_fd)
    try:
        now = os.fstat(descriptor)  # what was looked at may have been exchanged
        if not (pipes and stat.S_ISFIFO(now.st_mode)):
            _check_kind(now, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: Path | str, *, most: int, follow: bool = True, pipes: bool = False) -> bytes:
    """The whole content of a plain file, read once; memory is taken as the bytes come.

    Raises:
        TooLargeError: it holds more than `most` bytes.
        OSError: as `open_plain`.
    """
    with open_plain(path, follow=follow, pipes=pipes) as file:
        content = bytearray()
        while block := file.read(min(_BLOCK, most + 1 - len(content))):
            content += block
            if len(content) > most:
                raise TooLargeError(errno.EFBIG, f"it is larger than {most / 1e6:g} MB", str(path))
    return bytes(content)


def kind_of(status: os.stat_result) -> str | None:
    """What something in a file system is, if it is no plain file: `a link`, `a pipe`, `a folder`, ..."""
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFDIR: "a folder",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    if getattr(status, "st_reparse_tag", 0) == _JUNCTION:
        return "a link"
    return kinds.get(stat.S_IFMT(status.st_mode))


def _check_kind(status: os.stat_result, path: Path | str) -> None:
    if kind := kind_of(status):
        raise NotPlainError(errno.EINVAL, f"it is {kind}, not a file", str(path))


def _flags(*, follow: bool, wait: bool) -> int:
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    if not wait:
        flags |= getattr(os, "O_NONBLOCK", 0)  # a pipe put there since the look is not waited for
    return flags
