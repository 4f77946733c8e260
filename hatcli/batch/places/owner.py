"""Who works on a part of the pictures of a store: an object that its run writes again every few seconds.

A run that was killed writes no more, so whoever comes after it waits for that long, unless it died on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import psutil

from hatcli.batch.places.asking import AbsentError, TakenError
from hatcli.batch.places.objects import Stored
from hatcli.batch.places.store import HIDDEN, PROBE, StorePlace
from hatcli.batch.shards import Shard
from hatcli.errors import HatError, OutputError, UsageError

BEAT = 5.0  # seconds between two signs of life
PATIENCE = 16.0  # seconds without one, after which a run is taken for dead
OLD_PROBE = 60.0  # seconds; nobody takes that long
_SETTLING = 2.0  # seconds until the last of several writers is known, where a store cannot create conditionally
_NAME = re.compile(r"owner-([0-9]+)-of-([0-9]+)\.json")


class TakenOverError(OutputError):
    """Another run works on the same pictures by now: it took this one for dead."""


class Owner:
    """This run as the one that works on a part.

    Raises:
        UsageError: another run works on the same pictures.
        OutputError: the store cannot be written to.
    """

    def __init__(self, place: StorePlace, shard: Shard) -> None:
        self._place, self._shard = place, shard
        self._key = place.key_of(f"{HIDDEN}/owner-{shard.number}-of-{shard.count}.json")
        self._token, self._beats, self._machine = secrets.token_hex(8), 0, machine()
        for key, other in owners(place):
            if other.overlaps(shard):
                self._refuse_living(key, other)
        self._take()
        self._sweep()
        for key, other in owners(place):
            if key != self._key and other.overlaps(shard):
                self.close()
                raise self._refused(other)

    def _refuse_living(self, key: str, other: Shard) -> None:
        if not _is_dead(self._place, key):
            raise self._refused(other)
        self._place.delete(key)

    def _refused(self, other: Shard) -> UsageError:
        which = "" if other.is_whole else f", part {other}"
        return UsageError(f"another run writes to {self._place.label}{which}", hint="wait until it has ended")

    def _take(self) -> None:
        try:
            self._place.put(self._key, self._content(), create=True)
        except TakenError:
            if not self._is_ours():  # else the answer was lost
                raise self._refused(self._shard) from None
        if not self._place.is_conditional:
            time.sleep(_SETTLING)
            if not self._is_ours():
                raise self._refused(self._shard)

    def _sweep(self) -> None:
        """Remove probes that runs have left that were killed over them; all times are the store's."""
        now = self._place.head(self._key)
        for page in self._place.pages(HIDDEN):
            for stored in page:
                age = now.modified - stored.seen.modified if now and stored.seen else 0
                if stored.name.startswith(PROBE) and age > OLD_PROBE * 1e9:
                    self._place.delete(stored.key)

    def _content(self) -> bytes:
        self._beats += 1
        process = psutil.Process()
        told = {"token": self._token, "beats": self._beats, "machine": self._machine, "process": process.pid}
        return json.dumps({**told, "since": process.create_time()}).encode("ascii")

    def _is_ours(self) -> bool:
        return _told(self._place, self._key).get("token") == self._token

    def beat(self) -> None:
        """Give a sign of life.

        Raises:
            OutputError: another run has taken over, or the store cannot be reached.
        """
        if not self._is_ours():
            raise TakenOverError(
                f"another run has taken over {self._place.label}", hint="this one was not heard of for too long"
            )
        self._place.put(self._key, self._content())

    def close(self) -> None:
        """Let others begin."""
        if self._is_ours():
            self._place.delete(self._key)


def owners(place: StorePlace) -> list[tuple[str, Shard]]:
    """The keys of all runs' objects, and what they work on."""
    return [(stored.key, shard) for stored, shard in _all(place)]


def running(place: StorePlace) -> list[Shard]:
    """What runs have lately given a sign of life of, by this machine's clock."""
    now = datetime.now(UTC).timestamp()
    return [
        shard for stored, shard in _all(place) if stored.seen and now - stored.seen.modified / 1e9 < PATIENCE + BEAT
    ]


def _all(place: StorePlace) -> list[tuple[Stored, Shard]]:
    found = []
    for page in place.pages(HIDDEN):
        for stored in page:
            if match := _NAME.fullmatch(stored.name):
                found.append((stored, Shard(int(match[1]), max(1, int(match[2])))))
    return found


def machine() -> str:
    """What tells this machine, since its last start, from others; containers that see other processes are others."""
    try:
        processes = os.readlink("/proc/self/ns/pid")  # noqa: PTH115  (no file is meant)
    except OSError:
        processes = ""
    told = f"{platform.node()} {uuid.getnode()} {int(psutil.boot_time()) // 60} {processes}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _is_dead(place: StorePlace, key: str) -> bool:
    """Whether the run that wrote this gives no sign of life."""
    first = _told(place, key)
    if not first:
        return True
    if first.get("machine") == machine():
        return not _is_alive_here(first)
    waited_until = time.monotonic() + PATIENCE
    while time.monotonic() < waited_until:
        time.sleep(1.0)
        if (now := _told(place, key)) != first:
            return not now
    return True


def _is_alive_here(told: dict[str, Any]) -> bool:
    process, since = told.get("process"), told.get("since")
    try:
        return isinstance(process, int) and abs(psutil.Process(process).create_time() - float(since or 0)) < 1
    except (psutil.Error, ValueError, TypeError):
        return False


def _told(place: StorePlace, key: str) -> dict[str, Any]:
    """What an owner's object says; nothing if it is not there."""
    try:
        told = json.loads(place.read(key, most=1 << 16)[0])
    except AbsentError:
        return {}
    except HatError as error:
        raise OutputError(error.message, hint=error.hint) from None
    except ValueError:
        return {"token": "rubbish"}
    return told if isinstance(told, dict) else {}
