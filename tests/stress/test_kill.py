"""`kill -9` at random instants of a run: never a partial file under a final name, and the same folder in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hatcli.batch.journal_files import NAME
from hatcli.image import decode

pytestmark = [pytest.mark.stress, pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")]
PICTURES = 200


def start(folder: Path, out: Path, weights: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hatcli", "upscale", str(folder), "-o", str(out), "-n", str(weights), "--quiet"]
    return subprocess.Popen([*command, "--cpu", "--threads", "1", "-j", "3"])


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != NAME}


def test_killed_runs_end_like_an_undisturbed_one(tmp_path: Path, weights: Path, share: float) -> None:
    folder, calm, out = tmp_path / "in", tmp_path / "calm", tmp_path / "out"
    folder.mkdir()
    for number in range(PICTURES):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    assert start(folder, calm, weights).wait() == 0
    expected = contents(calm)
    chance, kills, rounds = random.Random(4), 0, 0
    while kills < max(1, round(100 * share)):
        process = start(folder, out, weights)
        before = len(list(out.glob("*.png"))) if out.exists() else 0
        while process.poll() is None and (len(list(out.glob("*.png"))) if out.exists() else 0) <= before:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        rounds += 1
        for path in out.glob("*.png"):
            assert path.read_bytes() == expected[path.name], f"{path.name} after {kills} kills"
            decode.read(path)
        if len(list(out.glob("*.png"))) > PICTURES - 30:  # begin again, so that there is always work to be killed in
            time.sleep(2.1)
            assert start(folder, out, weights).wait() == 0
            assert contents(out) == expected
            for path in out.iterdir():
                path.unlink()
    time.sleep(2.1)  # younger temporary files are taken for somebody's
    assert start(folder, out, weights).wait() == 0
    assert contents(out) == expected
    print(f"{kills} kills in {rounds} runs")  # noqa: T201
