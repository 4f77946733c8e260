"""What a run on a cluster will take: a calibration on its workers, then a simulation of the very pictures."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hatcli.batch.naming import check_ending
from hatcli.batch.outcomes import Foreseen, Foresight, Unforeseen
from hatcli.batch.plan import Job, Plan
from hatcli.cluster import calibration, sizes
from hatcli.cluster.calibration import Trial
from hatcli.cluster.simulation import Forecast, Service, simulate
from hatcli.errors import HatError

SLACK = 1.35  # an estimate is said as a range, from a part of it to so many times as much
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_FEW_COUNTS = (1, 8, 64, 512)
_MANY = 100_000  # pictures: simulating a million takes seconds
_FEWEST_PICTURES = 2  # for each worker: with fewer, more workers change nothing


@dataclass(frozen=True)
class ClusterEstimate:
    """What is said of a run that is not made yet.

    Attributes:
        device: `cpu` or `cuda`.
        forecast: with the workers there are.
        others: with other numbers of workers, and the seconds that they would take.
        notes: what it was told from, a sentence each.
    """

    device: str
    workers: int
    nodes: int
    forecast: Forecast
    weights_bytes: int
    others: dict[int, float]
    notes: tuple[str, ...] = ()

    @property
    def moved_bytes(self) -> float:
        """Pictures read, results stored, and weights to each node."""
        return self.forecast.moved_bytes + self.weights_bytes * self.nodes


def estimate(
    pixels: Sequence[float] | NDArray[np.float64], service: Service, *, device: str, workers: int, nodes: int,
    weights_bytes: int, notes: tuple[str, ...] = (),
) -> ClusterEstimate:  # fmt: skip
    """What a run over pictures of so many pixels takes."""
    shown = _COUNTS if len(pixels) <= _MANY else _FEW_COUNTS
    counts = [count for count in shown if count * _FEWEST_PICTURES <= len(pixels) and count != workers]
    others = {count: simulate(pixels, count, service).seconds for count in counts}
    return ClusterEstimate(device, workers, nodes, simulate(pixels, workers, service), weights_bytes, others, notes)


@dataclass(frozen=True)
class Sample:
    """A picture that may be tried out, the encoder of its result, and what its file or object has of bytes."""

    job: Job
    container: str
    bytes: int


@dataclass(frozen=True)
class Calibration:
    """What came of trying pictures out.

    Attributes:
        service: None: none could be read, and `refused` says why.
    """

    trials: Sequence[Trial]
    service: Service | None
    refused: str = ""


class Workload:
    """The pictures of a run that is to be estimated, as they are foreseen; of a million, some bytes each are kept.

    Args:
        try_out: a few pictures, on the workers.
        say: tells people why there is no estimate.
    """

    def __init__(
        self,
        try_out: Callable[[list[Sample]], Calibration],
        plan: Plan,
        *,
        say: Callable[[str], None],
        device: str,
        workers: int,
        nodes: int,
        weights_bytes: int,
    ) -> None:
        self._try_out, self._plan, self._say = try_out, plan, say
        self._device, self._workers, self._nodes, self._weights_bytes = device, workers, nodes, weights_bytes
        self._pixels = array("d")  # of those that were looked at
        self._bytes: dict[str, array[float]] = {}  # of the others, by what their names end in
        self._drawn = Draw(calibration.MOST_PICTURES, calibration.MOST_BYTES)

    def add(self, event: Foresight) -> None:
        """One more picture, if it is one to be made."""
        if isinstance(event, Foreseen) and event.job.source.path is not None:
            self._pixels.append(float(event.info.width * event.info.height * event.decision.frames))
            self._drawn.add(Sample(event.job, event.decision.container, 0))
        elif isinstance(event, Unforeseen) and event.job.source.origin is not None:
            ending = sizes.ending_of(event.job)
            self._bytes.setdefault(ending, array("d")).append(float(event.source_bytes))
            if (container := _container(event.job, self._plan)) is not None:
                self._drawn.add(Sample(event.job, container, event.source_bytes))

    def estimate(self) -> ClusterEstimate | None:
        """What they will take; None: there is nothing to be made, or nothing that can be tried, which is said."""
        if not (self._pixels or self._bytes):
            return None
        samples = self._drawn.samples()
        found = self._try_out(samples) if samples else Calibration([], None, "all are too large to be tried")
        if found.service is None:
            self._say(f"note: there is no estimate for the cluster: {found.refused}")
            return None
        pixels, read_bytes = self._all_pixels(found.trials, found.service)
        return estimate(
            pixels,
            replace(found.service, read_bytes=read_bytes),
            device=self._device,
            workers=self._workers,
            nodes=self._nodes,
            weights_bytes=self._weights_bytes,
            notes=self._notes(found.trials),
        )

    def _all_pixels(self, trials: Sequence[Trial], service: Service) -> tuple[NDArray[np.float64], float]:
        """Pixels of every picture, told from bytes where nobody has looked; and the bytes that are read for each."""
        parts, read = [np.array(self._pixels)], len(self._pixels) and float(np.sum(self._pixels)) * service.read_bytes
        usual = sum(trial.pixels for trial in trials) / len(trials)
        for ending, held in self._bytes.items():
            alike = [trial for trial in trials if trial.ending == ending]
            rate = sizes.bytes_a_pixel(ending)
            if alike:
                rate = sum(trial.file_bytes for trial in alike) / sum(trial.pixels for trial in alike)
            known = np.array(held)
            parts.append(np.where(known > 0, known / rate, usual))
            read += float(np.sum(np.where(known > 0, known, usual * rate)))
        pixels = np.concatenate(parts)
        return pixels, read / max(float(pixels.sum()), 1.0)

    def _notes(self, trials: Sequence[Trial]) -> tuple[str, ...]:
        if not self._bytes:
            return ()
        fetched = sum(trial.file_bytes for trial in trials if trial.fetch > 0)
        told = f"{len(trials)} pictures were tried, {fetched / 1e6:.1f} MB of them fetched"
        notes = [f"{told}; how large the others are is told from their bytes"]
        if any(trial.round_trip is not None for trial in trials):
            way = "as fast as the pictures came" if fetched else "50 MB/s for each worker"
            notes.append(f"nothing was stored to find out: results are taken to go {way}")
        return tuple(notes)


class Draw:
    """A few of many pictures, each as likely as any other, whose bytes together stay within a bound.

    Args:
        most: pictures.
        most_bytes: of all of them; a picture that is larger is left out.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._drawn: list[Sample] = []
        self._seen = 0
        self._chance = random.Random(0)

    def add(self, sample: Sample) -> None:
        """One more to draw from."""
        if sample.bytes > self._most_bytes:
            return
        self._seen += 1
        if len(self._drawn) < self._most:
            self._drawn.append(sample)
        elif (place := self._chance.randrange(self._seen)) < self._most:
            self._drawn[place] = sample

    def samples(self) -> list[Sample]:
        """Those that were drawn, as far as the bound allows."""
        kept: list[Sample] = []
        for sample in self._drawn:
            if sample.bytes + sum(one.bytes for one in kept) <= self._most_bytes:
                kept.append(sample)
        return kept


def _container(job: Job, plan: Plan) -> str | None:
    """The encoder of a result; None: its name tells none, and the run will refuse it."""
    try:
        return plan.format or (check_ending(job.result) if job.result is not None else None)
    except HatError:
        return None
