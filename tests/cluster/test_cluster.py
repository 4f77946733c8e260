"""Runs over a Ray cluster on this machine: the results are those of a run without it, whatever dies on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import clusters

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Nodes]:
    with clusters.nodes(2) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> tuple[Path, Path]:
    """Thirty pictures, and what a run without a cluster makes of them."""
    folder = tmp_path_factory.mktemp("pictures")
    clusters.pictures(folder / "in", 30)
    calm = clusters.start(folder / "in", "-o", folder / "out", "-n", weights, "--cpu")
    assert clusters.told(calm)[-1]["done"] == 30
    return folder / "in", folder / "out"


def test_a_node_that_dies_costs_no_picture(
    cluster: clusters.Nodes, local: tuple[Path, Path], tmp_path: Path, weights: Path
) -> None:
    source, expected = local
    out = tmp_path / "out"
    words = (source, "-o", out, "-n", weights, "--ray", cluster.address)
    run = clusters.start(*words)
    clusters.until(run, lambda: len(clusters.contents(out)) >= 4)
    cluster.kill()
    events = clusters.told(run)
    assert run.returncode == 0
    assert events[0]["event"] == "start"
    assert events[-1] | {"done": 30, "failed": 0, "not_started": 0} == events[-1]
    assert clusters.contents(out) == clusters.contents(expected)
    assert set(clusters.times_made(out).values()) == {1}
    again = clusters.told(clusters.start(source, "-o", out, "-n", weights, "--cpu"))
    assert again[-1]["skipped"] == 30  # without the cluster, from the same journal
    assert not list(out.glob(".hat-*.part"))


def test_a_second_driver_is_refused_and_an_interrupted_one_keeps_what_is_finished(
    cluster: clusters.Nodes, tmp_path: Path, weights: Path
) -> None:
    source, out = clusters.pictures(tmp_path / "in", 3000), tmp_path / "out"
    words = (source, "-o", out, "-n", weights, "--ray", cluster.address)
    run = clusters.start(*words)
    clusters.until(run, lambda: len(clusters.contents(out)) >= 2)
    other = clusters.start(*words)
    _, errors = other.communicate(timeout=60)
    assert other.returncode == 2
    assert f"error: another run writes to {out}" in errors
    clusters.stop(run)
    events = clusters.told(run)
    assert run.returncode == 130
    finished = {Path(event["output"]).name for event in events if event["event"] == "done"}
    assert finished == set(clusters.contents(out)) == set(clusters.times_made(out))
    assert events[-1]["not_started"] == 3000 - events[-1]["done"] > 0
    assert not list(out.glob(".hat-*.part"))
