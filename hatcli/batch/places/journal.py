"""The journal of results in a store: as a folder's, in objects, and with what each result says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hatcli.batch.journal import NO_WEIGHTS, Journal, line_of
from hatcli.batch.places.asking import AbsentError
from hatcli.batch.places.objects import Stored
from hatcli.batch.places.segments import Segments, lines_in
from hatcli.batch.places.store import StorePlace
from hatcli.batch.reading import Stamp
from hatcli.batch.records import fields_of
from hatcli.batch.shards import WHOLE, Shard
from hatcli.batch.stamps import Where, identity_of

_RECORD = "hatrecord"  # metadata of a result: what its line says but for its own name and stamp
_LONGEST_RECORD = 1500  # bytes; stores take 2 KB of metadata


class StoreJournal(Journal):
    """See `Journal`; `place` is looked at when it is made, and once more when it is opened."""

    def __init__(
        self,
        place: StorePlace,
        settings: Mapping[str, Any],
        weights_for: Callable[[int | None, float | None], str] = lambda quality, factor: NO_WEIGHTS,
        *,
        shard: Shard = WHOLE,
    ) -> None:
        self._place = place
        self._asked: set[str] = set()
        super().__init__(root_of(place), settings, weights_for, shard=shard)

    @property
    def place(self) -> StorePlace:
        """Where the results are."""
        return self._place

    def open(self) -> None:
        """See `Journal.open`."""
        self._file = Segments(self._place, self._shard)
        self._read()
        if self._run not in self._runs:
            self._append({"run": self._run, "settings": self._settings})

    def _read_lines(self) -> Iterator[str]:
        self._asked.clear()
        self._place.note_all()
        return lines_in(self._place)

    def _key(self, output: Where) -> str:
        assert isinstance(output, Stored), "a store holds objects"
        return self._place.relative(output.key)

    def output_of(self, key: str) -> Where:
        """See `Records.output_of`."""
        return Stored(self._place, self._place.key_of(key))

    def knows(self, output: Where) -> bool:
        """See `Records.knows`."""
        self._recover(output)
        return super().knows(output)

    def _all(self, output: Where) -> Iterator[dict[str, Any]]:
        self._recover(output)
        return super()._all(output)

    def _recover(self, output: Where) -> None:
        """Ask a result that is there, and that no line tells of, what it was made from."""
        assert isinstance(output, Stored), "a store holds objects"
        key, stamp = self._key(output), output.stamp
        if stamp is None or key in self._lines or key in self._asked:
            return
        self._asked.add(key)
        try:
            fields = fields_of(self._place.attributes(output.key).get(_RECORD, ""))
        except AbsentError:
            return
        if fields:
            made = [stamp.size, stamp.modified, stamp.sha256]
            self._note(key, self._append_if_open({**fields, "output": key, "made": made}))

    def _append_if_open(self, fields: Mapping[str, Any]) -> str:
        return line_of(fields) if self._file is None else self._append(fields)

    def attributes_for(self, source: Where, origin: Stamp, made_by: Mapping[str, Any] | None) -> dict[str, str]:
        """What a result says of itself."""
        fields = {
            "run": self._run,
            "input": identity_of(source),
            **(made_by or {}),
            "from": [origin.size, origin.modified, origin.sha256],
        }
        record = json.dumps(fields)
        if len(record) > _LONGEST_RECORD:
            record = json.dumps({**fields, "input": ""})
        return {_RECORD: record}


def root_of(place: StorePlace) -> Path:
    """What stands for a place where journals are found by folders; no file has such a name."""
    return Path(f"\0{place.label}")
