"""Nodes, workers and drivers of a cluster that die at random: the same folder in the end, each picture made once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import clusters

pytest.importorskip("ray")
pytestmark = [pytest.mark.stress, pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")]


def calm(source: Path, out: Path, weights: Path) -> dict[str, bytes]:
    """What a run without a cluster makes."""
    clusters.told(clusters.start(source, "-o", out, "-n", weights, "--cpu"))
    return clusters.contents(out)


def none_is_half(out: Path, expected: dict[str, bytes]) -> None:
    """Whatever is visible is whole."""
    for name, content in clusters.contents(out).items():
        assert content == expected[name], name


def test_a_node_dies_one_comes_and_the_driver_begins_again(tmp_path: Path, weights: Path) -> None:
    source, out = clusters.pictures(tmp_path / "in", 300), tmp_path / "out"
    expected = calm(source, tmp_path / "calm", weights)
    with clusters.nodes(3) as nodes:
        words = (source, "-o", out, "-n", weights, "--ray", nodes.address)
        run = clusters.start(*words)
        clusters.until(run, lambda: len(clusters.contents(out)) >= 40)
        nodes.kill()
        nodes.add()
        clusters.until(run, lambda: len(clusters.contents(out)) >= 150)
        clusters.end(run)
        none_is_half(out, expected)
        before = len(clusters.contents(out))
        assert before < 300
        events = clusters.told(clusters.start(*words))
    assert events[-1]["done"] + events[-1]["skipped"] == 300
    assert events[-1]["skipped"] >= before
    assert clusters.contents(out) == expected
    again = sum(clusters.times_made(out).values()) - 300
    print(f"{before} before the driver died, {again} noted twice")  # noqa: T201
    assert again <= 4  # what the driver had noted, and not yet named, when it was killed
    assert not list(out.glob(".hat-*.part"))


def test_thirty_random_kills(tmp_path: Path, weights: Path, share: float) -> None:
    source, out = clusters.pictures(tmp_path / "in", 300), tmp_path / "out"
    expected, chance = calm(source, tmp_path / "calm", weights), random.Random(7)
    wanted, kills = max(3, round(30 * share)), {"node": 0, "worker": 0, "driver": 0}
    with clusters.nodes(3) as nodes:
        words = (source, "-o", out, "-n", weights, "--ray", nodes.address)
        run = clusters.start(*words)

        def kill_a_node() -> None:
            nodes.kill()
            nodes.add()

        def kill_a_worker() -> None:
            for process in chance.sample(found := nodes.workers(), min(1, len(found))):
                os.kill(process, signal.SIGKILL)

        def kill_the_driver() -> None:
            nonlocal run
            clusters.end(run)
            run = clusters.start(*words)

        ways: dict[str, Callable[[], None]] = {
            "node": kill_a_node,
            "worker": kill_a_worker,
            "driver": kill_the_driver,
        }
        while sum(kills.values()) < wanted:
            before = len(clusters.contents(out))
            clusters.until(run, lambda before=before: len(clusters.contents(out)) > before)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.5))
            none_is_half(out, expected)
            way = chance.choice([*ways, "worker"])
            ways[way]()
            kills[way] += 1
            if len(clusters.contents(out)) > 240:  # begin again, so that there is always work to be killed in
                clusters.end(run)
                for path in list(out.glob("*.png"))[:200]:
                    path.unlink()
                run = clusters.start(*words)
        events = clusters.told(run)
    print(kills)  # noqa: T201
    assert events[-1]["failed"] == events[-1]["not_started"] == 0
    assert clusters.contents(out) == expected
