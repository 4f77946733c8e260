"""What a run on a cluster will take: a calibration on its workers, then a simulation of the very pictures."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hatcli.batch.outcomes import Foreseen, Foresight
from hatcli.cluster import calibration
from hatcli.cluster.simulation import Forecast, Service, simulate

SLACK = 1.35  # an estimate is said as a range, from a part of it to so many times as much
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_FEWEST_PICTURES = 2  # for each worker: with fewer, more workers change nothing


@dataclass(frozen=True)
class ClusterEstimate:
    """What is said of a run that is not made yet.

    Attributes:
        device: `cpu` or `cuda`.
        forecast: with the workers there are.
        others: with other numbers of workers, and the seconds that they would take.
    """

    device: str
    workers: int
    nodes: int
    forecast: Forecast
    weights_bytes: int
    others: dict[int, float]

    @property
    def moved_bytes(self) -> float:
        """Pictures read, results stored, and weights to each node."""
        return self.forecast.moved_bytes + self.weights_bytes * self.nodes


def estimate(
    sizes: Sequence[float], service: Service, *, device: str, workers: int, nodes: int, weights_bytes: int
) -> ClusterEstimate:
    """What a run over pictures of so many pixels takes."""
    counts = [count for count in _COUNTS if count * _FEWEST_PICTURES <= len(sizes) and count != workers]
    others = {count: simulate(sizes, count, service).seconds for count in counts}
    return ClusterEstimate(device, workers, nodes, simulate(sizes, workers, service), weights_bytes, others)


class Workload:
    """The pictures of a run that is to be estimated, as they are foreseen.

    Args:
        calibrate: service times, from paths and encoders of a few pictures; None: none of them can be read.
    """

    def __init__(
        self,
        calibrate: Callable[[list[str], list[str]], Service | None],
        *,
        device: str,
        workers: int,
        nodes: int,
        weights_bytes: int,
    ) -> None:
        self._calibrate = calibrate
        self._device, self._workers, self._nodes, self._weights_bytes = device, workers, nodes, weights_bytes
        self._sizes = array("d")
        self._tried: list[tuple[str, str]] = []
        self._chance = random.Random(0)

    def add(self, event: Foresight) -> None:
        """One more picture, if it is one to be made."""
        if not isinstance(event, Foreseen) or event.job.source.path is None:
            return
        self._sizes.append(float(event.info.width * event.info.height * event.decision.frames))
        drawn = (str(event.job.source.path.absolute()), event.decision.container)
        if len(self._tried) < calibration.MOST_PICTURES:
            self._tried.append(drawn)
        elif (place := self._chance.randrange(len(self._sizes))) < len(self._tried):
            self._tried[place] = drawn

    def estimate(self) -> ClusterEstimate | None:
        """What they will take; None: there is nothing to be made, or nothing that can be tried."""
        service = self._calibrate(*map(list, zip(*self._tried, strict=True))) if self._tried else None
        if service is None:
            return None
        return estimate(
            self._sizes,
            service,
            device=self._device,
            workers=self._workers,
            nodes=self._nodes,
            weights_bytes=self._weights_bytes,
        )
