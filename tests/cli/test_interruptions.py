"""Signals while a command works: raised once, and not in the middle of what is told."""

from __future__ import annotations

import os
import signal

import pytest

from hatcli.cli.shared.interruptions import Terminated, handled, undisturbed

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals")


@pytest.mark.parametrize(("sent", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_waits_for_the_end_of_what_is_undisturbed(sent: int, raised: type[BaseException]) -> None:
    told: list[str] = []

    def tell() -> None:
        with undisturbed():
            told.append("a")
            signal.raise_signal(sent)
            told.append("b")

    with handled() as here:
        with pytest.raises(raised):
            tell()
        assert here.code == 128 + sent
        with undisturbed():
            told.append("c")
    assert told == ["a", "b", "c"]


def test_outside_a_signal_is_raised_at_once_and_where_nothing_is_handled_nothing_waits() -> None:
    with handled(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with undisturbed():
        pass
