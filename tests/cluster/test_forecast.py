"""An estimate over many pictures that nobody has looked at: from a few that are drawn, and the bytes of all."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from hatcli.batch.inputs import InputFile
from hatcli.batch.outcomes import Outcome, Unforeseen
from hatcli.batch.plan import Job, Plan
from hatcli.cluster import forecast
from hatcli.cluster.calibration import MOST_BYTES, MOST_PICTURES, Trial, service_of
from hatcli.cluster.forecast import Calibration, Draw, Sample, Workload
from hatcli.cluster.simulation import Service, Stage
from hatcli.upscaling.size import Target


def job(name: str) -> Job:
    return Job(InputFile(Path("in", name), Path(name)), Path("out", name))


def trial(ending: str, pixels: int, file_bytes: int, *, fetch: float = 0.0, round_trip: float | None = None) -> Trial:
    """A picture at a microsecond a pixel whose result has as many bytes as the picture has pixels."""
    return Trial(ending, pixels, pixels, 0.0, pixels * 1e-6, 0.0, 0.0, file_bytes, pixels, fetch, round_trip)


def workload(try_out: Callable[[list[Sample]], Calibration], said: list[str] | None = None) -> Workload:
    say = (said if said is not None else []).append
    return Workload(try_out, Plan(Target()), say=say, device="cpu", workers=1, nodes=1, weights_bytes=1000)


def calibrated(*trials: Trial) -> Callable[[list[Sample]], Calibration]:
    service = service_of(trials, shares_cores=True, writers=2, start=0.0)
    return lambda samples: Calibration(trials, service)


def test_pictures_are_drawn_evenly_and_their_bytes_are_bounded() -> None:
    draw = Draw(12, 1000)
    for number in range(100):
        draw.add(Sample(job(f"{number}.png"), "PNG", 10))
    drawn = {int(sample.job.source.relative.stem) for sample in draw.samples()}
    assert len(drawn) == 12
    assert len(drawn - set(range(12))) > 6, "not the first ones"
    large = Draw(12, 1000)
    for size in (1001, 600, 500, 300, 90, 100_000):
        large.add(Sample(job("a.png"), "PNG", size))
    assert [sample.bytes for sample in large.samples()] == [600, 300, 90]
    assert Draw(12, 1000).samples() == []


def test_sizes_are_told_from_bytes_by_what_was_tried_of_the_same_ending() -> None:
    work = workload(calibrated(trial(".png", 1000, 4000), trial(".jpg", 1000, 500)))
    for name, size in (("a.png", 40_000), ("b.JPG", 5_000), ("c.jpg", 0)):  # 10,000 pixels; 10,000; not known: 1,000
        work.add(Unforeseen(job(name), size))
    work.add(Outcome(job("d.png"), "skipped", reason="it is finished already"))
    found = work.estimate()
    assert found is not None
    assert found.forecast.seconds == pytest.approx(0.021, rel=0.4)
    moved = 40_000 + 5_000 + 500 + 21_000 + 1000  # pictures, results, weights
    assert found.moved_bytes == pytest.approx(moved, rel=0.1)


def test_a_million_names_take_some_bytes_each() -> None:
    drawn: list[list[Sample]] = []

    def refuse(samples: list[Sample]) -> Calibration:
        drawn.append(samples)
        return Calibration([], None, "no permission")

    said: list[str] = []
    work, one = workload(refuse, said), job("a.png")
    tracemalloc.start()
    for number in range(200_000):
        work.add(Unforeseen(one, number))
    kept = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, forecast.__file__)])
    tracemalloc.stop()
    assert 8 * 200_000 <= sum(trace.size for trace in kept.traces) < 10 * 200_000
    assert work.estimate() is None
    assert said == ["note: there is no estimate for the cluster: no permission"]
    assert len(drawn[0]) == MOST_PICTURES
    assert sum(sample.bytes for sample in drawn[0]) <= MOST_BYTES


def test_pictures_that_are_all_too_large_to_be_tried_are_told() -> None:
    said: list[str] = []
    work = workload(calibrated(trial(".tif", 10, 10)), said)
    work.add(Unforeseen(job("a.tif"), MOST_BYTES + 1))
    assert work.estimate() is None
    assert said == ["note: there is no estimate for the cluster: all are too large to be tried"]
    assert workload(calibrated(trial(".tif", 10, 10)), said).estimate() is None
    assert len(said) == 1, "nothing is to be made: nothing is to be said"


def test_what_waits_for_a_store_goes_on_beside_the_work() -> None:
    calm = Service(Stage(0.1, 0), Stage(1.0, 0), Stage(0.2, 0), Stage(0, 0), shares_cores=True)
    assert calm.seconds(10, 0) == pytest.approx(13)
    for fetch, send, seconds in ((0.5, 0.5, 13), (2.0, 0.0, 21), (0.0, 3.8, 20)):
        slow = Service(
            Stage(0.1, 0), Stage(1.0, 0), Stage(0.2, 0), Stage(0, 0),
            shares_cores=True, fetch=Stage(fetch, 0), send=Stage(send, 0),
        )  # fmt: skip
        assert slow.seconds(10, 0) == pytest.approx(seconds)


def test_results_are_taken_to_go_as_fast_as_pictures_came() -> None:
    tried = [trial(".png", 1000, 2000, fetch=0.5, round_trip=0.1), trial(".png", 3000, 6000, fetch=1.3, round_trip=0.1)]
    service = service_of(tried, shares_cores=True, writers=2, start=0.0)
    assert service.send.fixed == pytest.approx(0.2)  # it is sent, and looked at
    assert service.send.a_pixel == pytest.approx(1.6 / 8000)  # a byte a pixel
    assert service.fetch.of(1, 2000) == pytest.approx(0.9)
    assert service_of([trial(".png", 1000, 2000)], shares_cores=True, writers=2, start=0.0).send == Stage(0, 0)
