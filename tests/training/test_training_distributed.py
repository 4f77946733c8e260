"""Several processes: they learn from different patches, end with the same weights, and one of them writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.training_data import TINY_RECIPE, write_pictures

from hatcli.errors import UsageError
from hatcli.network import checkpoint
from hatcli.training.distributed import Group

CONSTANT = 'schedule = "multistep"\nmilestones = [1.0]\n'  # the rate does not depend on where the run ends
RANKS = """
import sys
from pathlib import Path
import torch
import hatcli.training.loop as loop

plain, folder = loop.train, Path(sys.argv[1])

def train(state, *args, **kwargs):
    yield from plain(state, *args, **kwargs)
    torch.save(state.model.state_dict(), folder / f"rank{state.group.rank}.pt")

loop.train = train
sys.argv = ["hat", *sys.argv[2:]]
from hatcli.__main__ import main
main()
"""
OWN_DISKS = """
import os, sys
from pathlib import Path
sys.argv = ["hat", *sys.argv[2:], "-o", str(Path(sys.argv[1]) / os.environ["RANK"] / "net.safetensors")]
from hatcli.__main__ import main
main()
"""


def test_a_batch_is_shared_evenly_or_refused() -> None:
    assert Group(size=4).share(32) == 8
    with pytest.raises(UsageError, match="cannot be shared by 3 processes") as caught:
        Group(size=3).share(8)
    assert caught.value.hint == "use --batch 9"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="gloo on other systems is not promised")
def test_two_processes_end_with_the_same_weights_and_go_on_together(tmp_path: Path) -> None:
    folder, output = write_pictures(tmp_path / "pictures"), tmp_path / "net.safetensors"
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE + CONSTANT)
    (tmp_path / "ranks.py").write_text(RANKS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "--master-addr", "127.0.0.1"]
    words = [*launch, "--master-port", 29541, tmp_path / "ranks.py", tmp_path, "train", folder, "-o", output]
    words += ["--recipe", tmp_path / "tiny.toml", "--batch", 2, "--device", "cpu", "--log-steps", 1, "--steps"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(steps: int) -> str:
        result = subprocess.run([*map(str, words), str(steps)], capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stderr
        return result.stderr

    def ranks() -> list[dict[str, torch.Tensor]]:
        return [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]

    straight = run(6)
    assert straight.count("wrote ") == 1
    first, second = ranks()
    assert all(torch.equal(values, second[name]) for name, values in first.items())
    processes = torch.load(output.with_suffix(".state"), weights_only=True)["processes"]
    assert processes[0]["batches"] != processes[1]["batches"]
    whole = checkpoint.read(output).state
    for path in (output, output.with_suffix(".state"), output.with_suffix(".jsonl")):
        path.unlink()
    run(3)
    assert run(6).count("going on from step 3") == 1
    again = checkpoint.read(output).state
    assert all(torch.equal(values, again[name]) for name, values in whole.items())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="gloo on other systems is not promised")
def test_processes_that_find_different_states_are_refused_at_once(tmp_path: Path) -> None:
    """As on two machines without a common disk, of which one trained alone before."""
    folder = write_pictures(tmp_path / "pictures")
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE + CONSTANT)
    (tmp_path / "own.py").write_text(OWN_DISKS)
    for disk in ("0", "1"):
        (tmp_path / disk).mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "--master-addr", "127.0.0.1"]
    words = [*launch, "--master-port", 29543, tmp_path / "own.py", tmp_path, "train", folder]
    words += ["--recipe", tmp_path / "tiny.toml", "--batch", 2, "--device", "cpu", "--steps"]

    def run(steps: int) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [*map(str, words), str(steps)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)

    assert run(2).returncode == 0
    assert (tmp_path / "0" / "net.state").exists()
    assert not (tmp_path / "1" / "net.state").exists()
    again = run(4)
    assert again.returncode != 0
    assert "error: the processes would start at different steps: 2, 0" in again.stderr
    assert "hint: put the output on a disk that all machines share, or copy the newest net.state" in again.stderr
    (tmp_path / "1" / "net.state").write_bytes((tmp_path / "0" / "net.state").read_bytes())
    assert run(4).returncode == 0
