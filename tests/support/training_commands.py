"""`hat train` as people type it, in this process or one of its own, and what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from typer.testing import CliRunner, Result

from hatcli.cli import app
from support.training_data import TINY_RECIPE, write_pictures


def prepare(folder: Path) -> Path:
    """A folder of pictures with `tiny.toml`, a recipe for them, beside it."""
    (folder.parent / "tiny.toml").write_text(TINY_RECIPE)
    return write_pictures(folder)


def train(folder: Path, *arguments: object, recipe: object = None) -> Result:
    chosen = recipe or folder.parent / "tiny.toml"
    words = ["train", str(folder), "--recipe", str(chosen), "--device", "cpu", *map(str, arguments)]
    return CliRunner().invoke(app, words)


def refused(result: Result, code: int) -> str:
    """The two lines of an error."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.output.count("error: ") == 1
    return result.output


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def started(folder: Path, output: Path, steps: int, *, save_steps: int = 1) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "hatcli", "train", folder, "-o", output, "--recipe", folder.parent / "tiny.toml"]
    words += ["--steps", steps, "--save-steps", save_steps, "--device", "cpu", "--threads", 1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True, env=environment)


def steps_saved(state: Path) -> int:
    return int(torch.load(state, weights_only=True)["step"]) if state.exists() else 0


def wait_for_steps(process: subprocess.Popen[str], state: Path, steps: int) -> None:
    while steps_saved(state) < steps:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
