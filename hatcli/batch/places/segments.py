"""The lines of a run's journal in a store: nothing can be appended to an object, so each few seconds make a new one.

    .hat-manifest/shard-3-of-16/000012.jsonl

A run that is killed loses the lines of its last seconds; the results themselves carry what those lines would say.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from hatcli.batch.places.asking import TakenError
from hatcli.batch.places.owner import BEAT, Owner, TakenOverError
from hatcli.batch.places.store import HIDDEN, StorePlace
from hatcli.batch.shards import Shard
from hatcli.errors import HatError

_LARGEST = 1 << 20  # bytes of lines that wait for their object
_AT_ONCE = 8  # segments that are read at a time
_LARGEST_READ = 1 << 26  # bytes of an object that may be a segment
_NAME = re.compile(r"([0-9]{6,})\.jsonl")


class Segments:
    """What one run writes; its part is its own as long as this is open.

    Raises:
        UsageError: another run works on the same pictures.
        OutputError: the store cannot be written to.
    """

    def __init__(self, place: StorePlace, shard: Shard) -> None:
        place.probe()
        self._owner = Owner(place, shard)
        self._place, self._folder = place, f"{HIDDEN}/shard-{shard.number}-of-{shard.count}"
        self._next = 1 + max((_number(name) for name in _names(place, self._folder)), default=0)
        self._lines: list[str] = []
        self._waiting = 0  # bytes of them
        self._failure: HatError | None = None
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="manifest", daemon=True)
        self._heart.start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                self._owner.beat()
                self._send()
            except TakenOverError as error:
                self._failure = error
            except HatError:  # the lines stay; the next turn, or the end, tries again
                continue

    def append(self, text: str, *, durable: bool = True) -> None:
        """Lines for the next object; `durable` makes no difference, for the results carry the same.

        Raises:
            OutputError: another run has taken over, or the lines cannot be written.
        """
        with self._lock:
            self._lines.append(text)
            self._waiting += len(text)
            is_full = self._waiting > _LARGEST
        if self._failure is not None:
            raise self._failure
        if is_full:
            self._send()

    def _send(self) -> None:
        with self._sending:
            with self._lock:
                count, text = len(self._lines), "".join(self._lines)
            while text:
                key = self._place.key_of(f"{self._folder}/{self._next:06}.jsonl")
                self._next += 1
                try:
                    self._place.put(key, text.encode("ascii"), create=True)
                except TakenError:  # by an earlier run, or by this one, whose answer was lost: the lines say it twice
                    continue
                break
            with self._lock:
                del self._lines[:count]
                self._waiting -= len(text)

    def mend(self) -> None:
        """Nothing here is ever torn."""

    def close(self) -> None:
        """Write what is left, and let others begin.

        Raises:
            OutputError: that cannot be done.
        """
        if self._ended.is_set():
            return
        self._ended.set()
        self._heart.join()
        try:
            self._send()
        finally:
            self._owner.close()


def lines_in(place: StorePlace) -> Iterator[str]:
    """The lines of all runs over a place, those written last at the end."""
    stored = [one for page in place.pages(HIDDEN) for one in page if _NAME.fullmatch(one.name) and one.seen]
    keys = [one.key for one in sorted(stored, key=lambda one: (one.seen.modified if one.seen else 0, one.key))]

    def read(key: str) -> str:
        return place.read(key, most=_LARGEST_READ)[0].decode("utf-8", "replace")

    with ThreadPoolExecutor(_AT_ONCE, "segments") as readers:
        for start in range(0, len(keys), _AT_ONCE):
            for text in readers.map(read, keys[start : start + _AT_ONCE]):
                yield from text.splitlines()


def _names(place: StorePlace, folder: str) -> list[str]:
    return [stored.name for page in place.pages(folder) for stored in page]


def _number(name: str) -> int:
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0
