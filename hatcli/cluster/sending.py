"""Objects that workers read and write: found again on another machine, and noted by the driver alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatcli.batch.inputs import InputFile
from hatcli.batch.places import address
from hatcli.batch.places.address import Address
from hatcli.batch.places.journal import StoreJournal
from hatcli.batch.places.objects import Holder, Stored
from hatcli.batch.places.store import StorePlace
from hatcli.batch.places.web import WebPage
from hatcli.batch.plan import Job
from hatcli.batch.reading import Stamp
from hatcli.batch.stamps import Where
from hatcli.cluster.messages import Elsewhere, ResultStore, Staged, Task


class SendingJournal(StoreJournal):
    """What a worker has instead of the journal of a store: results are created, and say of themselves what they are.

    An object takes its name at once, if nothing has it: so what two workers have made, because one was taken for dead,
    is there once.
    """

    def __init__(self, results: ResultStore) -> None:
        self._place = StorePlace.at(results.address)
        self._place.is_conditional = results.is_conditional
        self._run = results.run
        self._replaceable: set[str] = set()
        self._noted: dict[str, Staged] = {}

    def close(self) -> None:
        """Nothing is held."""

    def expect_in_the_way(self, output: Stored) -> None:
        """What has this name is hat's own."""
        self._replaceable.add(str(output))

    def is_finished(self, output: Where, source: Where) -> bool:
        """The driver has looked."""
        return False

    def was_changed(self, output: Where, source: Where) -> bool:
        """The driver has looked."""
        return False

    def has_made(self, output: Where) -> bool:
        """The driver has looked."""
        return str(output) in self._replaceable

    def record(
        self,
        output: Where,
        source: Where,
        *,
        origin: Stamp,
        made: Stamp,
        made_by: Mapping[str, Any] | None = None,
        durable: bool = True,
    ) -> None:
        """Remember what the driver is to note."""
        self._noted[str(output)] = Staged(None, origin, made, made_by or {})

    def record_failure(self, output: Where, source: Where, error: Exception) -> None:
        """The driver notes it."""

    def record_passed(self, output: Where, source: Where, reason: str) -> None:
        """The driver notes it."""

    def taken(self, output: Stored) -> Staged | None:
        """What is to be noted of a result that is there."""
        self._replaceable.discard(str(output))
        return self._noted.pop(str(output), None)


class Holders:
    """Stores and servers by their addresses, each opened once."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        os.environ.update(credentials)  # of this worker's process, where the libraries of stores look
        self._holders: dict[Address, Holder] = {}

    def file_of(self, task: Task, folder: Path) -> InputFile:
        """The picture of a task.

        Args:
            folder: that names are relative to.
        """
        if isinstance(task.source, str):
            return InputFile(folder / task.source, Path(task.relative))
        at = task.source
        if at.address not in self._holders:
            is_web = at.address.scheme in address.WEB
            self._holders[at.address] = WebPage(at.address) if is_web else StorePlace.at(at.address)
        return InputFile(None, Path(task.relative), stored=Stored(self._holders[at.address], at.key, at.seen))


def task_of(number: int, job: Job, *, may_replace: bool) -> Task:
    """A job as it is sent to a worker."""
    stored, path = job.source.stored, job.source.path
    if stored is None:
        assert path is not None, "a cluster's pictures are files or objects"
        source: str | Elsewhere = str(path)
    else:
        source = Elsewhere(stored.holder.address, stored.key, stored.seen)
    assert job.root is not None, "a cluster's results are in a journal"
    if job.stored is not None:
        output, root = job.stored.key, str(job.root)
    else:
        assert job.output is not None, "a cluster's results are files or objects"
        output, root = str(job.output.absolute()), str(job.root.absolute())
    return Task(number, source, str(job.source.relative), output, root, may_replace, job.piece)
