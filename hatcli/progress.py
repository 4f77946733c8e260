"""Work that shows itself: generators that yield how far they are and return what they made.

The only file that takes a generator's return value out of `StopIteration`. Whoever stops listening ends the work.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from typing import TypeVar

Part = TypeVar("Part")
Whole = TypeVar("Whole")
Result = TypeVar("Result")


def drive(work: Generator[Part, None, Result], on_progress: Callable[[Part], object] | None = None) -> Result:
    """What a generator returns, after handing on everything it yields."""
    with closing(work):
        while True:
            try:
                part = next(work)
            except StopIteration as finished:
                result: Result = finished.value
                return result
            if on_progress is not None:
                on_progress(part)


def mapped(work: Generator[Part, None, Result], change: Callable[[Part], Whole]) -> Generator[Whole, None, Result]:
    """What a generator yields, changed; it returns what the generator returns."""
    with closing(work):
        while True:
            try:
                part = next(work)
            except StopIteration as finished:
                result: Result = finished.value
                return result
            yield change(part)


def within(
    work: Generator[Part, None, Result], context: Callable[[], AbstractContextManager[object]]
) -> Generator[Part, None, Result]:
    """The same generator, each of its steps taken inside a context that is left while others work."""
    with closing(work):
        while True:
            with context():
                try:
                    part = next(work)
                except StopIteration as finished:
                    result: Result = finished.value
                    return result
            yield part
