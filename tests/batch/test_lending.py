"""A decoder that is lent: it outlives runs that end, but not in the middle of a picture of theirs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from hatcli.batch import lending
from hatcli.batch.lending import LastingDecoder
from hatcli.errors import InputError


class Waiting:
    """A decoder process whose pictures take until it is closed."""

    def __init__(self, **_: Any) -> None:
        self.has_begun, self.is_closed = threading.Event(), threading.Event()

    def start(self) -> None:
        pass

    def load(self, source: Path | bytes, *, name: str, all_frames: bool = False) -> None:
        self.has_begun.set()
        assert self.is_closed.wait(30)
        raise InputError("the run has ended")

    def close(self) -> None:
        self.is_closed.set()


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> LastingDecoder:
    monkeypatch.setattr(lending, "DecoderProcess", Waiting)
    return LastingDecoder(max_pixels=100)


def begin(lent: Any, process: Any) -> threading.Thread:
    """A run's thread that reads a picture, and is in the middle of it."""

    def read() -> None:
        with pytest.raises(InputError, match="has ended"):
            lent.load(b"", name="a.png")

    reading = threading.Thread(target=read)
    reading.start()
    assert process.has_begun.wait(30)
    return reading


def test_a_run_that_ends_between_pictures_leaves_the_process(lasting: LastingDecoder) -> None:
    before: Any = lasting.process
    lasting.lend().close()
    idle, busy = lasting.lend(), lasting.lend()
    reading = begin(busy, before)
    idle.close()  # another run's picture is none of its business
    process: Any = lasting.process
    assert process is before
    assert not before.is_closed.is_set()
    busy.close()
    reading.join(30)
    assert lasting.process is not before


def test_a_decoder_that_is_closed_for_good_does_not_begin_anew(lasting: LastingDecoder) -> None:
    process: Any = lasting.process
    lent = lasting.lend()
    reading = begin(lent, process)
    lasting.close()
    lent.close()
    reading.join(30)
    assert lasting.process is process
