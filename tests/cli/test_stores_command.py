"""Object stores as typed: a real S3 server, broken on purpose, killed at, shared; the same pictures every time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import stores
from support.commands import hat, refused
from typer.testing import CliRunner

from hatcli.cli import app
from hatcli.image import decode

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the server's and the client's own packages
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
BUCKET = "archive"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with stores.s3_server() as url:
        yield url


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Somebody else's client of an empty bucket; hat finds the store by its environment."""
    for name, value in stores.found_by_environment(server).items():
        monkeypatch.setenv(name, value)
    client = stores.client(server)
    client.create_bucket(Bucket=BUCKET)
    yield client
    for key in keys(client):
        client.delete_object(Bucket=BUCKET, Key=key)
    client.delete_bucket(Bucket=BUCKET)


def fill(store: Any, count: int, prefix: str = "in/") -> None:
    for number in range(count):
        store.put_object(Bucket=BUCKET, Key=f"{prefix}{number:03}.png", Body=stores.png(number))


def keys(store: Any, prefix: str = "") -> list[str]:
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def body(store: Any, key: str) -> bytes:
    content: bytes = store.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


def results(store: Any, prefix: str = "out/") -> dict[str, bytes]:
    return {
        key.removeprefix(prefix): body(store, key) for key in keys(store, prefix) if "/.hat-manifest/" not in f"/{key}"
    }


def expected(tmp_path: Path, weights: Path, count: int) -> dict[str, bytes]:
    """What a local run makes of the same pictures."""
    (tmp_path / "same").mkdir()
    for number in range(count):
        (tmp_path / "same" / f"{number:03}.png").write_bytes(stores.png(number))
    assert hat(tmp_path / "same", "-o", tmp_path / "calm", "-n", weights).exit_code == 0
    return {path.name: path.read_bytes() for path in (tmp_path / "calm").glob("*.png")}


def ended(*arguments: str | Path) -> list[str]:
    told = [json.loads(line) for line in hat(*arguments, "--json").stdout.splitlines()]
    return [event["event"] for event in told if event["event"] in ("done", "skipped", "failed")]


def status(output: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["status", output, "--json"])
    return result.exit_code, json.loads(result.stdout)


IN, OUT = f"s3://{BUCKET}/in/", f"s3://{BUCKET}/out/"


def test_a_prefix_becomes_what_a_folder_becomes_and_is_resumed(store: Any, weights: Path, tmp_path: Path) -> None:
    fill(store, 5)
    store.put_object(Bucket=BUCKET, Key="in/sub/deep.png", Body=stores.png(9))
    store.put_object(Bucket=BUCKET, Key="in/notes.txt", Body=b"no picture")
    store.put_object(Bucket=BUCKET, Key="in/.hidden.png", Body=stores.png(9))
    command = (IN, "-r", "-o", OUT, "-n", weights)
    assert ended(*command) == ["done"] * 6
    made = results(store)
    assert made.pop("sub/deep_x2.png")
    assert made == expected(tmp_path, weights, 5)
    assert store.head_object(Bucket=BUCKET, Key="out/000_x2.png")["ContentType"] == "image/png"
    assert ended(*command) == ["skipped"] * 6
    assert status(OUT)[0] == 0
    store.delete_object(Bucket=BUCKET, Key="out/001_x2.png")
    store.put_object(Bucket=BUCKET, Key="in/002.png", Body=stores.png(77))
    assert (status(OUT)[0], status(OUT)[1]["missing_outputs"]) == (1, ["001_x2.png"])
    assert sorted(ended(*command)) == ["done"] * 2 + ["skipped"] * 4
    store.delete_object(Bucket=BUCKET, Key="in/003.png")
    store.delete_object(Bucket=BUCKET, Key="out/003_x2.png")
    assert status(OUT)[0] == 1
    assert ended(*command) == ["skipped"] * 5
    left = [key for key in keys(store, "out/.hat-manifest/") if not re.search(r"/shard-1-of-1/\d{6}\.jsonl$", key)]
    assert left == [], "neither a probe nor an owner stays"


def test_what_others_put_or_changed_is_not_replaced_unasked(store: Any, weights: Path) -> None:
    fill(store, 3)
    store.put_object(Bucket=BUCKET, Key="out/000_x2.png", Body=b"somebody's")
    command = (IN, "-o", OUT, "-n", weights)
    assert sorted(ended(*command)) == ["done", "done", "failed"]
    store.put_object(Bucket=BUCKET, Key="out/001_x2.png", Body=b"retouched")
    result = hat(*command)
    assert "its result was changed since" in result.stderr
    assert "out/000_x2.png is there already" in result.stderr
    assert body(store, "out/000_x2.png") == b"somebody's"
    assert body(store, "out/001_x2.png") == b"retouched"
    assert ended(*command, "--overwrite").count("done") == 2
    assert status(OUT)[0] == 0


def test_results_whose_lines_were_lost_say_themselves_what_they_are(store: Any, weights: Path) -> None:
    fill(store, 3)
    assert ended(IN, "-o", OUT, "-n", weights) == ["done"] * 3
    for key in keys(store, "out/.hat-manifest/"):
        store.delete_object(Bucket=BUCKET, Key=key)
    assert ended(IN, "-o", OUT, "-n", weights) == ["skipped"] * 3


def test_parts_share_a_place_and_an_overlap_is_refused(store: Any, weights: Path, tmp_path: Path) -> None:
    from hatcli.batch.places.address import parse
    from hatcli.batch.places.owner import Owner
    from hatcli.batch.places.store import StorePlace
    from hatcli.batch.shards import Shard

    fill(store, 6)
    command = (IN, "-o", OUT, "-n", weights)
    owner = Owner(StorePlace.at(parse(OUT)), Shard(1, 2))
    assert "another run writes to" in refused(hat(*command), 2)
    assert "part 1/2" in refused(hat(*command, "--shard", "3/4"), 2)
    assert status_running(OUT) == ["1/2"]
    half = ended(*command, "--shard", "2/2")
    owner.close()
    assert len(half) + len(ended(*command, "--shard", "1/2")) == 6
    assert results(store) == expected(tmp_path, weights, 6)
    assert ended(*command) == ["skipped"] * 6


def status_running(output: str) -> list[str]:
    from hatcli.batch.places.address import parse
    from hatcli.batch.places.owner import running
    from hatcli.batch.places.store import StorePlace

    return [str(shard) for shard in running(StorePlace.at(parse(output)))]


def test_several_devices_share_a_place_and_tell_of_one_run(store: Any, weights: Path, tmp_path: Path) -> None:
    fill(store, 8)
    store.put_object(Bucket=BUCKET, Key="in/bad.png", Body=b"\x89PNG\r\n\x1a\nrubbish")
    result = hat(IN, "-o", OUT, "-n", weights, "--device", "cpu,cpu", "--json")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [event["event"] for event in told if event["event"] == "start"] == ["start"]
    done = [event for event in told if event["event"] == "done"]
    assert sorted((event["input"], event["output"]) for event in done) == [
        (f"{IN}{number:03}.png", f"{OUT}{number:03}_x2.png") for number in range(8)
    ]
    assert told[-1] | {"done": 8, "failed": 1, "not_started": 0, "device": "cpu, cpu"} == told[-1]
    assert [failure["input"] for failure in told[-1]["failures"]] == [f"{IN}bad.png"]
    assert results(store) == expected(tmp_path, weights, 8)
    assert {key.split("/")[2] for key in keys(store, "out/.hat")} == {"shard-1-of-2", "shard-2-of-2"}
    store.delete_object(Bucket=BUCKET, Key="in/bad.png")
    assert ended(IN, "-o", OUT, "-n", weights) == ["skipped"] * 8
    assert status(OUT)[0] == 0


def test_stores_folders_and_single_objects_mix(store: Any, weights: Path, tmp_path: Path) -> None:
    fill(store, 2)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.png").write_bytes(stores.png(50))
    assert ended(IN, tmp_path / "here", "-o", tmp_path / "out", "-n", weights) == ["done"] * 3
    assert ended(IN, tmp_path / "here", "-o", tmp_path / "out", "-n", weights) == ["skipped"] * 3
    assert ended(tmp_path / "here", "-o", OUT, "-n", weights) == ["done"]
    assert results(store)["a_x2.png"] == (tmp_path / "out" / "a_x2.png").read_bytes()
    assert ended(f"{IN}001.png", "-o", f"s3://{BUCKET}/one.webp", "-n", weights, "--lossless") == ["done"]
    assert store.head_object(Bucket=BUCKET, Key="one.webp")["ContentType"] == "image/webp"
    store.put_object(Bucket=BUCKET, Key="one.webp", Body=b"another")
    again = hat(f"{IN}001.png", "-o", f"s3://{BUCKET}/one.webp", "-n", weights)
    assert "exists already" in refused(again, 2)
    twice = hat(IN, tmp_path / "same.png", "-o", OUT, "-n", weights)
    assert "no file" in refused(twice, 2)
    (tmp_path / "here" / "000.png").write_bytes(stores.png(51))
    both = hat(tmp_path / "here", IN, "-o", tmp_path / "both", "-n", weights)
    assert "would both become" in refused(both, 2)


def test_names_that_need_a_size_read_only_the_beginning(store: Any, weights: Path) -> None:
    fill(store, 2)
    assert ended(IN, "-o", OUT, "-n", weights, "--name", "{stem}_{width}x{height}", "--width", "18") == ["done"] * 2
    assert sorted(results(store)) == ["000_18x16.png", "001_18x16.png"]


def test_a_dry_run_writes_and_reads_nothing(
    store: Any, server: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 3)
    before = keys(store)
    with stores.watched(server) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        result = hat(IN, "-o", OUT, "-n", weights, "--dry-run")
    assert (result.exit_code, "3 to do (0.0 MB), 0 to skip; none of them was read" in result.stderr) == (0, True)
    assert keys(store) == before
    assert not [path for method, path in asked if method != "GET" or ".png" in path]


def test_a_picture_comes_from_a_web_server(store: Any, server: str, weights: Path, tmp_path: Path) -> None:
    store.put_object(Bucket=BUCKET, Key="open/a b.png", Body=stores.png(3), ACL="public-read")
    url = f"{server}/{BUCKET}/open/a%20b.png?token=topsecret"
    result = hat(url, "-o", tmp_path / "x.png", "-n", weights)
    assert result.exit_code == 0, result.stderr
    assert decode.read(tmp_path / "x.png").pixels.shape == (16, 18, 3)
    assert "topsecret" not in result.stderr
    gone = hat(url.replace("a%20b", "none"), "-o", tmp_path / "y.png", "-n", weights)
    assert "its server says 404" in refused(gone, 1)
    assert "topsecret" not in gone.stderr


REFUSED = {
    "no output": ((IN,), 2, "needs? an output"),
    "results among the pictures": ((IN, "-o", IN), 2, "where the pictures are"),
    "results to a web server": ((IN, "-o", "https://example.org/x/"), 2, "nothing can be written"),
    "stdout": ((IN, "-o", "-"), 2, "stdin and stdout"),
    "no bucket": (("s3:///in/", "-o", OUT), 2, "names no place"),
    "a bucket that is not there": (("s3://nowhere-at-all/in/", "-o", OUT), 1, "there is no bucket"),
    "nothing below it": ((f"s3://{BUCKET}/empty/", "-o", OUT), 2, "no picture"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_in_two_lines(store: Any, weights: Path, case: str) -> None:
    fill(store, 1)
    arguments, code, words = REFUSED[case]
    assert re.search(words, refused(hat(*arguments, "-n", weights), code))
    assert results(store) == {}


def test_the_missing_library_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    result = hat(IN, "-o", OUT, "-n", weights)
    refused(result, 2)
    assert "hint: pip install 'hatcli[cloud]'" in result.stderr


def test_no_secret_is_ever_said_or_written(store: Any, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 2)
    store.put_object(Bucket=BUCKET, Key="in/bad.png", Body=b"\x89PNG\r\n\x1a\nrubbish")
    said = [hat(IN, "-o", OUT, "-n", weights, "-v", "--json")]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("hatcli.batch.places.asking._FIRST_PAUSE", 0.001)
    said.append(hat(f"s3://{stores.KEY}:{stores.SECRET}@{BUCKET}/in/", "-o", OUT, "-n", weights, "-v"))
    assert (said[-1].exit_code, "its store does not answer" in said[-1].stderr) == (1, True)
    written = b"".join(body(store, key) for key in keys(store))
    told = "".join(result.stdout + result.stderr for result in said)
    for secret in (stores.KEY, stores.SECRET, "Signature", "X-Amz", "Authorization"):
        assert secret not in told
        assert secret.encode() not in written


@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_that_breaks_makes_the_same_pictures_or_says_what_failed(
    store: Any, server: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    fill(store, 12)
    monkeypatch.setattr("hatcli.batch.places.asking._FIRST_PAUSE", 0.02)
    with stores.faulty(server, seed=seed, share=0.2) as (url, met):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        first = hat(IN, "-o", OUT, "-n", weights, "--json")
    whole = expected(tmp_path, weights, 12)
    made = results(store)
    assert made.items() <= whole.items(), "never a half or another picture"
    told = [json.loads(line) for line in first.stdout.splitlines()]
    failed = [event for event in told if event["event"] == "failed"]
    if first.exit_code == 0:
        assert made == whole
    else:
        assert failed or "error: " in first.stderr
    assert "Traceback" not in first.stderr
    assert len(met) > 4, "the proxy has broken things in several ways"
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    assert hat(IN, "-o", OUT, "-n", weights).exit_code == 0
    assert results(store) == whole
    assert status(OUT)[0] == 0


def test_a_killed_run_is_gone_on_with_and_nothing_is_made_twice(store: Any, weights: Path, tmp_path: Path) -> None:
    fill(store, 30)
    words = [sys.executable, "-m", "hatcli", "upscale", IN, "-o", OUT, "-n", str(weights), "--quiet", "--cpu"]
    for at_least in (3, 12):
        process = subprocess.Popen(words, env=os.environ)
        while len(results(store)) < at_least:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
        for content in results(store).values():
            decode.decode(content, name="a result")
    there = results(store)
    times = {key: store.head_object(Bucket=BUCKET, Key=f"out/{key}")["ETag"] for key in there}
    again = ended(IN, "-o", OUT, "-n", weights)
    assert again.count("skipped") == len(there)
    assert results(store) == expected(tmp_path, weights, 30)
    assert (
        times.items()
        <= {key: store.head_object(Bucket=BUCKET, Key=f"out/{key}")["ETag"] for key in results(store)}.items()
    )


@pytest.mark.skipif(os.name == "nt", reason="needs signals between processes")
def test_ctrl_c_writes_the_manifest_and_lets_the_next_run_begin_at_once(store: Any, weights: Path) -> None:
    fill(store, 60)
    words = [sys.executable, "-m", "hatcli", "upscale", IN, "-o", OUT, "-n", str(weights), "-x", "--cpu"]
    process = subprocess.Popen(words, env=os.environ, stderr=subprocess.PIPE)
    while len(results(store)) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert b"interrupted; finished files stay" in process.communicate()[1]
    assert process.returncode == 130
    assert not [key for key in keys(store) if "owner" in key]
    code, told = status(OUT)
    assert (code, told["done"], told["missing"]) == (1, len(results(store)), 60 - len(results(store)))


def test_two_drivers_on_one_output_make_every_picture_once(store: Any, weights: Path, tmp_path: Path) -> None:
    fill(store, 25)
    words = [sys.executable, "-m", "hatcli", "upscale", IN, "-o", OUT, "-n", str(weights), "--json", "--cpu"]
    drivers = [
        subprocess.Popen(words, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    ]
    told = [driver.communicate() for driver in drivers]
    codes = sorted(driver.returncode for driver in drivers)
    assert codes in ([0, 0], [0, 2], [2, 2]), told
    if 2 in codes:
        assert any(b"another run writes to" in errors for _, errors in told)
    done = [json.loads(line)["input"] for lines, _ in told for line in lines.splitlines() if b'"done", ' in line]
    assert len(done) == len(set(done)), "made once"
    assert hat(IN, "-o", OUT, "-n", weights).exit_code == 0
    assert results(store) == expected(tmp_path, weights, 25)
