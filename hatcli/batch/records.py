"""What the journal of a folder says: which results were made from what, what failed, what is still to come.

Lines, each a JSON object with `at`, the seconds since 1970:

    {"run": "<digest>", "settings": {...}}                                  once for each way of making results
    {"begun": "3/16", "found": 2000, "pictures": 125, "run": "<digest>", "inputs": "<digest>"}   a run has begun
    {"expect": ["a/b_x4.png", ...], "run": "<digest>", "inputs": "<digest>"}                      and will make these
    {"gone": ["a/b_x4.png", ...]}                                           the same inputs do not give these any more
    {"output": "a/b_x4.png", "run": "<digest>", "input": "/abs/a/b.png", "model": "hat-t", "weights": "<digest>",
     "jpeg_quality": null, "factor": 4.0,
     "from": [bytes, nanoseconds, "sha256"], "made": [bytes, nanoseconds, "sha256"]}
    {"failed": "a/b_x4.png", "run": "<digest>", "input": "/abs/a/b.png", "error": "...", "hint": null, "exit_code": 1}
    {"passed": "a/b_x4.png", "run": "<digest>", "input": "/abs/a/b.png", "reason": "..."}         nothing was to be made
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hatcli.batch.journal_files import NAME, lines_in
from hatcli.batch.reading import Stamp
from hatcli.batch.stamps import Where, is_one_of

Expectation = tuple[str, str]  # digests of the way results are made, and of the inputs that were named


class Records:
    """What all runs have written in the journal of one folder; a missing one says nothing.

    Args:
        root: the folder.

    Raises:
        OutputError: there is something under the journal's name that cannot be read, or is no plain file.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / NAME
        self._root = root
        self._lines: dict[str, str] = {}  # a hundred thousand as text take a third of what dicts would
        self._earlier: dict[str, list[str]] = {}
        self._unmade: dict[str, str] = {}  # the last line of what failed or was passed over
        self._expected: dict[str, Expectation] = {}
        self._begun: dict[str, dict[str, Any]] = {}
        self._runs: set[str] = set()
        self._is_there = False
        self._read()

    def look_again(self) -> None:
        """Read once more what other runs may have written meanwhile."""
        self._read()

    def _read(self) -> None:
        for kept in (self._lines, self._earlier, self._unmade, self._expected, self._begun):
            kept.clear()
        self._is_there = self._has_file()
        for line in self._read_lines():
            self._take(line)

    def _has_file(self) -> bool:
        return os.path.lexists(self.path)

    def _read_lines(self) -> Iterator[str]:
        return lines_in(self._root)

    def _take(self, line: str) -> None:
        fields = fields_of(line)
        if "settings" in fields:
            self._runs.add(str(fields.get("run")))
        elif isinstance(key := fields.get("output"), str):
            self._note(key, line)
        elif isinstance(key := fields.get("failed", fields.get("passed")), str):
            self._unmade[key] = line
        elif "begun" in fields:
            self._begun[str(fields["begun"])] = fields
        else:
            self._expect(fields)

    def _note(self, key: str, line: str) -> None:
        before = self._lines.get(key)
        if before is not None and before != line:
            self._earlier.setdefault(key, []).append(before)
        self._lines[key] = line

    def _expect(self, fields: Mapping[str, Any]) -> None:
        meant = (sys.intern(str(fields.get("run"))), sys.intern(str(fields.get("inputs"))))
        for key in _names(fields.get("expect")):
            self._expected[key] = meant
        for key in _names(fields.get("gone")):
            self._expected.pop(key, None)

    def may_have_lost(self, output: Where) -> bool:
        """Whether a result of this name may have had a line: runs have written here, and none says that it made it."""
        return self._is_there and not self.knows(output)

    def knows(self, output: Where) -> bool:
        """Whether a run has made, or was about to make, a result of this name."""
        return self._key(output) in self._lines

    def source_of(self, output: Where) -> str | None:
        """The absolute path of the picture that a result was last made from."""
        source = fields_of(self._lines.get(self._key(output), "")).get("input")
        return source if isinstance(source, str) else None

    def has_made(self, output: Where) -> bool:
        """Whether what is there under this name is what a run made, unchanged: it may be replaced."""
        return is_one_of(output, [stamp for fields in self._all(output) if (stamp := stamp_in(fields, "made"))])

    def _all(self, output: Where) -> Iterator[dict[str, Any]]:
        """What is noted of a result, the latest first."""
        key = self._key(output)
        if key in self._lines:
            for line in (self._lines[key], *reversed(self._earlier.get(key, []))):
                yield fields_of(line)

    def output_of(self, key: str) -> Where:
        """The result that a line calls so."""
        return self._root / key

    def _key(self, output: Where) -> str:
        assert isinstance(output, Path), "a folder holds files"
        return Path(os.path.relpath(output, self._root)).as_posix()


def fields_of(line: str) -> dict[str, Any]:
    """What a line says; nothing if it is torn."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def stamp_in(fields: Mapping[str, Any], name: str) -> Stamp | None:
    """A stamp that a line holds, if it is one."""
    match fields.get(name):
        case [int(size), int(modified), str(sha256)]:
            return Stamp(size, modified, sha256)
    return None


def _names(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
