"""The reference network (spandrel's HAT), for tests that compare with it; skipped where spandrel is not installed."""

from __future__ import annotations

import pytest
import torch

from hatcli.evaluation import reference
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT


def reference_network(config: HATConfig) -> torch.nn.Module:
    """spandrel's HAT of the same configuration, with its own random weights, in eval mode."""
    network = reference.reference_network(config)
    if network is None:
        pytest.skip("needs spandrel")
    return network


def same_weights(other: torch.nn.Module, config: HATConfig) -> HAT:
    """This project's network with the weights of `other`, strictly loaded."""
    network = HAT(config)
    network.load_state_dict(other.state_dict(), strict=True)
    return network.eval()
