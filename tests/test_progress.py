"""Generators driven, mapped and taken inside contexts: their results arrive, and whoever stops ends them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from hatcli.progress import drive, mapped, within


class Work:
    """Counts to three and returns a word; notes when it ends."""

    def __init__(self) -> None:
        self.ended = False

    def steps(self) -> Generator[int, None, str]:
        try:
            yield from (1, 2, 3)
            return "made"
        finally:
            self.ended = True


def test_results_and_parts_arrive() -> None:
    parts: list[int] = []
    assert drive(Work().steps()) == "made"
    assert drive(mapped(Work().steps(), lambda part: 10 * part), parts.append) == "made"
    assert parts == [10, 20, 30]


def test_every_step_is_taken_inside_its_context_and_nothing_else_is() -> None:
    inside: list[bool] = [False]
    seen: list[bool] = []

    @contextmanager
    def context() -> Iterator[None]:
        inside[0] = True
        yield
        inside[0] = False

    def steps() -> Generator[None, None, str]:
        seen.append(inside[0])
        yield
        seen.append(inside[0])
        return "made"

    assert drive(within(steps(), context), lambda _: seen.append(inside[0])) == "made"
    assert seen == [True, False, True]


def test_work_ends_when_nobody_listens_any_more() -> None:
    def stop(part: object) -> None:
        raise KeyboardInterrupt

    for wrap in (lambda steps: steps, lambda steps: mapped(steps, str), lambda steps: within(steps, _nothing)):
        work = Work()
        with pytest.raises(KeyboardInterrupt):
            drive(wrap(work.steps()), stop)
        assert work.ended


@contextmanager
def _nothing() -> Iterator[None]:
    yield
