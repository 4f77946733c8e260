"""An outcome during whose telling Ctrl-C strikes: told again, and to nobody twice."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest

from hatcli.batch.inputs import InputFile
from hatcli.batch.outcomes import Event, Outcome, Tally
from hatcli.batch.plan import Job
from hatcli.batch.run import deliver
from hatcli.cli.views.runs import Telling, View

DONE = Outcome(Job(InputFile(Path("a.png"), Path("a.png")), Path("b.png")), "done")


class Listener:
    """Hears of a run; Ctrl-C may strike before it has heard of the first event."""

    def __init__(self, *, is_struck: bool) -> None:
        self.heard: list[Any] = []
        self._is_struck = is_struck

    def tell(self, event: Any) -> None:
        if self._is_struck:
            self._is_struck = False
            raise KeyboardInterrupt
        self.heard.append(event)


def struck_run() -> Generator[Event, None, None]:
    """One outcome, which comes again when the telling of it is interrupted."""
    try:
        yield DONE
    except KeyboardInterrupt:
        yield DONE
        raise


@pytest.mark.parametrize("struck", [0, 1, 2])
def test_an_outcome_that_comes_again_is_told_to_those_who_have_not_heard_of_it(struck: int) -> None:
    listeners, tally = [Listener(is_struck=place == struck) for place in range(3)], Tally()
    with pytest.raises(KeyboardInterrupt):
        deliver(struck_run(), Telling(tally, [cast(View, listener) for listener in listeners]).tell)
    assert [listener.heard for listener in listeners] == [[DONE]] * 3
    assert tally.counts["done"] == 1
