"""Enlarged parts of a film in a hidden folder beside it: each whole or absent, so that a killed run goes on from there.

A segment is one line of JSON and then a record for each packet of the encoder: `pts, duration, key, bytes`.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hatcli.atomic import hold, replacing, sweep, write_error
from hatcli.errors import OutputError, UsageError
from hatcli.folder import Folder

SECONDS = 10  # of a segment, about
_RECORD = struct.Struct("<qq?I")
_NAME = re.compile(r"\d{8}\.segment")
_LOCK = "lock"


@dataclass(frozen=True)
class Coded:
    """A packet of the encoder: ticks of the film's time base, in the order of decoding."""

    time: int
    duration: int
    is_key: bool
    data: bytes


@dataclass(frozen=True)
class Segment:
    """What the first line of a segment says, and its packets' times."""

    number: int
    frames: int
    times: tuple[int, ...]


class Segments:
    """The folder of a film's segments.

    Args:
        output: the film that they become.
        identity: everything that decides what they hold; those of another identity are removed.

    Raises:
        UsageError: another run is at it.
        OutputError: the folder cannot be used.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any]) -> None:
        self._identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        name = hashlib.sha256(output.name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        self.path = output.parent / f".hat-film-{name}"
        try:
            with Folder(output.parent, make=True) as beside:
                self._folder = beside.below(self.path.name)
            self._lock = self._folder.append(_LOCK)
        except OSError as error:
            raise write_error(self.path, error) from error
        if not hold(self._lock):
            self.close()
            raise UsageError(f"another run makes {output}", hint="wait until it has ended")
        sweep({self.path})
        self.finished = self._read()

    def _read(self) -> dict[int, Segment]:
        found = {}
        for name in filter(_NAME.fullmatch, self._folder.names()):
            segment = self._described(name)
            if segment is None:
                self._folder.remove(name)
            else:
                found[segment.number] = segment
        return found

    def _described(self, name: str) -> Segment | None:
        """What a segment says; None if it is of another film or other settings."""
        with suppress(OSError, ValueError, KeyError), self._folder.open(name) as file:
            head = json.loads(file.readline(1 << 12))
            if head["identity"] == self._identity and head["number"] == int(name[:8]):
                times = tuple(coded.time for coded in _records(file))
                if len(times) == head["frames"]:
                    return Segment(int(head["number"]), int(head["frames"]), times)
        return None

    def write(self, number: int, packets: list[Coded]) -> None:
        """Keep a finished segment; when this returns it is on the disk."""
        path = self.path / f"{number:08}.segment"
        head = {"identity": self._identity, "number": number, "frames": len(packets)}
        with replacing(path, folder=self._folder) as file:
            file.write(json.dumps(head).encode() + b"\n")
            for coded in packets:
                file.write(_RECORD.pack(coded.time, coded.duration, coded.is_key, len(coded.data)) + coded.data)
        self.finished[number] = Segment(number, len(packets), tuple(coded.time for coded in packets))

    def packets(self) -> Iterator[Coded]:
        """All packets of all segments, in the order of decoding."""
        for number in sorted(self.finished):
            with self._folder.open(f"{number:08}.segment") as file:
                file.readline(1 << 12)
                yield from _records(file)

    def remove(self) -> None:
        """Take the folder away: the film is finished."""
        with suppress(OSError):
            for name in filter(_NAME.fullmatch, self._folder.names()):
                self._folder.remove(name)
        self._lock.close()
        with suppress(OSError):
            self._folder.remove(_LOCK)
        self._folder.close()
        with suppress(OSError):
            self.path.rmdir()

    def close(self) -> None:
        """Let go of it; what is finished stays for the next run."""
        self._lock.close()
        self._folder.close()


def _records(file: BinaryIO) -> Iterator[Coded]:
    while head := file.read(_RECORD.size):
        if len(head) < _RECORD.size:
            raise OutputError("a segment is cut off", hint="the same command makes it again")
        time, duration, is_key, size = _RECORD.unpack(head)
        yield Coded(time, duration, is_key, file.read(size))
