"""A training run killed ten times (SIGKILL) ends with the same bytes as one that nobody disturbed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.training_data import TINY_RECIPE, write_pictures

pytestmark = pytest.mark.stress
KILLS, STEPS = 10, 400
OPTIMIZERS = {"adam": "", "muon": 'optimizer = "muon"\ncandidates = 3\ndrop_path = 0.3\n'}


def train(folder: Path, output: Path) -> subprocess.Popen[str]:
    words = ["train", folder, "-o", output, "--recipe", folder.parent / "tiny.toml", "--batch", 3, "--threads", 2]
    words += ["--steps", STEPS, "--save-steps", 7, "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hatcli", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def steps_saved(state: Path) -> int:
    return int(torch.load(state, weights_only=True)["step"]) if state.exists() else 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_ten_kills_change_no_byte(tmp_path: Path, optimizer: str) -> None:
    chance = random.Random()
    folder = write_pictures(tmp_path / "pictures")
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE + OPTIMIZERS[optimizer])
    straight, killed = tmp_path / "straight" / "net.safetensors", tmp_path / "killed" / "net.safetensors"
    with train(folder, straight) as undisturbed:
        assert undisturbed.wait() == 0, undisturbed.communicate()
    for number in range(KILLS):
        wanted = STEPS * (number + 1) // (KILLS + 2)
        with train(folder, killed) as victim:
            while steps_saved(killed.with_suffix(".state")) < wanted:
                assert victim.poll() is None, victim.communicate()
                time.sleep(0.01)
            time.sleep(chance.random() * 0.2)  # anywhere: in a step, in a save
            victim.kill()
        assert not killed.exists()
    with train(folder, killed) as last:
        said = last.communicate()[1]
    assert last.returncode == 0, said
    assert "going on from step" in said
    assert killed.read_bytes() == straight.read_bytes()
