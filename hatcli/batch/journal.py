"""What was made, from which file, with which settings: so that a second run skips exactly what is still true.

Append-only files of JSON lines, hidden in the folder the results go to. Not SQLite: a line is written once and never
changed, so a torn last line (the only damage a kill can do) is seen and passed over; there are no side files; it works
on network drives, where SQLite's locks are not to be trusted; `grep` can read it.

A line is written and flushed to the disk *before* the finished temporary file takes its final name. So every result
that ever appears is known here, whatever the instant of a kill; a line whose result never appeared, or looks different
now, simply means that the work is done again. `records` says what the lines are.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hatcli.atomic import write_error
from hatcli.batch.journal_files import JournalFile
from hatcli.batch.reading import Stamp
from hatcli.batch.records import Records, fields_of, stamp_in
from hatcli.batch.shards import WHOLE, Shard
from hatcli.batch.stamps import Where, identity_of, is_one_of, is_still, is_there
from hatcli.errors import HatError
from hatcli.folder import Folder, FolderGoneError

NO_WEIGHTS = ""
_NAMES_IN_A_LINE = 1 << 15  # bytes
_LONGEST_REASON = 2000  # letters


class Log(Protocol):
    """What lines are written to, held by one run."""

    def append(self, text: str, *, durable: bool = True) -> None:
        """Write at the end; see `JournalFile.append`."""

    def mend(self) -> None:
        """End a torn line."""

    def close(self) -> None:
        """Let go of it."""


class Journal(Records):
    """The journal of the results below one folder, and that folder itself, held open while results go there.

    Args:
        root: the folder.
        settings: everything but the model that decides what a result looks like; JSON can hold it.
        weights_for: the digest of the weights that a picture gets now, by its quality as JPEG and its factor. So a
            picture is finished or not whatever others lie beside it.
        shard: the part of the pictures that is worked on.
    """

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, Any],
        weights_for: Callable[[int | None, float | None], str] = lambda quality, factor: NO_WEIGHTS,
        *,
        shard: Shard = WHOLE,
    ) -> None:
        self._settings, self._weights_for, self._shard = settings, weights_for, shard
        self._run = digest_of(settings)
        self._file: Log | None = None
        self._unseen: set[str] | None = None  # what was expected once, and has not been found yet
        self._lock = threading.Lock()
        super().__init__(root)

    @property
    def run(self) -> str:
        """The digest of the way in which results are made now."""
        return self._run

    def open(self) -> None:
        """Make ready to record; what other runs may have recorded meanwhile is read again.

        Raises:
            UsageError: another run works on the same pictures.
            OutputError: the folder cannot be written.
        """
        try:
            self._file = JournalFile(self._root, self._shard)
        except OSError as error:
            raise write_error(self.path, error) from error
        self._read()
        self._file.mend()
        if self._run not in self._runs:
            self._append({"run": self._run, "settings": self._settings})

    def close(self) -> None:
        """Let go of file and folder."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def begin(self, outputs: Iterable[Where], *, found: int, inputs: str) -> None:
        """Note what a run will make, so that others can tell what is missing.

        Args:
            outputs: of the part that is worked on.
            found: pictures in all parts together.
            inputs: a digest of what was named; what the same inputs gave once and do not give any more is forgotten.
        """
        keys = dict.fromkeys(self._key(output) for output in outputs)
        told = {"run": self._run, "inputs": inputs}
        gone = sorted(self._expected_of(inputs) - keys.keys())
        self._append_all(
            [
                {"begun": str(self._shard), "found": found, "pictures": len(keys), **told},
                *({"gone": names} for names in _chunks(gone)),
                *self._expectations(keys, inputs),
            ]
        )
        for key in gone:
            del self._expected[key]

    def expect(self, outputs: Iterable[Where], *, inputs: str) -> None:
        """Note some of what a run will make, before all of it is known."""
        keys = [self._key(output) for output in outputs]
        if self._unseen is None:
            self._unseen = self._expected_of(inputs)
        self._unseen.difference_update(keys)
        self._append_all(self._expectations(keys, inputs))

    def found(self, found: int, *, pictures: int, inputs: str) -> None:
        """Note, once it is known, how many pictures there are: in all parts, and in the one that is worked on."""
        told = {"run": self._run, "inputs": inputs}
        gone = sorted(self._unseen or ())
        self._append_all(
            [
                {"begun": str(self._shard), "found": found, "pictures": pictures, **told},
                *({"gone": names} for names in _chunks(gone)),
            ]
        )

    def _expected_of(self, inputs: str) -> set[str]:
        """What the same inputs gave once; only a run over all of them can tell what they do not give any more."""
        if not self._shard.is_whole:
            return set()
        return {key for key, (_, named) in self._expected.items() if named == inputs}

    def _expectations(self, keys: Iterable[str], inputs: str) -> list[dict[str, Any]]:
        new = [key for key in keys if self._expected.get(key) != (self._run, inputs)]
        return [{"expect": names, "run": self._run, "inputs": inputs} for names in _chunks(new)]

    def _append_all(self, lines: list[dict[str, Any]]) -> None:
        if lines:
            with self._lock:
                self._open_file().append("".join(line_of(line) + "\n" for line in lines))

    def folder_of(self, output: Path) -> Folder:
        """The open folder that a result goes to, made if missing; found from the held one, never through a link.

        Raises:
            OutputError: there is no such folder and it cannot be made, or the held one is gone.
        """
        try:
            assert isinstance(self._file, JournalFile), "the journal is not open, or of no folder"
            return self._file.folder.below(*Path(os.path.relpath(output.parent, self._root)).parts)
        except OSError as error:
            raise write_error(output.parent if isinstance(error, FolderGoneError) else output, error) from error

    def is_finished(self, output: Where, source: Where) -> bool:
        """Whether the result is there as it was made, from this very input, with these very settings."""
        return any(
            self._is_of(fields, source) and (made := stamp_in(fields, "made")) is not None and is_one_of(output, [made])
            for fields in self._all(output)
        )

    def was_changed(self, output: Where, source: Where) -> bool:
        """Whether the result was made from this very input with these very settings, and somebody changed it since."""
        latest = next(self._all(output), {})
        return self._is_of(latest, source) and is_there(output) and not self.has_made(output)

    def _is_of(self, fields: Mapping[str, Any], source: Where) -> bool:
        origin = stamp_in(fields, "from")
        if fields.get("run") != self._run or origin is None or not self._has_same_weights(fields):
            return False
        return is_still(source, origin, trust_time=fields.get("input") == identity_of(source))

    def _has_same_weights(self, fields: Mapping[str, Any]) -> bool:
        """Whether the input, being what it was, would get the same weights now."""
        quality, factor = fields.get("jpeg_quality"), fields.get("factor")
        if not isinstance(quality, int | None) or not isinstance(factor, int | float | None):
            return False
        return bool(fields.get("weights", NO_WEIGHTS) == self._weights_for(quality, factor))

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
        """Note a result that is about to take its name; returns when the note is on the disk.

        Args:
            durable: whether to wait for the disk; else `flush` has to come before the result takes its name.
            made_by: `model`, `weights`, and what decided on them: `jpeg_quality` and `factor`.
        """
        key = self._key(output)
        line = self._append(
            {
                "output": key,
                "run": self._run,
                "input": identity_of(source),
                **(made_by or {}),
                "from": [origin.size, origin.modified, origin.sha256],
                "made": [made.size, made.modified, made.sha256],
            },
            durable=durable,
        )
        with self._lock:
            self._note(key, line)

    def flush(self) -> None:
        """Return when all that was noted is on the disk."""
        with self._lock:
            self._open_file().append("")

    def record_failure(self, output: Where, source: Where, error: HatError) -> None:
        """Note why a result was not made."""
        self._unmade[self._key(output)] = self._append(
            {
                "failed": self._key(output),
                "run": self._run,
                "input": identity_of(source),
                "error": error.message[:_LONGEST_REASON],
                "hint": error.hint,
                "exit_code": error.exit_code,
            },
            durable=False,
        )

    def record_passed(self, output: Where, source: Where, reason: str) -> None:
        """Note, once, that no result was to be made."""
        key = self._key(output)
        before = fields_of(self._unmade.get(key, ""))
        if (before.get("passed"), before.get("run"), before.get("reason")) != (key, self._run, reason):
            fields = {"passed": key, "run": self._run, "input": identity_of(source), "reason": reason}
            self._unmade[key] = self._append(fields, durable=False)

    def _append(self, fields: Mapping[str, Any], *, durable: bool = True) -> str:
        line = line_of(fields)
        with self._lock:
            self._open_file().append(line + "\n", durable=durable)
        return line

    def _open_file(self) -> Log:
        assert self._file is not None, "the journal is not open"
        return self._file


def digest_of(value: Any) -> str:
    """A short digest of something that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _chunks(names: list[str]) -> Iterable[list[str]]:
    """The names in lists that fit into a line each."""
    chunk: list[str] = []
    size = 0
    for name in names:
        length = len(json.dumps(name)) + 2
        if chunk and size + length > _NAMES_IN_A_LINE:
            yield chunk
            chunk, size = [], 0
        chunk.append(name)
        size += length
    if chunk:
        yield chunk


def line_of(fields: Mapping[str, Any]) -> str:
    """A line that is written now, in ASCII: names that are not UTF-8 survive as escapes."""
    return json.dumps({"at": round(time.time(), 6), **fields})
