"""Runs over a Ray cluster whose pictures and results are in a store: the same objects, whatever dies or breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import clusters, stores
from support.commands import hat

pytest.importorskip("ray")
pytest.importorskip("obstore")
pytest.importorskip("moto")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the server's and the client's own packages
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
COUNT = 40


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with stores.s3_server() as url:
        yield url


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Nodes]:
    """Its nodes know nothing of the store: the driver tells them."""
    with clusters.nodes(2) as nodes:
        yield nodes


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Somebody else's client of a bucket of pictures."""
    for name, value in stores.found_by_environment(server).items():
        monkeypatch.setenv(name, value)
    client = stores.client(server)
    client.create_bucket(Bucket="archive")  # which is no failure where it is ours already
    for number in range(COUNT):
        client.put_object(Bucket="archive", Key=f"in/{number:03}.png", Body=stores.png(number))
    return client


@pytest.fixture
def expected(tmp_path: Path, weights: Path) -> dict[str, bytes]:
    """What a run on this machine makes of the same pictures."""
    (tmp_path / "in").mkdir()
    for number in range(COUNT):
        (tmp_path / "in" / f"{number:03}.png").write_bytes(stores.png(number))
    assert hat(tmp_path / "in", "-o", tmp_path / "out", "-n", weights).exit_code == 0
    return clusters.contents(tmp_path / "out")


def results(store: Any, folder: str = "out") -> dict[str, bytes]:
    """What is there, but for the manifest."""
    found = store.get_paginator("list_objects_v2").paginate(Bucket="archive", Prefix=f"{folder}/")
    keys = [entry["Key"] for page in found for entry in page.get("Contents", [])]
    seen = [key for key in keys if ".hat-manifest" not in key]
    return {key.removeprefix(f"{folder}/"): store.get_object(Bucket="archive", Key=key)["Body"].read() for key in seen}


def test_nodes_and_drivers_that_die_and_a_network_that_breaks_cost_no_object(
    cluster: clusters.Nodes,
    store: Any,
    server: str,
    expected: dict[str, bytes],
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("s3://archive/in/", "-o", "s3://archive/out/", "-n", weights, "--ray", cluster.address)
    with stores.faulty(server, seed=5, share=0.05) as (url, met):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        run = clusters.start(*words)
        clusters.until(run, lambda: len(results(store)) >= 4)
        cluster.kill()
        clusters.until(run, lambda: len(results(store)) >= 10)
        clusters.end(run)
        assert results(store).items() <= expected.items()
    assert len(met) > 1, "the proxy has broken something"
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    there = {key: store.head_object(Bucket="archive", Key=f"out/{key}")["ETag"] for key in results(store)}
    run = clusters.start(*words)
    output, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    assert results(store) == expected
    assert '"skipped": ' + str(len(there)) in output.splitlines()[-1], "what is there is not made again"
    for secret in (stores.KEY, stores.SECRET):
        assert secret not in output + errors
        for log in cluster.logs():
            assert secret.encode() not in log.read_bytes(), log


def test_a_network_that_breaks_in_every_way_costs_no_object_or_is_told(
    cluster: clusters.Nodes,
    store: Any,
    server: str,
    expected: dict[str, bytes],
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("s3://archive/in/", "-o", "s3://archive/broken/", "-n", weights, "--ray", cluster.address)
    with stores.faulty(server, seed=1, share=0.15) as (url, met):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        first = clusters.start(*words)
        events = clusters.told(first)
    made = results(store, "broken")
    assert made.items() <= expected.items(), "never a half or another picture"
    assert met >= set(stores.Faults.ways), "everything was broken"
    done = {event["output"].rpartition("/")[2] for event in events if event["event"] == "done"}
    failed = {event["input"].rpartition("/")[2] for event in events if event["event"] == "failed"}
    assert done <= set(made), "what was told is there"
    assert (first.returncode == 0) == (not failed and made == expected)
    if events[-1]["event"] == "summary":
        assert len(done) + len(failed) + events[-1]["not_started"] == COUNT, "each picture is told of"
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    second = clusters.told(clusters.start(*words))
    assert second[-1]["skipped"] >= len(made)
    assert results(store, "broken") == expected


def test_a_second_driver_over_a_place_is_refused(cluster: clusters.Nodes, store: Any, weights: Path) -> None:
    from hatcli.batch.places.address import parse
    from hatcli.batch.places.owner import Owner
    from hatcli.batch.places.store import StorePlace
    from hatcli.batch.shards import WHOLE

    owner = Owner(StorePlace.at(parse("s3://archive/other/")), WHOLE)
    run = clusters.start("s3://archive/in/", "-o", "s3://archive/other/", "-n", weights, "--ray", cluster.address)
    _, errors = run.communicate(timeout=120)
    owner.close()
    assert (run.returncode, "another run writes to s3://archive/other" in errors) == (2, True), errors


@pytest.mark.parametrize("way", ["from store to store", "to a store", "from a store"])
def test_a_dry_run_estimates_from_a_few_pictures_and_the_listing_and_stores_nothing(
    cluster: clusters.Nodes,
    store: Any,
    server: str,
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(COUNT):
        (tmp_path / "in" / f"{number:03}.png").write_bytes(stores.png(number))
    source = str(tmp_path / "in") if way == "to a store" else "s3://archive/in/"
    output = str(tmp_path / "out") if way == "from a store" else "s3://archive/estimated/"
    with stores.watched(server) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        run = clusters.start(source, "-o", output, "-n", weights, "--dry-run", "--ray", cluster.address)
        events = {event["event"]: event for event in clusters.told(run, timeout=120)}
    assert run.returncode == 0
    total = sum(len(stores.png(number)) for number in range(COUNT))
    assert (events["estimate"]["unread"], events["estimate"]["unread_bytes"]) == (COUNT, total)
    told = events["cluster"]
    assert told["seconds"] > 0
    assert told["worker_hours"] > 0
    assert told["bytes_moved"] > total, "results are larger than their pictures"
    assert "12 pictures were tried" in told["notes"][0]
    assert {method for method, _ in asked} <= {"GET", "HEAD"}, "nothing is written"
    read = [path for method, path in asked if method == "GET" and "/in/" in path and "list-type" not in path]
    assert len(read) == len(set(read)) == (0 if way == "to a store" else 12)
    assert not (tmp_path / "out").exists()


def test_an_estimate_that_nothing_can_be_told_from_says_why(cluster: clusters.Nodes, store: Any, weights: Path) -> None:
    for number in range(3):
        store.put_object(Bucket="archive", Key=f"odd/{number}.png", Body=b"no picture")
    words = ("s3://archive/odd/", "-o", "s3://archive/even/", "-n", weights, "--dry-run", "--ray", cluster.address)
    run = clusters.start(*words)
    output, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert '"cluster"' not in output
    assert "note: there is no estimate for the cluster: " in errors
    assert ".png" in errors.split("no estimate for the cluster: ")[1]
