"""What a run on a cluster will take, before it runs: a calibration on a worker, then a simulation of the very pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
