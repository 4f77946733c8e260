"""Bytes from what can be read only once: stdin, named pipes, and the pipes a shell makes for `<(...)`."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from hatcli.errors import InputError

_CHUNK = 1 << 20  # bytes
_TURN = 0.2  # seconds between two looks whether anybody still wants it
_NOTHING_YET = 0.05  # seconds between two looks at a pipe that nobody writes to


def is_stream(path: Path) -> bool:
    """Whether it is a pipe or a socket, which gives what it holds only once."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def read_stdin(*, most: int) -> bytes:
    """All of stdin.

    Raises:
        InputError: it is closed, cannot be read, or holds more than `most` bytes.
    """
    if sys.stdin is None:
        raise InputError("cannot read stdin: it is closed", hint="name a file")
    try:
        return _joined(_chunks(sys.stdin.buffer), name="stdin", most=most)
    except OSError as error:
        raise InputError(f"cannot read stdin: {error.strerror or error}", hint="name a file instead of -") from error


def read_pipe(path: Path, *, most: int, patience: float, is_wanted: Callable[[], bool]) -> bytes:
    """All that comes through a named pipe, or one of the shell's.

    Args:
        most: bytes.
        patience: seconds to wait for somebody who writes; whoever does may take all the time there is.
        is_wanted: asked now and then; False ends the waiting.

    Raises:
        InputError: it cannot be read, nobody writes to it, or it holds more than `most` bytes.
    """
    try:
        pipe = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}", hint="check that it is there and may be read"
        ) from error
    try:
        content = _joined(_piped(pipe, patience=patience, is_wanted=is_wanted), name=str(path), most=most)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}", hint="check that it is there and may be read"
        ) from error
    finally:
        os.close(pipe)
    if not content:
        raise InputError(f"cannot read {path}: it is a pipe, and nobody writes to it", hint="name a file")
    return content


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _piped(pipe: int, *, patience: float, is_wanted: Callable[[], bool]) -> Iterator[bytes]:
    """What comes, until its writers have gone; nothing, if there were none."""
    began, has_begun = time.monotonic(), False
    while is_wanted():
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:  # somebody has it open and has not written yet
            has_begun = True
            select.select([pipe], [], [], _TURN)
            continue
        if chunk:
            has_begun = True
            yield chunk
        elif has_begun or time.monotonic() - began > patience:
            return
        else:
            time.sleep(_NOTHING_YET)


def _joined(chunks: Iterator[bytes], *, name: str, most: int) -> bytes:
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            hint = "raise --max-megapixels, if it can be trusted"
            raise InputError(f"cannot read {name}: it is larger than {most / 1e9:.2f} GB", hint=hint)
        parts.append(chunk)
    return b"".join(parts)
