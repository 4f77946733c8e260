"""Results between a worker and their names: the worker leaves them under temporary ones, the driver gives the others.

So a picture that two workers have made, because one was taken for dead, appears once; and nothing appears that the
journal does not know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from hatcli import atomic
from hatcli.batch.claims import Claim
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Outcome
from hatcli.batch.plan import Job, Plan
from hatcli.batch.reading import Stamp
from hatcli.batch.stamps import Where
from hatcli.cluster.messages import Ended, Staged, Task
from hatcli.cluster.sending import task_of
from hatcli.errors import HatError, OutputError
from hatcli.folder import Folder, FolderGoneError


class StagingJournal(Journal):
    """What a worker has instead of the journal: it lets every result be written, and gives none its name.

    Args:
        root: the folder of the driver's journal.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: Folder | None = None
        self._noted: dict[str, tuple[Stamp, Stamp, Mapping[str, Any]]] = {}
        self._staged: dict[str, str] = {}  # temporary names

    def close(self) -> None:
        """Let go of the folder."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def is_finished(self, output: Where, source: Where) -> bool:
        """The driver has looked."""
        return False

    def was_changed(self, output: Where, source: Where) -> bool:
        """The driver has looked."""
        return False

    def has_made(self, output: Where) -> bool:
        """The driver will look once more before it gives the name."""
        return True

    def folder_of(self, output: Path) -> Folder:
        """As the driver's, except that nothing in it takes a name of a result's."""
        try:
            if self._held is None:
                self._held = Folder(self._root)
            return _StagingFolder(self._held.below(*Path(os.path.relpath(output.parent, self._root)).parts), self)
        except OSError as error:
            raise atomic.write_error(output.parent if isinstance(error, FolderGoneError) else output, error) from error

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
        self._noted[str(output)] = (origin, made, made_by or {})

    def record_failure(self, output: Where, source: Where, error: Exception) -> None:
        """The driver notes it."""

    def record_passed(self, output: Where, source: Where, reason: str) -> None:
        """The driver notes it."""

    def stage(self, output: Path, temporary: str) -> None:
        """A result is finished."""
        self._staged[str(output)] = temporary

    def taken(self, output: Path) -> Staged | None:
        """The finished result of that name, which is the driver's from now on."""
        temporary, noted = self._staged.pop(str(output), None), self._noted.pop(str(output), None)
        return None if temporary is None or noted is None else Staged(temporary, *noted)


class _StagingFolder(Folder):
    """A folder in which a finished file keeps its temporary name."""

    def __init__(self, inside: Folder, journal: StagingJournal) -> None:
        self.path = inside.path
        self._inside, self._journal = inside, journal
        self._kept: set[str] = set()

    def close(self) -> None:
        self._inside.close()

    def status(self, name: str) -> os.stat_result | None:
        """Whatever has the name of a result is not in the way of a temporary one."""
        return None

    def create(self, name: str) -> BinaryIO:
        return self._inside.create(name)

    def rename(self, name: str, to: str, *, replace: bool) -> None:
        self._journal.stage(self.path / to, name)
        self._kept.add(name)

    def remove(self, name: str) -> None:
        if name not in self._kept:
            self._inside.remove(name)


class Committer:
    """Gives staged results their names, as many as there are with one wait for the disk; notes those that have theirs.

    Args:
        journals: open ones by `Job.root`.
    """

    def __init__(self, plan: Plan, journals: Mapping[Path, Journal]) -> None:
        self._overwrite, self._journals = plan.overwrite, journals

    def task(self, number: int, job: Job) -> Task:
        """A job as it is sent to a worker."""
        may_replace = job.stored is not None and (self._overwrite or self._journal(job).has_made(job.stored))
        return task_of(number, job, may_replace=may_replace)

    def commit(self, ended: list[tuple[int, Job, Ended]]) -> Iterator[tuple[int, Outcome | None]]:
        """How pictures ended, by number; None for a result that has vanished: it has to be made again."""
        noted: list[tuple[int, Job, Ended, Staged]] = []
        for number, job, told in ended:
            if told.staged is None:
                yield number, outcome_of(job, told)
                continue
            try:
                remarks = self._note(job, told.staged)
                if remarks is None:
                    yield number, None
                else:
                    noted.append((number, job, _with_notes(told, remarks), told.staged))
            except HatError as error:
                yield number, self._refused(job, told, told.staged, error)
        yield from self._names(noted)

    def _names(self, noted: list[tuple[int, Job, Ended, Staged]]) -> Iterator[tuple[int, Outcome | None]]:
        failure: HatError | None = None
        for journal in {id(journal): journal for _, job, _, _ in noted if (journal := self._journal(job))}.values():
            try:
                journal.flush()
            except HatError as error:
                failure = error
        for number, job, told, staged in noted:
            try:
                if failure is not None:
                    raise failure
                self._give_name(job, staged)
                yield number, outcome_of(job, told)
            except HatError as error:
                yield number, self._refused(job, told, staged, error)

    def _journal(self, job: Job) -> Journal:
        assert job.root is not None
        return self._journals[job.root]

    def _note(self, job: Job, staged: Staged) -> list[str] | None:
        """Note a result that may have its name; sentences about it, or None: it is not there any more."""
        output, source, journal = job.output, job.source.origin, self._journal(job)
        assert source is not None
        if job.stored is not None:
            journal.record(job.stored, source, origin=staged.origin, made=staged.made, made_by=staged.made_by)
            return []
        assert output is not None
        assert staged.temporary is not None, "files are staged"
        with journal.folder_of(output) as folder:
            if folder.status(staged.temporary) is None:
                return None
        remarks = Claim(output, journal, self._overwrite).check(staged.made)
        journal.record(output, source, origin=staged.origin, made=staged.made, made_by=staged.made_by, durable=False)
        return remarks

    def _give_name(self, job: Job, staged: Staged) -> None:
        if staged.temporary is None:
            return
        assert job.output is not None
        claim = Claim(job.output, self._journal(job), self._overwrite)
        with self._journal(job).folder_of(job.output) as folder:
            try:
                atomic.commit(folder, staged.temporary, job.output, claim.may_replace)
            except OSError as error:
                raise atomic.write_error(job.output, error) from error

    def _refused(self, job: Job, told: Ended, staged: Staged, error: HatError) -> Outcome:
        if job.output is not None:
            discard(self._journal(job), job.output, staged)
        return Outcome(job, "failed", error=error, seconds=told.details.get("seconds", 0.0))


def _with_notes(told: Ended, notes: list[str]) -> Ended:
    return replace(told, details={**told.details, "notes": (*told.details.get("notes", ()), *notes)}) if notes else told


def outcome_of(job: Job, told: Ended) -> Outcome:
    """What a worker said, as if it had happened here."""
    if told.error is not None and told.system is not None:
        told.error.__cause__ = OSError(told.system, os.strerror(told.system))
    return Outcome(job, error=told.error, **told.details)


def discard(journal: Journal, output: Path, staged: Staged) -> None:
    """Take away a staged result that is not needed."""
    assert staged.temporary is not None, "files are staged"
    with suppress(OSError, OutputError), journal.folder_of(output) as folder:
        folder.remove(staged.temporary)
