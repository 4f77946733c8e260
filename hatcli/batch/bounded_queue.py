"""A queue between two threads, bounded by bytes and by count, that either side can end at any time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_TURN = 0.2  # seconds between two looks; without it, Ctrl-C could not interrupt the waiting on Windows


class BoundedQueue(Generic[T]):
    """Items in order; `put` waits while more than `most_bytes` or `most_items` wait in it (one item always may).

    Iterating takes items until `finish` or `stop`.
    """

    def __init__(self, *, most_bytes: int, most_items: int) -> None:
        self._most_bytes, self._most_items = most_bytes, most_items
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._finished = self._stopped = False
        self._changed = threading.Condition()

    def put(self, item: T, *, size: int) -> bool:
        """Put an item of `size` bytes into the queue; False, and the item is dropped, if nobody takes any more."""
        with self._changed:
            while not self._stopped and self._is_full(size):
                self._changed.wait(_TURN)
            if not self._stopped:
                self._items.append((item, size))
                self._bytes += size
                self._changed.notify_all()
            return not self._stopped

    def _is_full(self, size: int) -> bool:
        return bool(self._items) and (self._bytes + size > self._most_bytes or len(self._items) >= self._most_items)

    def finish(self) -> None:
        """Nothing more will be put; what is in it can still be taken."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Nothing more will be taken; a waiting `put` returns."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether nobody takes any more."""
        return self._stopped

    @property
    def is_over(self) -> bool:
        """Whether nothing is in it, and nothing will be."""
        with self._changed:
            return not self._items and (self._finished or self._stopped)

    @property
    def is_finished(self) -> bool:
        """Whether everything was put, and nobody stopped taking."""
        return self._finished and not self._stopped

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                if not self._wait():
                    return
                item = self._pop()
            yield item

    def kept(self) -> Iterator[T]:
        """The same, but an item stays in the queue until the next one is wanted: whoever fails over it has it again."""
        while True:
            with self._changed:
                if not self._wait():
                    return
                entry = self._items[0]
            yield entry[0]
            with self._changed:
                if self._items and self._items[0] is entry:
                    self._pop()

    def taken_now(self, most: int) -> list[T]:
        """What is in it by now, at most so many."""
        with self._changed:
            return [self._pop() for _ in range(min(most, len(self._items)))]

    def _wait(self) -> bool:
        """Wait for an item; whether there is one."""
        while not (self._items or self._finished or self._stopped):
            self._changed.wait(_TURN)
        return bool(self._items)

    def _pop(self) -> T:
        item, size = self._items.popleft()
        self._bytes -= size
        self._changed.notify_all()
        return item
