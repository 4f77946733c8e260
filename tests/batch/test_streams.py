"""Stdin and pipes: read once, within a limit, however slowly they come."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hatcli.batch import streams
from hatcli.errors import InputError

posix = pytest.mark.skipif(os.name == "nt", reason="needs named pipes")


def always() -> bool:
    return True


def feed(open_pipe: Callable[[], int], content: bytes, *, piece: int, pause: float) -> threading.Thread:
    """Write to a pipe from another thread, until nobody takes any more."""

    def write() -> None:
        writer = open_pipe()
        with contextlib.suppress(BrokenPipeError):
            for start in range(0, len(content), piece):
                os.write(writer, content[start : start + piece])
                time.sleep(pause)
        os.close(writer)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


@posix
def test_a_slow_pipe_gives_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert streams.is_stream(path)
    assert not streams.is_stream(tmp_path)
    feed(lambda: os.open(path, os.O_WRONLY), bytes(range(250)) * 100, piece=5000, pause=0.1)
    assert streams.read_pipe(path, most=25_000, patience=0.2, is_wanted=always) == bytes(range(250)) * 100


@posix
def test_what_comes_before_anybody_reads_is_not_lost() -> None:
    given, taken = os.pipe()  # as a shell makes them for <(...): its writer may be gone already
    os.write(taken, b"a picture")
    os.close(taken)
    path = Path(f"/dev/fd/{given}")
    if not path.exists():
        pytest.skip("no /dev/fd here")
    assert streams.read_pipe(path, most=99, patience=0.2, is_wanted=always) == b"a picture"
    os.close(given)


@posix
def test_a_pipe_without_a_writer_or_without_anybody_who_wants_it_is_left(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InputError, match="nobody writes"):
        streams.read_pipe(path, most=9, patience=0.1, is_wanted=always)
    keeps_it_open = os.open(path, os.O_RDWR)
    began = time.monotonic()
    with pytest.raises(InputError):
        streams.read_pipe(path, most=9, patience=60, is_wanted=lambda: time.monotonic() - began < 0.3)
    assert time.monotonic() - began < 30
    os.close(keeps_it_open)


@posix
@pytest.mark.parametrize("named", [True, False])
def test_no_more_is_taken_than_a_picture_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    gigabyte = bytes(1 << 30)
    if named:
        os.mkfifo(tmp_path / "pipe")
        feeding = feed(lambda: os.open(tmp_path / "pipe", os.O_WRONLY), gigabyte, piece=1 << 20, pause=0)
        with pytest.raises(InputError, match="pipe: it is larger than"):
            streams.read_pipe(tmp_path / "pipe", most=3_000_000, patience=9, is_wanted=always)
    else:
        given, taken = os.pipe()
        with open(given) as piped:
            monkeypatch.setattr(sys, "stdin", piped)
            feeding = feed(lambda: taken, gigabyte, piece=1 << 20, pause=0)
            with pytest.raises(InputError, match="stdin: it is larger than") as caught:
                streams.read_stdin(most=3_000_000)
            assert "--max-megapixels" in (caught.value.hint or "")
    feeding.join(20)
    assert not feeding.is_alive()


def test_a_closed_stdin_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="closed"):
        streams.read_stdin(most=3)
