"""Disk, memory and time of long runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from support.pictures import noise

from hatcli.batch.journal_files import NAME
from hatcli.image import decode

pytestmark = [pytest.mark.stress, pytest.mark.skipif(os.name == "nt", reason="POSIX limits")]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "hatcli", "upscale", *map(str, arguments), "--cpu", "--threads", "1"]


def test_files_that_may_not_grow_fail_in_one_line_and_leave_nothing(tmp_path: Path, weights: Path) -> None:
    import resource

    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(noise(20 if number != 2 else 200, 20, 3)).save(folder / f"{number}.png")
    limit = 20_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = subprocess.run(
        command(folder, "-o", out, "-n", weights), capture_output=True, text=True, preexec_fn=limited, check=False
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error: ") == 1
    assert sorted(path.name for path in out.iterdir()) == [NAME, *(f"{number}_x2.png" for number in (0, 1, 3, 4))]


def test_memory_is_flat_over_many_pictures(tmp_path: Path, weights: Path, share: float) -> None:
    folder, count = tmp_path / "in", max(200, round(2000 * share))
    folder.mkdir()
    for number in range(count):
        Image.fromarray(noise(64, 64, 3, seed=number)).save(folder / f"{number}.png")
    arguments = command(folder, "-o", tmp_path / "out", "-n", weights, "--quiet", "--json")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        watched, sizes = psutil.Process(process.pid), []
        for line in process.stdout:
            if json.loads(line)["event"] == "done":
                family = [watched, *watched.children(recursive=True)]
                sizes.append(sum(one.memory_info().rss for one in family if one.is_running()))
    assert process.wait() == 0
    quarter = len(sizes) // 4
    second, last = np.mean(sizes[quarter : 2 * quarter]), np.mean(sizes[3 * quarter : -2])
    print(f"{count} pictures: {second / 1e6:.1f} MB in the second quarter, {last / 1e6:.1f} MB in the last")  # noqa: T201
    assert last <= 1.05 * second


def test_a_large_picture_takes_little_memory(tmp_path: Path, share: float) -> None:
    side = 2048 if share >= 1 else 512
    Image.fromarray(noise(side, side, 3)).save(tmp_path / "a.png")
    process = subprocess.Popen(command(tmp_path / "a.png", "-o", tmp_path / "b.png", "-n", "hat-t", "--scale", "4"))
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    assert process.wait() == 0
    assert decode.read(tmp_path / "b.png").width == 4 * side
    print(f"{side} x {side} x4: {peak / 1e6:.0f} MB")  # noqa: T201
    assert peak < 1.5e9 + 5e6  # what is said of HAT-T, and its weights


def test_the_network_hardly_ever_waits(tmp_path: Path, share: float) -> None:
    import torch

    from hatcli import load
    from hatcli.batch import outcomes
    from hatcli.batch import run as running
    from hatcli.batch.inputs import InputFile
    from hatcli.batch.plan import Job, Plan
    from hatcli.upscaling.size import Target
    from hatcli.upscaling.tile_loop import TileLoop
    from hatcli.upscaling.upscaler import Upscaler

    torch.set_num_threads(1)
    jobs, spent = [], 0.0
    for number in range(max(5, round(200 * share))):
        source = tmp_path / f"{number}.png"
        Image.fromarray(noise(256, 256, 3, seed=number)).save(source)
        jobs.append(Job(InputFile(source, Path(source.name)), tmp_path / "out" / source.name))
    upscaler: Upscaler = load("hat-t", scale=4, device="cpu")
    really = TileLoop.run

    def timed(self: TileLoop, *arguments: Any, **options: Any) -> Iterator[Any]:
        nonlocal spent
        steps = really(self, *arguments, **options)
        while True:
            began = time.monotonic()
            try:
                event = next(steps)
            except StopIteration:
                return
            finally:
                spent += time.monotonic() - began
            yield event

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TileLoop, "run", timed)
        began = time.monotonic()
        ended = [event for event in running.run(jobs, upscaler, Plan(Target(scale=4)))
                 if isinstance(event, outcomes.Outcome)]  # fmt: skip
        wall = time.monotonic() - began
    assert {outcome.status for outcome in ended} == {"done"}
    print(f"{len(jobs)} pictures: {wall:.1f} s, {spent:.1f} s of it in the network ({wall / spent:.3f})")  # noqa: T201
    assert wall <= 1.15 * spent
