"""A simulated run obeys the arithmetic of runs: nothing is quicker than its work, more workers help, failures cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hatcli.cluster.simulation import Circumstances, Service, Stage, simulate, skewed_sizes

SERVICE = Service(
    read=Stage(0.001, 1e-9),
    network=Stage(0.01, 3e-7),
    encode=Stage(0.002, 5e-8),
    store=Stage(0.001, 1e-9),
    start=0.0,
    shares_cores=True,
)


def work(sizes: list[float]) -> float:
    return sum(SERVICE.seconds(1, size) for size in sizes)


@pytest.mark.parametrize("workers", [1, 3, 16])
def test_a_run_takes_its_work_divided_among_its_workers(workers: int) -> None:
    sizes = skewed_sizes(4000).tolist()
    forecast = simulate(sizes, workers, SERVICE)
    assert work(sizes) / workers <= forecast.seconds <= 1.1 * work(sizes) / workers
    assert forecast.busy > 0.9
    assert forecast.again == forecast.failures == 0


def test_one_picture_that_has_to_be_made_whole_bounds_the_run_however_many_workers_there_are() -> None:
    sizes = [1e9] + [1e5] * 500
    whole = simulate(sizes, 100, replace(SERVICE, divides=False)).seconds
    assert whole == pytest.approx(SERVICE.seconds(1, 1e9), rel=0.05)


@pytest.mark.parametrize("workers", [2, 7, 100])
def test_a_picture_that_is_divided_takes_its_work_divided_among_the_workers(workers: int) -> None:
    sizes = [1e9] + [1e5] * 500
    forecast = simulate(sizes, workers, SERVICE)
    assert work(sizes) / workers <= forecast.seconds <= 1.15 * work(sizes) / workers
    rough = Circumstances(hours_between_failures=0.05, recovery=5.0)
    failing = simulate(sizes, workers, SERVICE, rough, seed=2)
    assert failing.worker_hours * 3600 * failing.busy == pytest.approx(work(sizes), rel=0.02)


def test_stragglers_and_failures_cost_time_and_lose_nothing() -> None:
    sizes = skewed_sizes(3000)
    calm = simulate(sizes, 8, SERVICE)
    slow = simulate(sizes, 8, SERVICE, Circumstances(slow_share=0.3, slowness=3.0), seed=1)
    failing = simulate(sizes, 8, SERVICE, Circumstances(hours_between_failures=0.02, recovery=5.0), seed=1)
    assert slow.seconds > calm.seconds
    assert failing.failures > 3
    assert 0 < failing.again <= failing.failures
    assert failing.seconds > calm.seconds
    assert failing.worker_hours * 3600 * failing.busy == pytest.approx(work(sizes.tolist()), rel=0.02)


def test_a_driver_that_cannot_keep_up_is_seen() -> None:
    forecast = simulate([1e4] * 20_000, 512, SERVICE)
    assert forecast.driver_busy > 0.9
    assert forecast.busy < 0.9


def test_the_same_seed_gives_the_same_run() -> None:
    rough = Circumstances(hours_between_failures=0.1, slow_share=0.2, slowness=2.0)
    sizes = skewed_sizes(1000)
    assert simulate(sizes, 5, SERVICE, rough, seed=3) == simulate(sizes, 5, SERVICE, rough, seed=3)
