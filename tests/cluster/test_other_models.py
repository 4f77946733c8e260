"""A run over nodes whose own models differ, and change while it goes on: the driver's model makes every result."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from support import clusters
from support.networks import tiny

from hatcli.models import receipt
from hatcli.network import checkpoint
from hatcli.network.hat import HAT

pytest.importorskip("ray")
COUNT = 60


def another(path: Path) -> bytes:
    """Another network of the same form, as a file."""
    torch.manual_seed(5)
    network = HAT(tiny(upscale=2))
    checkpoint.write(path, config=network.config, state=network.state_dict())
    return path.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_models_that_differ_on_nodes_and_change_during_a_run_make_nothing(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = clusters.pictures(tmp_path / "in", COUNT), tmp_path / "out"
    clusters.told(clusters.start(source, "-o", tmp_path / "calm", "-n", weights, "--cpu"))
    expected = clusters.contents(tmp_path / "calm")
    wrong, homes = another(tmp_path / "wrong.safetensors"), [tmp_path / "a", tmp_path / "b"]
    mine = tmp_path / "mine.safetensors"
    mine.symlink_to(shutil.copy(weights, tmp_path / "drivers"))  # a link is no file of a node's: it needs another
    kept = [home / "cluster" / f"{receipt.digest(weights)}.safetensors" for home in homes]
    for path, content in zip(kept, (wrong, wrong[:-64]), strict=True):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    monkeypatch.setenv("HAT_HOME", str(homes[0]))
    with clusters.nodes(1) as nodes:
        nodes.add(HAT_HOME=str(homes[1]))
        run = clusters.start(source, "-o", out, "-n", mine, "--ray", nodes.address)
        clusters.until(run, lambda: len(clusters.contents(out)) >= 5)
        assert [receipt.digest(path) for path in kept] == [receipt.digest(weights)] * 2, "both had it from the driver"
        for path in kept:
            with path.open("r+b") as file:  # over the very file that their networks came from
                file.write(wrong)
        clusters.until(run, lambda: len(clusters.contents(out)) >= 20)
        for process in nodes.workers():
            os.kill(process, signal.SIGKILL)
        events = clusters.told(run)
    assert events[-1]["done"] == COUNT
    assert clusters.contents(out) == expected
    assert [receipt.digest(path) for path in kept] == [receipt.digest(weights)] * 2, "and had it once more"


def test_a_driver_whose_model_has_changed_is_refused_where_a_node_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))
    path = tmp_path / "home" / "models" / "hat-s-x2.safetensors"
    path.parent.mkdir(parents=True)
    content = another(path)
    receipt.write("hat-s-x2", receipt.digest(path))
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    run = clusters.start(
        clusters.pictures(tmp_path / "in", 3), "-o", tmp_path / "out", "-n", "hat-s", "--ray", "local", "--scale", "2"
    )
    _, errors = run.communicate(timeout=180)
    assert run.returncode == 3, errors
    assert "error: node" in errors
    assert "hat-s-x2.safetensors on the driver's machine have changed" in errors
    assert "Traceback" not in errors
    assert clusters.contents(tmp_path / "out") == {}
