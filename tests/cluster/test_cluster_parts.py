"""One large picture over a Ray cluster on this machine: made by all, the bytes of a local run, whatever dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import clusters
from support.networks import lively, tiny

from hatcli.network import checkpoint

pytest.importorskip("ray")
HEIGHT, WIDTH = 1000, 400


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Nodes]:
    with clusters.nodes(3) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    """A folder of one picture whose file is that of a far larger one, and how it is enlarged, by tiles that matter."""
    folder, path = tmp_path_factory.mktemp("large"), tmp_path_factory.mktemp("weights") / "lively.safetensors"
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "scan.webp", lossless=True, method=0)
    network = lively(tiny(upscale=2))
    checkpoint.write(path, config=network.config, state=network.state_dict())
    return (folder, "-n", path, "--tile", "64", "--overlap", "8", "--format", "png", "--threads", "1")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, words: tuple[str | Path, ...]) -> dict[str, bytes]:
    """What a run without a cluster makes."""
    out = tmp_path_factory.mktemp("calm")
    clusters.told(clusters.start(*words, "-o", out, "--cpu"))
    return clusters.contents(out)


def parts(out: Path) -> list[Path]:
    """Files that are not finished, or wait to be joined: one alone were that of the whole result."""
    return list(out.glob(".hat-*.part")) if out.exists() else []


def test_all_make_one_picture_and_it_is_that_of_a_local_run(
    cluster: clusters.Nodes, words: tuple[str | Path, ...], expected: dict[str, bytes], tmp_path: Path
) -> None:
    run = clusters.start(*words, "-o", tmp_path / "out", "--ray", cluster.address)
    clusters.until(run, lambda: len(parts(tmp_path / "out")) == 3)
    events = clusters.told(run)
    assert run.returncode == 0
    assert events[-1] | {"done": 1, "failed": 0, "not_started": 0} == events[-1]
    assert clusters.contents(tmp_path / "out") == expected
    assert set(clusters.times_made(tmp_path / "out").values()) == {1}
    assert not parts(tmp_path / "out")
    done = [event["done"] for event in events if event["event"] == "progress"]
    assert done == sorted(done)
    assert len({event["input"] for event in events if event["event"] == "progress"}) == 1


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_worker_that_dies_in_the_middle_of_its_part_costs_nothing_but_time(
    cluster: clusters.Nodes, words: tuple[str | Path, ...], expected: dict[str, bytes], tmp_path: Path
) -> None:
    run = clusters.start(*words, "-o", tmp_path / "out", "--ray", cluster.address)
    clusters.until(run, lambda: len(parts(tmp_path / "out")) == 3)
    cluster.kill()
    events = clusters.told(run)
    cluster.add()
    assert events[-1] | {"done": 1, "failed": 0} == events[-1]
    assert clusters.contents(tmp_path / "out") == expected
    assert not parts(tmp_path / "out")


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_run_that_ends_among_parts_leaves_nothing_and_the_next_one_makes_it(
    cluster: clusters.Nodes, words: tuple[str | Path, ...], expected: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = clusters.start(*words, "-o", out, "--ray", cluster.address)
    clusters.until(run, lambda: len(parts(out)) == 3)
    clusters.stop(run)
    assert clusters.told(run)[-1]["not_started"] == 1
    assert run.returncode == 130
    assert clusters.contents(out) == {}
    assert not parts(out)
    run = clusters.start(*words, "-o", out, "--ray", cluster.address)
    clusters.until(run, lambda: len(parts(out)) == 3)
    clusters.end(run)
    assert clusters.contents(out) == {}
    clusters.told(clusters.start(*words, "-o", out, "--ray", cluster.address))
    assert clusters.contents(out) == expected
    assert not parts(out)
