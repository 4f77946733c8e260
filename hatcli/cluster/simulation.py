"""A run over many workers without the workers: discrete events, service times that were measured, the real portions."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hatcli.cluster.portions import Portions


@dataclass(frozen=True)
class Stage:
    """What one step takes of a worker: seconds a picture, and seconds a pixel of the picture."""

    fixed: float
    a_pixel: float

    def of(self, pictures: float, pixels: float) -> float:
        """Seconds for so many."""
        return pictures * self.fixed + pixels * self.a_pixel


@dataclass(frozen=True)
class Service:
    """Measured service times.

    Attributes:
        read, network, encode, store: of a worker.
        fetch, send: in which it waits for an object store, and works on other pictures.
        commit: of the driver, seconds a result: its line in the journal, and its name.
        hand_out: of the driver, seconds a portion.
        start: seconds until a worker has its network.
        shares_cores: whether the stages of a worker take turns on its cores, as on a CPU; on a card they overlap.
        writers: threads of a worker that encode and store.
        read_bytes, stored_bytes: a pixel of the picture.
        divides: whether large pictures are made in parts; that each of them is read for each part is left out.
    """

    read: Stage
    network: Stage
    encode: Stage
    store: Stage
    commit: float = 0.002
    hand_out: float = 0.001
    start: float = 5.0
    shares_cores: bool = False
    writers: int = 2
    fetch: Stage = Stage(0.0, 0.0)
    send: Stage = Stage(0.0, 0.0)
    read_bytes: float = 1.0
    stored_bytes: float = 4.0
    divides: bool = True

    def seconds(self, pictures: float, pixels: float) -> float:
        """What a worker takes for a portion, its stages at work side by side where they can be."""
        read, network = self.read.of(pictures, pixels), self.network.of(pictures, pixels)
        written = self.encode.of(pictures, pixels) + self.store.of(pictures, pixels)
        coming = self.fetch.of(pictures, pixels) + read
        going = (self.send.of(pictures, pixels) + written) / self.writers
        return max(coming, read + network + written if self.shares_cores else network, going)


@dataclass(frozen=True)
class Circumstances:
    """What happens to workers.

    Attributes:
        hours_between_failures: of one worker, on average; infinite: none fails.
        recovery: seconds until a failed worker is there again.
        slow_share, slowness: how many workers are stragglers, and how many times as long they take.
    """

    hours_between_failures: float = math.inf
    recovery: float = 120.0
    slow_share: float = 0.0
    slowness: float = 1.0


@dataclass(frozen=True)
class Forecast:
    """How a run goes.

    Attributes:
        seconds: from its start to its last result.
        worker_hours: that were paid for: all workers, from start to end.
        busy: share of that time in which workers worked on what was kept.
        driver_busy: share of the time in which the driver worked.
        moved_bytes: read and stored by the workers; the driver moves names only.
        failures: of workers.
        again: pictures that were made twice.
    """

    seconds: float
    worker_hours: float
    busy: float
    driver_busy: float
    moved_bytes: float
    failures: int
    again: float


class _Span(NamedTuple):
    """A portion: so many pictures with so many pixels together."""

    pictures: float
    pixels: float


class _Event(NamedTuple):
    """A worker has ended its portion, has failed, or is there (again)."""

    at: float
    order: int
    worker: int
    kind: str
    life: int


@dataclass
class _Worker:
    slowness: float
    life: int = 0
    began: float = 0.0
    seconds: float = 0.0
    portion: _Span | None = None
    fed: _Span | None = None


def skewed_sizes(pictures: int, *, median: float = 1e6, sigma: float = 1.0, seed: int = 0) -> NDArray[np.float64]:
    """Pixels of pictures as archives have them: many of a usual size, a few very large ones (log-normal)."""
    return np.random.default_rng(seed).lognormal(math.log(median), sigma, pictures)


def simulate(
    sizes: Sequence[float] | NDArray[np.float64],
    workers: int,
    service: Service,
    circumstances: Circumstances | None = None,
    *,
    seed: int = 0,
) -> Forecast:
    """Run through the events of a whole run.

    Args:
        sizes: pixels of each picture.
    """
    return _Run(Portions(sizes), workers, service, circumstances or Circumstances(), seed).forecast()


@dataclass
class _Run:
    portions: Portions
    count: int
    service: Service
    circumstances: Circumstances
    seed: int
    events: list[_Event] = field(default_factory=list)
    again: list[_Span] = field(default_factory=list)
    parts: list[_Span] = field(default_factory=list)
    driver_free: float = 0.0
    driver_seconds: float = 0.0
    useful: float = 0.0
    failures: int = 0
    repeated: float = 0.0

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        slow = self.chance.random(self.count) < self.circumstances.slow_share
        self.workers = [_Worker(self.circumstances.slowness if late else 1.0) for late in slow]
        self.pictures = len(self.portions)
        self.left = float(self.pictures)
        self.pixels = float(self.portions.pixels_before[-1])

    def forecast(self) -> Forecast:
        """All events to the end."""
        for number in range(self.count):
            self._push(self.service.start, number, "there")
        now = 0.0
        while self.events and self.left > 0.5:
            event = heapq.heappop(self.events)
            worker = self.workers[event.worker]
            if event.life != worker.life:
                continue  # of a life that has ended
            now = event.at
            if event.kind == "there":
                self._feed(event.worker, now)
                self._await_failure(event.worker, now)
            elif event.kind == "ended":
                now = self._ended(event.worker, now)
            elif event.kind == "failed":
                self._failed(event.worker, now)
        end = max(now, self.driver_free)
        paid = end * self.count
        moved = self.pixels * (self.service.read_bytes + self.service.stored_bytes)
        return Forecast(
            seconds=end,
            worker_hours=paid / 3600,
            busy=self.useful / max(paid, 1e-9),
            driver_busy=self.driver_seconds / max(end, 1e-9),
            moved_bytes=moved * (1 + self.repeated / max(self.pictures, 1)),
            failures=self.failures,
            again=self.repeated,
        )

    def _push(self, at: float, number: int, kind: str) -> None:
        heapq.heappush(self.events, _Event(at, len(self.events), number, kind, self.workers[number].life))

    def _await_failure(self, number: int, now: float) -> None:
        mean = self.circumstances.hours_between_failures * 3600
        if math.isfinite(mean):
            self._push(now + float(self.chance.exponential(mean)), number, "failed")

    def _next(self, *, is_idle: bool) -> _Span | None:
        """As `Hands` hands out."""
        if self.again:
            return self.again.pop()
        if is_idle and self.parts:
            return self.parts.pop()
        parts = self.portions.parts(self.count, self._in_work) if self.service.divides else 1
        begin, end = self.portions.next_span(self.count)
        if begin == end:
            return None
        before = self.portions.pixels_before
        pictures, pixels = end - begin, float(before[end] - before[begin])
        span = _Span(pictures / parts, pixels / parts)
        self.parts += [span] * (parts - 1)
        return span

    def _in_work(self) -> float:
        spans = [span for worker in self.workers for span in (worker.portion, worker.fed) if span is not None]
        return sum(span.pixels for span in (*spans, *self.parts))

    def _driver(self, now: float, seconds: float) -> float:
        """When the driver, who does one thing at a time, has done this."""
        self.driver_free = max(now, self.driver_free) + seconds
        self.driver_seconds += seconds
        return self.driver_free

    def _feed(self, number: int, now: float) -> None:
        """A portion to work on, and one to come; the first that is there begins at once."""
        worker = self.workers[number]
        while worker.portion is None or worker.fed is None:
            is_idle = worker.portion is None
            portion = worker.fed if is_idle and worker.fed is not None else self._next(is_idle=is_idle)
            if portion is None:
                return
            if worker.portion is not None:
                worker.fed = portion
                self._driver(now, self.service.hand_out)
                return
            begins = now if portion is worker.fed else self._driver(now, self.service.hand_out)
            worker.fed = None
            worker.portion, worker.began = portion, begins
            worker.seconds = self.service.seconds(*portion) * worker.slowness
            self._push(begins + worker.seconds, number, "ended")

    def _ended(self, number: int, now: float) -> float:
        worker = self.workers[number]
        assert worker.portion is not None
        self.useful += worker.seconds
        self.left -= worker.portion.pictures
        committed = self._driver(now, worker.portion.pictures * self.service.commit)
        worker.portion = None
        self._feed(number, now)
        self._wake(now)
        return committed if self.left <= 0.5 else now

    def _failed(self, number: int, now: float) -> None:
        """What is done stays, what is in flight is made again, the rest goes to others."""
        worker = self.workers[number]
        self.failures += 1
        if worker.portion is not None:
            share = min(1.0, max(0.0, (now - worker.began) / max(worker.seconds, 1e-9)))
            done = min(math.floor(share * worker.portion.pictures), max(0, math.ceil(worker.portion.pictures) - 1))
            kept = done / worker.portion.pictures
            self.left -= done
            self.useful += worker.seconds * kept
            self._driver(now, done * self.service.commit)
            self.repeated += 1
            self.again.append(_Span(worker.portion.pictures - done, worker.portion.pixels * (1 - kept)))
        if worker.fed is not None:
            self.again.append(worker.fed)
        self.workers[number] = replace(worker, life=worker.life + 1, portion=None, fed=None)
        self._push(now + self.circumstances.recovery + self.service.start, number, "there")
        self._wake(now)

    def _wake(self, now: float) -> None:
        """Portions that came back go to workers that have none."""
        while self.again:
            idle = next((n for n, one in enumerate(self.workers) if one.portion is None and self._is_there(n)), None)
            if idle is None:
                return
            self._feed(idle, now)

    def _is_there(self, number: int) -> bool:
        life = self.workers[number].life
        return not any(event.worker == number and event.life == life and event.kind == "there" for event in self.events)
