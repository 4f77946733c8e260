"""`hat train` that ends early: killed, stopped, on a full disk, with a loss that is no number."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from support.training_commands import lines_of, prepare, refused, started, steps_saved, train, wait_for_steps

from hatcli.network import checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path / "pictures")


def test_a_loss_that_is_not_finite_ends_in_one_line_and_the_last_state_stays(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    wild = ("--learning-rate", 1e37, "--warmup", 0, "--save-steps", 1)
    result = train(folder, "-o", output, "--steps", 5, *wild)
    assert re.search(r"error: the loss is (nan|inf) at step 1; the last saved state stays", refused(result, 3))
    assert steps_saved(output.with_suffix(".state")) == 1
    assert not output.exists()


def test_a_killed_run_goes_on_to_bit_identical_weights(folder: Path, tmp_path: Path) -> None:
    steps, chance = 60, random.Random()
    straight, killed = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    with started(folder, straight, steps) as undisturbed, started(folder, killed, steps) as victim:
        wait_for_steps(victim, killed.with_suffix(".state"), chance.randrange(1, 40))
        time.sleep(chance.random() * 0.02)
        victim.kill()
        victim.communicate()
        undisturbed.communicate()
        assert undisturbed.returncode == 0
    assert victim.returncode not in (0, None)
    assert not killed.exists()
    left = steps_saved(killed.with_suffix(".state"))
    assert 0 < left < steps
    with started(folder, killed, steps) as resumed:
        said = resumed.communicate()[1]
    assert f"going on from step {left}" in said
    assert straight.read_bytes() == killed.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="an open file has no lock there")
def test_two_runs_do_not_write_to_one_output(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    with started(folder, output, 100_000) as process:
        wait_for_steps(process, output.with_suffix(".state"), 2)
        assert "another run writes to net.jsonl" in refused(train(folder, "-o", output, "--steps", 100_000), 2)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    done = steps_saved(output.with_suffix(".state"))
    assert [line["step"] for line in lines_of(output.with_suffix(".jsonl"))] == list(range(1, done + 1))


@pytest.mark.parametrize("place", ["out", "cache"])
def test_what_a_kill_while_saving_left_is_removed(folder: Path, tmp_path: Path, place: str) -> None:
    left = tmp_path / place / f".hat-{1:012x}.part"
    left.parent.mkdir()
    left.write_bytes(b"half a state")
    os.utime(left, (1, 1))
    words = ("-o", tmp_path / "out" / "net.safetensors", "--cache", tmp_path / "cache", "--steps", 1)
    assert train(folder, *words).exit_code == 0
    assert not left.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_its_state_and_weights(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "net.safetensors"
    with started(folder, output, 100_000) as process:
        wait_for_steps(process, output.with_suffix(".state"), 2)
        process.send_signal(number)
        said = process.communicate()[1]
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    stopped = re.search(r"stopped after step (\d+); the same command goes on", said)
    assert stopped is not None
    assert steps_saved(output.with_suffix(".state")) == int(stopped[1])
    assert json.loads(checkpoint.read(output).metadata["recipe"])["steps_done"] == int(stopped[1])


def test_a_run_killed_before_its_first_step_can_be_begun_again(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    with started(folder, output, 100_000, save_steps=0) as process:
        while not output.with_suffix(".jsonl").exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.02)
        process.kill()
    assert steps_saved(output.with_suffix(".state")) == 0
    assert train(folder, "-o", output, "--steps", 1).exit_code == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_a_disk_that_is_full_ends_in_two_lines_and_the_last_state_stays(folder: Path, tmp_path: Path) -> None:
    import resource

    output = tmp_path / "net.safetensors"
    state = output.with_suffix(".state")
    assert train(folder, "-o", output, "--steps", 1).exit_code == 0
    saved, size = state.read_bytes(), state.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    try:
        result = train(folder, "-o", output, "--steps", 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = refused(result, 5)
    assert "net.state" in said
    assert "hint: " in said
    assert state.read_bytes() == saved
    assert sorted(path.suffix for path in tmp_path.glob("net.*")) == [".jsonl", ".safetensors", ".state"]
    assert train(folder, "-o", output, "--steps", 3).exit_code == 0
