"""Fixtures that tests of several rooms use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.networks import tiny

from hatcli.network import checkpoint
from hatcli.network.hat import HAT
from hatcli.training.start import start_as_bilinear

LONG = ("slow", "stress", "bench", "network")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that are run by hand may take as long as they take; pyproject.toml has the limit of the others."""
    for item in items:
        if any(item.get_closest_marker(name) for name in LONG):
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny x2 network that enlarges bilinearly, as a file."""
    torch.manual_seed(0)
    network = HAT(tiny(upscale=2))
    start_as_bilinear(network)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    checkpoint.write(path, config=network.config, state=network.state_dict())
    return path
