"""Jobs on their way to the workers: found and looked up in the journal by a thread of their own, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Outcome
from hatcli.batch.plan import Job, Plan, reason_to_skip

_BLOCK = 1000  # jobs
_BLOCKS = 16  # that wait
_SOON = 100  # jobs of the first block: work is to begin


class Supply:
    """The jobs that are to be made, and the outcomes of those that are not.

    Args:
        jobs: may be found while they are taken.
        journals: open ones, of every job's root.
    """

    def __init__(self, jobs: Iterable[Job], plan: Plan, journals: Mapping[Path, Journal]) -> None:
        self._jobs, self._plan, self._journals = jobs, plan, dict(journals)
        self._blocks: BoundedQueue[list[Job | Outcome]] = BoundedQueue(most_bytes=_BLOCKS, most_items=_BLOCKS)
        self._taken = iter(self._blocks)
        self.is_over = False

    def find(self) -> None:
        """Look for all of them, or until `stop`; for a thread of its own."""
        try:
            for block in self._in_blocks():
                if not self._blocks.put(block, size=1):
                    return
        finally:
            self._blocks.finish()

    def _in_blocks(self) -> Iterator[list[Job | Outcome]]:
        each, size = iter(self._jobs), _SOON
        while block := [self._looked_up(job) for job in islice(each, size)]:
            yield block
            size = _BLOCK

    def _looked_up(self, job: Job) -> Job | Outcome:
        reason = None if self._blocks.is_stopped else reason_to_skip(job, self._plan, self._journals)
        return Outcome(job, "skipped", reason=reason) if reason else job

    def take(self) -> list[Job | Outcome]:
        """A block that is there by now; nothing if none is, or all were taken."""
        if self._blocks.is_empty:
            return []
        block = next(self._taken, [])
        self.is_over = not block
        return block

    def rest(self) -> Iterator[Job | Outcome]:
        """All that is to come."""
        for block in self._taken:
            yield from block
        self.is_over = True

    def stop(self) -> None:
        """No more are wanted."""
        self._blocks.stop()
