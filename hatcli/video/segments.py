"""Enlarged parts of a film in a hidden folder beside it: each whole or absent, so that a killed run goes on from there.

A segment is one line of JSON, a record for each packet of the encoder (`pts, duration, key, bytes`), and one that ends
it and says how many there were.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hatcli.atomic import hold, is_temporary, replacing, write_error
from hatcli.errors import OutputError, UsageError
from hatcli.folder import Folder

SECONDS = 10  # of a segment, about
_RECORD = struct.Struct("<qq?I")
_NAME = re.compile(r"\d{8}\.segment")
_LOCK = "lock"
_END = 0xFFFFFFFF  # bytes: no packet, but the end


@dataclass(frozen=True)
class Coded:
    """A packet of the encoder: ticks of the film's time base, in the order of decoding."""

    time: int
    duration: int
    is_key: bool
    data: bytes


@dataclass(frozen=True)
class Segment:
    """A finished segment: its packets' times, and how long its last frame is shown, or 0."""

    number: int
    times: tuple[int, ...]
    last_duration: int


class SegmentFile:
    """A segment in the making; nothing of it is held in memory but times."""

    def __init__(self, file: BinaryIO, head: Mapping[str, Any]) -> None:
        self._file = file
        self.times: list[int] = []
        self.last = (0, 0)  # the latest time, and its duration
        file.write(json.dumps(head).encode() + b"\n")

    def add(self, coded: Coded) -> None:
        """Keep a packet."""
        self._file.write(_RECORD.pack(coded.time, coded.duration, coded.is_key, len(coded.data)) + coded.data)
        self.last = max(self.last, (coded.time, coded.duration)) if self.times else (coded.time, coded.duration)
        self.times.append(coded.time)

    def end(self) -> None:
        """Say that it is whole."""
        self._file.write(_RECORD.pack(len(self.times), 0, False, _END))


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
        self._output = output
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
        self._sweep()
        self.finished = self._read()

    def _sweep(self) -> None:
        """Remove what killed runs left: whoever holds the lock is the only one who writes here."""
        with suppress(OSError):
            for name in filter(is_temporary, self._folder.names()):
                self._folder.remove(name)

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
        with suppress(OSError, ValueError, KeyError, TypeError, OutputError), self._folder.open(name) as file:
            head = json.loads(file.readline(1 << 12))
            if head["identity"] == self._identity and head["number"] == int(name[:8]):
                described = list(_records(file, with_data=False))
                last = max(described, key=lambda coded: coded.time)
                return Segment(int(head["number"]), tuple(coded.time for coded in described), last.duration)
        return None

    @contextmanager
    def writing(self, number: int) -> Iterator[SegmentFile]:
        """A segment to fill; when the block ends well it is on the disk, else there is none."""
        path = self.path / f"{number:08}.segment"
        try:
            with replacing(path, folder=self._folder) as file:
                made = SegmentFile(file, {"identity": self._identity, "number": number})
                yield made
                made.end()
        except OutputError as error:
            if isinstance(error.__cause__, OSError):  # people know the film's name, not that of its parts
                raise write_error(self._output, error.__cause__) from error.__cause__
            raise
        self.finished[number] = Segment(number, tuple(made.times), made.last[1])

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


def _records(file: BinaryIO, *, with_data: bool = True) -> Iterator[Coded]:
    count = 0
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        time, duration, is_key, size = _RECORD.unpack(head)
        if size == _END:
            if time == count:
                return
            break
        if with_data:
            data = file.read(size)
        else:
            file.seek(size, os.SEEK_CUR)
            data = b""
        count += 1
        yield Coded(time, duration, is_key, data)
    raise OutputError("a segment is cut off", hint="the same command makes it again")
