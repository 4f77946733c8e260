"""Jobs that come while a run over them goes on already."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from hatcli.batch.plan import Job


class Feed:
    """Jobs in order; iterating waits for more until as many have come as `finish` says, or `stop`."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._come = 0
        self._all: int | None = None
        self._changed = threading.Condition()

    def put(self, jobs: Iterable[Job]) -> None:
        """More of them."""
        with self._changed:
            before = len(self._jobs)
            self._jobs.extend(jobs)
            self._come += len(self._jobs) - before
            self._changed.notify_all()

    def finish(self, count: int) -> None:
        """So many have come, or are about to, and no more will."""
        with self._changed:
            self._all = count
            self._changed.notify_all()

    def stop(self) -> None:
        """Nothing more is taken."""
        with self._changed:
            self._jobs.clear()
            self._all = 0
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Job]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._is_over())
                if not self._jobs:
                    return
                job = self._jobs.popleft()
            yield job

    def _is_over(self) -> bool:
        return self._all is not None and self._come >= self._all
