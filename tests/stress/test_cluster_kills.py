"""Nodes, workers and drivers of a cluster that die at random: the same folder in the end, each picture made once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import clusters, stores

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


@dataclass
class Kills:
    """Kills at random of nodes, workers and the driver over one run, spread over all of its results.

    Args:
        words: of the command that is begun again whenever its driver was killed.
        log: of its latest run.
        look: what is visible now, to what tells whether it was made again.
    """

    nodes: clusters.Nodes
    words: tuple[str | Path, ...]
    log: Path
    look: Callable[[], Mapping[str, object]]
    chance: random.Random
    counts: dict[str, int] = field(default_factory=lambda: {"node": 0, "worker": 0, "driver": 0, "nodes and driver": 0})
    seen: dict[str, object] = field(default_factory=dict)

    def over(self, pictures: int, wanted: int) -> list[dict[str, Any]]:
        """So many kills, each after so many more results, some while the driver only starts; the events of the last."""
        run = self._start()
        ways = ["node", "worker", "worker", "driver", "driver", "nodes and driver"]
        for number in range(1, wanted + 1):
            enough = pictures * number // (wanted + 1)
            if self.chance.random() < 0.75:
                clusters.until(run, lambda enough=enough: len(self.look()) >= enough, pause=0.1)  # type: ignore[misc]
            time.sleep(self.chance.uniform(0, 1.5))  # it may be starting, or in the middle of something
            self.check()
            assert len(self.seen) < pictures, "there is nothing left to be killed in"
            run = self._kill(ways[number - 1] if number <= len(ways) else self.chance.choice(ways), run)
        run.wait(timeout=300)
        self.check()
        with self.log.open() as written:
            told = written.read()
        assert "Traceback" not in told, told
        return [json.loads(line) for line in told.splitlines() if line.startswith("{")]

    def _start(self) -> subprocess.Popen[str]:
        with self.log.open("w") as log:
            return clusters.start(*self.words, log=log)

    def check(self) -> None:
        """What was visible once is the same, not made again."""
        now = self.look()
        assert {name: now.get(name) for name in self.seen} == self.seen
        self.seen.update(now)

    def _kill(self, way: str, run: subprocess.Popen[str]) -> subprocess.Popen[str]:
        if way == "worker":
            found = self.nodes.workers()
            if not found:
                way = "node"
            else:
                os.kill(self.chance.choice(found), signal.SIGKILL)
        if "driver" in way:
            clusters.end(run)
        if "node" in way:
            self.nodes.kill()
            self.nodes.add()
        self.counts[way] += 1
        return self._start() if "driver" in way else run


def test_thirty_random_kills(tmp_path: Path, weights: Path, share: float) -> None:
    wanted = max(6, round(30 * share))
    pictures = 60 * wanted
    source, out = clusters.pictures(tmp_path / "in", pictures), tmp_path / "out"
    expected = calm(source, tmp_path / "calm", weights)

    def look() -> dict[str, object]:
        none_is_half(out, expected)
        return {name: (out / name).stat()[stat.ST_INO] for name in clusters.contents(out)}

    with clusters.nodes(3) as nodes:
        words = (source, "-o", out, "-n", weights, "--ray", nodes.address)
        kills = Kills(nodes, words, tmp_path / "log", look, random.Random(7))
        events = kills.over(pictures, wanted)
    again = sum(clusters.times_made(out).values()) - pictures
    print(f"{kills.counts}, {events[-1]['done']} made in the last run, {again} noted twice")  # noqa: T201
    assert sum(kills.counts.values()) == wanted
    assert events[-1]["failed"] == events[-1]["not_started"] == 0
    assert clusters.contents(out) == expected
    assert not list(out.glob(".hat-*.part"))
    assert again <= 4 * sum(count for way, count in kills.counts.items() if "driver" in way)  # noted, and not yet named
    calmly = clusters.told(clusters.start(source, "-o", out, "-n", weights, "--cpu"))
    assert calmly[-1]["skipped"] == pictures


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the server's and the client's own packages
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_thirty_random_kills_over_a_store(
    tmp_path: Path, weights: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    wanted = max(6, round(30 * share))
    pictures = 40 * wanted
    (tmp_path / "in").mkdir()
    for number in range(pictures):
        (tmp_path / "in" / f"{number:04}.png").write_bytes(stores.png(number, 24))
    expected = calm(tmp_path / "in", tmp_path / "calm", weights)
    with stores.s3_server() as server, clusters.nodes(3) as nodes:
        for name, value in stores.found_by_environment(server).items():
            monkeypatch.setenv(name, value)
        store = stores.client(server)
        store.create_bucket(Bucket="kills")
        for path in (tmp_path / "in").iterdir():
            store.put_object(Bucket="kills", Key=f"in/{path.name}", Body=path.read_bytes())

        def listed() -> list[dict[str, Any]]:
            pages = store.get_paginator("list_objects_v2").paginate(Bucket="kills", Prefix="out/")
            return [entry for page in pages for entry in page.get("Contents", [])]

        def look() -> dict[str, object]:
            seen = [entry for entry in listed() if "/.hat-manifest/" not in entry["Key"]]
            digests = {name: f'"{hashlib.md5(content).hexdigest()}"' for name, content in expected.items()}
            for entry in seen:
                assert entry["ETag"] == digests[entry["Key"].removeprefix("out/")], entry["Key"]
            return {entry["Key"]: entry["LastModified"] for entry in seen}

        words = ("s3://kills/in/", "-o", "s3://kills/out/", "-n", weights, "--ray", nodes.address)
        kills = Kills(nodes, words, tmp_path / "log", look, random.Random(11))
        events = kills.over(pictures, wanted)
        odd = [entry["Key"] for entry in listed() if "/.hat-manifest/" in entry["Key"]]
        print(f"{kills.counts}, {events[-1]['done']} made in the last run, {len(odd)} segments")  # noqa: T201
        assert sum(kills.counts.values()) == wanted
        assert events[-1]["failed"] == events[-1]["not_started"] == 0
        assert len(look()) == pictures
        left = [key for key in odd if not re.search(r"/shard-1-of-1/\d{6}\.jsonl$", key)]
        assert not [key for key in left if "/probe-" not in key], "no owner; a young probe goes with a later run"
        calmly = clusters.told(clusters.start("s3://kills/in/", "-o", "s3://kills/out/", "-n", weights, "--cpu"))
        assert calmly[-1]["skipped"] == pictures
