"""What of a folder of results is done, failed or missing, told from its journal and the results; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hatcli.batch.journal_files import held_in
from hatcli.batch.places.address import is_url, parse
from hatcli.batch.places.journal import StoreJournal
from hatcli.batch.places.owner import running
from hatcli.batch.places.store import StorePlace
from hatcli.batch.records import Records, fields_of
from hatcli.batch.shards import Shard
from hatcli.batch.stamps import is_there
from hatcli.errors import UsageError

_RECENT = 600.0  # seconds before the newest result in which results count for the rate


@dataclass(frozen=True)
class Failure:
    """A picture whose result was not made, and why."""

    output: str
    source: str
    error: str
    hint: str | None
    exit_code: int


@dataclass
class Status:
    """How far runs over one folder are.

    Attributes:
        done: results that are there as they were made.
        changed: results that are there, and that somebody changed since.
        passed: results that were not to be made, as of pictures that are large enough.
        missing: results that a run was to make and that are not there.
        not_begun: pictures of parts that no run has begun, whose names nobody has noted yet.
        running: parts that runs work on now.
        rate: pictures a second that were done lately, by all runs together; None where that cannot be told.
    """

    done: int = 0
    changed: list[str] = field(default_factory=list)
    passed: int = 0
    failed: list[Failure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    not_begun: int = 0
    running: list[Shard] = field(default_factory=list)
    rate: float | None = None

    @property
    def left(self) -> int:
        """Pictures that are still to be made, failures not counted."""
        return len(self.missing) + self.not_begun

    @property
    def seconds_left(self) -> float | None:
        """At the rate of late; None where that cannot be told."""
        if not self.left:
            return 0.0
        return self.left / self.rate if self.rate else None

    @property
    def is_complete(self) -> bool:
        """Whether nothing failed and nothing is left."""
        return not self.failed and not self.left


def status_of(output: str | Path) -> Status:
    """How far the runs are that write to a folder, or to a place in a store.

    Raises:
        UsageError: no run has ever written there.
        OutputError: its journal cannot be read.
    """
    records: _Looked
    if isinstance(output, str) and is_url(output):
        place = StorePlace.at(parse(output))
        held, records = running(place), _LookedAtStore(place, {})
    else:
        root = Path(output)
        held, records = held_in(root) if root.is_dir() else [], _Looked(root)
    if not records.is_there:
        raise UsageError(
            f"no run over a folder has written to {output}",
            hint="name the folder that was given with -o",
        )
    return records.status(held)


class _Looked(Records):
    """A journal that is compared with the folder."""

    @property
    def is_there(self) -> bool:
        """Whether there is one at all."""
        return bool(self._runs or self._lines or self._begun)

    def status(self, running: list[Shard]) -> Status:
        """How far its runs are."""
        told, times = Status(running=running), []
        keys = dict.fromkeys((*self._expected, *self._lines))
        for key in keys:
            made, unmade = self._latest(key), fields_of(self._unmade.get(key, ""))
            if unmade and unmade.get("run") == self._run_of(key) and _at(unmade) >= _at(made):
                self._count_unmade(key, unmade, told)
            elif not made or not is_there(self.output_of(key)):
                told.missing.append(key)
            elif self.has_made(self.output_of(key)):
                told.done += 1
                times.append(_at(made))
            else:
                told.changed.append(key)
        told.not_begun = max(0, self._found() - len(keys))
        told.rate = _rate(times)
        return told

    def _run_of(self, key: str) -> Any:
        """The digest of the way in which a result was last to be made."""
        return self._expected[key][0] if key in self._expected else fields_of(self._lines[key]).get("run")

    def _latest(self, key: str) -> dict[str, Any]:
        """The last line about a result that was made in that way."""
        run = self._run_of(key)
        return next((fields for fields in self._all(self.output_of(key)) if fields.get("run") == run), {})

    def _count_unmade(self, key: str, fields: dict[str, Any], told: Status) -> None:
        if "failed" not in fields:
            told.passed += 1
            return
        code, hint = fields.get("exit_code"), fields.get("hint")
        told.failed.append(
            Failure(
                output=key,
                source=str(fields.get("input")),
                error=str(fields.get("error")),
                hint=hint if isinstance(hint, str) else None,
                exit_code=code if isinstance(code, int) else 1,
            )
        )

    def _found(self) -> int:
        """How many pictures the latest run found in all parts together."""
        latest = max(self._begun.values(), key=_at, default={})
        found = latest.get("found")
        return found if isinstance(found, int) else 0


class _LookedAtStore(_Looked, StoreJournal):
    """The same for a place in a store."""


def _at(fields: dict[str, Any]) -> float:
    at = fields.get("at")
    return float(at) if isinstance(at, int | float) else 0.0


def _rate(times: list[float]) -> float | None:
    """Results a second in the last minutes in which there were any."""
    newest = max(times, default=0.0)
    recent = sorted(at for at in times if newest - at <= _RECENT)
    if len(recent) < 2 or recent[-1] <= recent[0]:
        return None
    return (len(recent) - 1) / (recent[-1] - recent[0])
