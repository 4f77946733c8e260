"""`kill -9` at random instants of runs over a store whose network breaks: in the end the same objects, all whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import stores

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytestmark = [
    pytest.mark.stress,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
PICTURES = 300


def test_killed_runs_over_a_broken_network_end_like_an_undisturbed_one(
    tmp_path: Path, weights: Path, share: float
) -> None:
    chance, kills = random.Random(7), 0
    with stores.s3_server() as server, stores.faulty(server, seed=3, share=0.05) as (url, _):
        store = stores.client(server)
        store.create_bucket(Bucket="kills")
        for number in range(PICTURES):
            store.put_object(Bucket="kills", Key=f"in/{number:03}.png", Body=stores.png(number))

        def start(at: str, output: str) -> subprocess.Popen[bytes]:
            words = ["upscale", "s3://kills/in/", "-o", f"s3://kills/{output}/", "-n", str(weights), "--quiet", "--cpu"]
            told = {"AWS_ACCESS_KEY_ID": stores.KEY, "AWS_SECRET_ACCESS_KEY": stores.SECRET, "AWS_REGION": "us-east-1"}
            return subprocess.Popen(
                [sys.executable, "-m", "hatcli", *words], env={**os.environ, **told, "AWS_ENDPOINT_URL": at}
            )

        def results(prefix: str) -> dict[str, bytes]:
            pages = store.get_paginator("list_objects_v2").paginate(Bucket="kills", Prefix=f"{prefix}/")
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", []) if "/.hat" not in entry["Key"]]
            return {
                key.removeprefix(f"{prefix}/"): store.get_object(Bucket="kills", Key=key)["Body"].read() for key in keys
            }

        assert start(server, "calm").wait() == 0
        calm = results("calm")
        assert len(calm) == PICTURES
        for _ in range(max(2, round(30 * share))):
            process = start(url, "out")
            time.sleep(chance.uniform(2.5, 6))
            process.kill()
            kills += process.wait() != 0
            assert results("out").items() <= calm.items()
        while start(url, "out").wait() != 0:
            assert results("out").items() <= calm.items()
        assert results("out") == calm
    print(f"{kills} kills")  # noqa: T201
