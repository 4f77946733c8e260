"""Growing a network: another alpha, more blocks and more groups compute at first what the smaller network did."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from support.networks import lively, tiny

from hatcli.network.hat import HAT
from hatcli.training.start import start_from

SMALL = tiny(depths=(2, 1), num_heads=(2, 2), conv_scale=0.05)


@pytest.mark.parametrize(
    "changes",
    [
        {"conv_scale": 1.0},
        {"conv_scale": 0.001},
        {"depths": (3, 2)},
        {"depths": (2, 1, 2), "num_heads": (2, 2, 2)},
        {"depths": (3, 3), "conv_scale": 0.5},
    ],
)
@pytest.mark.parametrize("shape", [{}, {"channel_attention": False}, {"cab": False}, {"ocab": False}])
def test_a_grown_network_computes_the_same(changes: dict[str, Any], shape: dict[str, Any]) -> None:
    small = lively(dataclasses.replace(SMALL, **shape))
    torch.manual_seed(1)
    grown = HAT(dataclasses.replace(small.config, **changes)).eval()
    image = torch.rand(2, 3, 13, 18)
    with torch.no_grad():
        before = (grown(image) - small(image)).abs().max()
        start_from(grown, small)
        difference = (grown(image) - small(image)).abs().max()
    assert before > 0.01
    assert difference < 1e-5


def test_what_is_new_learns_from_the_first_step() -> None:
    small = lively(SMALL)
    grown = HAT(dataclasses.replace(SMALL, depths=(3, 2), conv_scale=1.0))
    start_from(grown, small)
    grown(torch.rand(1, 3, 16, 16)).square().mean().backward()
    for name in ("attn.proj", "mlp.fc2", "conv_block.cab.2"):
        gradient = grown.get_parameter(f"layers.0.residual_group.blocks.2.{name}.weight").grad
        assert gradient is not None
        assert gradient.abs().max() > 0


def test_another_body_takes_what_fits_and_is_left_as_it_is() -> None:
    """A shape that cannot hold the function: nothing is made zero for it."""
    grown = HAT(dataclasses.replace(SMALL, embed_dim=16, depths=(3, 1)))
    before = grown.get_parameter("layers.0.residual_group.blocks.2.mlp.fc2.weight").clone()
    start_from(grown, lively(SMALL))
    assert torch.equal(grown.get_parameter("layers.0.residual_group.blocks.2.mlp.fc2.weight"), before)
    assert before.abs().max() > 0
