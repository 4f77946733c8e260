"""The queue: every job a row in SQLite, every change of state one transaction, so that a kill loses and doubles none.

    queued -> running -> done | failed
    queued, running -> cancelled;  done, failed, cancelled -> queued (again)
    running -> queued (its worker or server died; too often: failed)

A queued job may be held: no worker takes it until it is started.

Who holds a job has the number of its attempt; a word about an attempt that is over changes nothing.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatcli.serve.jobs import CANCELLED, ENDED, FAILED, QUEUED, RUNNING, Job, Progress, facts
from hatcli.serve.limits import RefusedError, disk_full

_FIELDS = [field.name for field in dataclasses.fields(Job)]
_AS_JSON = {"parameters", "notes"}
_TOO_OFTEN = "the picture may need more memory than there is: close other programs, or try smaller tiles"
_KINDS = {"id": "TEXT PRIMARY KEY", "position": "REAL NOT NULL", "parameters": "TEXT", "notes": "TEXT"}
_ADDED = {"kills": "INTEGER NOT NULL DEFAULT 0", "exit_code": "INTEGER"}  # to tables that stand already
_VERSION = 1  # of the table
MOST_CRASHES = 2  # of workers over one job
MOST_KILLS = 20  # of workers or servers while it ran, by whoever it was

Tell = Callable[[str, dict[str, Any]], None]


class Queue:
    """All jobs; safe to use from any thread.

    Args:
        path: of the database.
        max_jobs: that may wait or run at once.
        tell: hears `job` with a job's facts for each change, and `removed` with its id.
    """

    def __init__(self, path: Path, *, max_jobs: int, tell: Tell = lambda kind, data: None) -> None:
        self._max_jobs, self._tell = max_jobs, tell
        self._changed = threading.Condition(threading.RLock())
        self._progress: dict[str, Progress] = {}
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        columns = ", ".join(f"{name} {({**_KINDS, **_ADDED}).get(name, '')}" for name in _FIELDS)
        with self._transaction():
            self._database.execute(f"CREATE TABLE IF NOT EXISTS jobs{_VERSION} ({columns})")
            known = {row["name"] for row in self._database.execute(f"PRAGMA table_info(jobs{_VERSION})")}
            for name in _ADDED.keys() - known:
                self._database.execute(f"ALTER TABLE jobs{_VERSION} ADD COLUMN {name} {_ADDED[name]}")
            self._database.execute(f"CREATE INDEX IF NOT EXISTS waiting{_VERSION} ON jobs{_VERSION} (state, position)")

    def close(self) -> None:
        """Let go of the database."""
        with self._changed:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One step for everybody, on the disk when it ends, or none.

        Raises:
            RefusedError: the disk is full.
        """
        with self._changed:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield
                except BaseException:
                    if self._database.in_transaction:  # a full disk has rolled it back already
                        self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if "full" in str(error) or "disk I/O" in str(error):
                    raise disk_full() from error
                raise

    def submit(self, job: Job) -> Job:
        """Take a job in, behind all others; a preview before all others. Returns it with its position.

        Raises:
            RefusedError: too many are waiting, or the disk is full.
        """
        with self._transaction():
            if self.waiting() >= self._max_jobs:
                raise RefusedError(
                    429, f"{self._max_jobs} jobs are waiting already", hint="send it again when some are done"
                )
            job = dataclasses.replace(job, state=QUEUED, position=self._place(first=job.kind == "preview"))
            values = [_stored(name, getattr(job, name)) for name in _FIELDS]
            marks = ", ".join("?" * len(_FIELDS))
            self._database.execute(f"INSERT INTO jobs{_VERSION} ({', '.join(_FIELDS)}) VALUES ({marks})", values)
        return self._told(job)

    def check_room(self) -> None:
        """Refuse early what `submit` would refuse.

        Raises:
            RefusedError: too many are waiting.
        """
        if self.waiting() >= self._max_jobs:
            raise RefusedError(
                429, f"{self._max_jobs} jobs are waiting already", hint="send it again when some are done"
            )

    def take(self, *, seconds: float, alone: bool = True) -> Job | None:
        """The next job, now running; None if there is none for so long.

        Args:
            alone: whether it will have its worker for itself, as one must that workers have died over.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                found = self._rows("WHERE state = ? AND NOT held ORDER BY position LIMIT 1", QUEUED)
                if found and (alone or not found[0].is_suspect):
                    return self._change(
                        found[0].id,
                        (QUEUED,),
                        state=RUNNING,
                        started=time.time(),
                        ended=None,
                        attempts=found[0].attempts + 1,
                    )
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return None

    def advance(self, job: Job, progress: Progress) -> None:
        """Note how far a running job is; kept in memory alone."""
        with self._changed:
            now = self.get(job.id)
            if now is not None and self._is_held(now, job):
                self._progress[job.id] = progress
                self._tell("job", facts(now, progress))

    def end(self, job: Job, state: str, **found: Any) -> bool:
        """A running job is done or has failed; whether that counts: not if the attempt is over."""
        with self._changed:
            now = self.get(job.id)
            if now is None or not self._is_held(now, job):
                return False
            self._change(job.id, (RUNNING,), state=state, ended=time.time(), **found)
            return True

    def give_back(self, job: Job, *, crashes: int = 0, kills: int = 0, why: str = "") -> bool:
        """A running job waits again, at its old place; whether that counts.

        Args:
            crashes, kills: more of them than before; a job that has had too many has failed.
            why: what to say then.
        """
        with self._changed:
            now = self.get(job.id)
            if now is None or not self._is_held(now, job):
                return False
            sums = {"crashes": now.crashes + crashes, "kills": now.kills + kills}
            if sums["crashes"] < MOST_CRASHES and sums["kills"] < MOST_KILLS:
                self._change(job.id, (RUNNING,), state=QUEUED, started=None, **sums)
            else:
                told = {"error": why, "hint": _TOO_OFTEN, "exit_code": 1}
                self._change(job.id, (RUNNING,), state=FAILED, ended=time.time(), **told, **sums)
            return True

    def recover(self) -> int:
        """After a start: what ran when the last server died waits again. Returns how many."""
        with self._changed:
            running = self._rows("WHERE state = ?", RUNNING)
            for job in running:
                self.give_back(job, kills=1, why=f"the server, or its worker, was killed {MOST_KILLS} times over it")
            return len(running)

    def cancel(self, id: str) -> Job:
        """A job that waits or runs is wanted no more.

        Raises:
            RefusedError: there is none, or it has ended.
        """
        return self._change(id, (QUEUED, RUNNING), state=CANCELLED, ended=time.time())

    def retry(self, id: str, **planned: Any) -> Job:
        """A job that ended waits again, behind all others, with what is newly planned for it.

        Raises:
            RefusedError: there is none, or it is in another state.
        """
        with self._changed:
            self.check_room()
            blank = ("error", "hint", "exit_code", "started", "ended", "seconds", "result_bytes")
            fresh: dict[str, Any] = {
                **dict.fromkeys(blank),
                "crashes": 0,
                "kills": 0,
                "notes": [],
                "held": False,
                **planned,
            }
            return self._change(id, ENDED, state=QUEUED, position=self._place(), **fresh)

    def start(self, id: str, **planned: Any) -> Job:
        """A held job may be taken from now on, behind all others, with what is newly planned for it.

        Raises:
            RefusedError: there is none, or it is not held.
        """
        with self._changed:
            if not self._checked(id, (QUEUED,)).held:
                raise RefusedError(409, "the job is started already", hint="this is for jobs that are held")
            return self._change(id, (QUEUED,), held=False, position=self._place(), **planned)

    def move(self, id: str, before: str | None) -> Job:
        """Put a waiting job before another one, or behind all.

        Raises:
            RefusedError: one of them does not wait.
        """
        with self._changed:
            if before is None:
                return self._change(id, (QUEUED,), position=self._place())
            waiting = [job for job in self._rows("WHERE state = ? ORDER BY position", QUEUED) if job.id != id]
            number = next((number for number, job in enumerate(waiting) if job.id == before), None)
            if number is None:
                raise RefusedError(409, "the job to go before does not wait", hint="look at the queue again")
            upper = waiting[number].position
            lower = waiting[number - 1].position if number else upper - 2.0
            middle = (lower + upper) / 2
            if lower < middle < upper:
                return self._change(id, (QUEUED,), position=middle)
            for place, job in enumerate(waiting):  # no number is left between them
                self._change(job.id, (QUEUED,), position=float(place + 1 + (place >= number)))
            return self._change(id, (QUEUED,), position=float(number + 1))

    def remove(self, id: str) -> None:
        """Forget an ended job.

        Raises:
            RefusedError: there is none, or it has not ended.
        """
        with self._transaction():
            self._checked(id, ENDED)
            self._database.execute(f"DELETE FROM jobs{_VERSION} WHERE id = ?", (id,))
        self._tell("removed", {"id": id})

    def get(self, id: str) -> Job | None:
        """A job by its id."""
        found = self._rows("WHERE id = ?", id)
        return found[0] if found else None

    def facts(self, job: Job) -> dict[str, Any]:
        """A job as clients see it."""
        with self._changed:
            return facts(job, self._progress.get(job.id))

    def jobs(self) -> list[Job]:
        """All: the running and the waiting ones by position, then the ended ones, the last first."""
        order = f"ORDER BY state NOT IN ('{RUNNING}', '{QUEUED}'), state != '{RUNNING}', "
        order += f"CASE WHEN state IN ('{RUNNING}', '{QUEUED}') THEN position ELSE -ended END"
        return self._rows(order)

    def ended_before(self, moment: float) -> list[Job]:
        """Jobs that ended before then."""
        return self._rows(f"WHERE state NOT IN ('{RUNNING}', '{QUEUED}') AND ended < ?", moment)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        with self._changed:
            rows = self._database.execute(f"SELECT state, COUNT(*) FROM jobs{_VERSION} GROUP BY state").fetchall()
        found = dict(rows)
        return {state: found.get(state, 0) for state in (QUEUED, RUNNING, *ENDED)}

    def waiting(self) -> int:
        """How many jobs wait or run."""
        with self._changed:
            row = self._database.execute(
                f"SELECT COUNT(*) FROM jobs{_VERSION} WHERE state IN (?, ?)", (QUEUED, RUNNING)
            ).fetchone()
        return int(row[0])

    def kept_bytes(self) -> int:
        """Bytes of all pictures and results that are kept here."""
        with self._changed:
            row = self._database.execute(
                f"SELECT COALESCE(SUM(bytes + COALESCE(result_bytes, 0)), 0) FROM jobs{_VERSION} WHERE target IS NULL"
            ).fetchone()
        return int(row[0])

    def _place(self, *, first: bool = False) -> float:
        """A number behind all positions that wait or run, or before them."""
        which = "MIN" if first else "MAX"
        row = self._database.execute(
            f"SELECT {which}(position) FROM jobs{_VERSION} WHERE state IN (?, ?)", (QUEUED, RUNNING)
        ).fetchone()
        return float((row[0] or 0.0) + (-1.0 if first else 1.0))

    def _is_held(self, now: Job, held: Job) -> bool:
        return now.state == RUNNING and now.attempts == held.attempts

    def _change(self, id: str, allowed: tuple[str, ...], **values: Any) -> Job:
        """Write fields of a job that is in one of these states, and tell it."""
        with self._transaction():
            job = dataclasses.replace(self._checked(id, allowed), **values)
            marks = ", ".join(f"{name} = ?" for name in values)
            stored = [_stored(name, value) for name, value in values.items()]
            self._database.execute(f"UPDATE jobs{_VERSION} SET {marks} WHERE id = ?", (*stored, id))
        if job.state != RUNNING:
            self._progress.pop(id, None)
        return self._told(job)

    def _told(self, job: Job) -> Job:
        with self._changed:
            self._tell("job", facts(job, self._progress.get(job.id)))
            self._changed.notify_all()
        return job

    def _checked(self, id: str, allowed: tuple[str, ...]) -> Job:
        job = self.get(id)
        if job is None:
            raise RefusedError(404, "there is no such job", hint="it may have been removed")
        if job.state not in allowed:
            raise RefusedError(409, f"the job is {job.state}", hint=f"this is for jobs that are {' or '.join(allowed)}")
        return job

    def _rows(self, condition: str, *values: Any) -> list[Job]:
        with self._changed:
            rows = self._database.execute(f"SELECT * FROM jobs{_VERSION} {condition}", values).fetchall()
        return [Job(**{name: _loaded(name, row[name]) for name in _FIELDS}) for row in rows]


def _stored(name: str, value: Any) -> Any:
    return json.dumps(value) if name in _AS_JSON else value


def _loaded(name: str, value: Any) -> Any:
    return json.loads(value) if name in _AS_JSON else bool(value) if name == "held" else value
