"""Jobs on their way to the workers: found and looked up in the journal by a thread of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Outcome
from hatcli.batch.plan import Job, Plan, reason_to_skip

_AT_ONCE = 1000  # jobs that are taken together
_MOST_WAITING = 16_000  # jobs


class Supply:
    """The jobs that are to be made, and the outcomes of those that are not.

    Args:
        jobs: may be found while they are taken.
        journals: open ones, of every job's root.
    """

    def __init__(self, jobs: Iterable[Job], plan: Plan, journals: Mapping[Path, Journal]) -> None:
        self._jobs, self._plan, self._journals = jobs, plan, dict(journals)
        self._found: BoundedQueue[Job | Outcome] = BoundedQueue(most_bytes=_MOST_WAITING, most_items=_MOST_WAITING)

    def find(self) -> None:
        """Look for all of them, or until `stop`; for a thread of its own."""
        try:
            for job in self._jobs:
                reason = reason_to_skip(job, self._plan, self._journals)
                if not self._found.put(Outcome(job, "skipped", reason=reason) if reason else job, size=1):
                    return
        finally:
            self._found.finish()

    @property
    def is_over(self) -> bool:
        """Whether all were taken."""
        return self._found.is_over

    def take(self) -> list[Job | Outcome]:
        """Some of those that are there by now."""
        return self._found.taken_now(_AT_ONCE)

    def rest(self) -> Iterator[Job | Outcome]:
        """All that is to come."""
        return iter(self._found)

    def stop(self) -> None:
        """No more are wanted."""
        self._found.stop()
