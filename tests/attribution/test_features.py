"""Feature maps and the blocking index."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from hatcli.attribution.differentiable import Differentiable, differentiable
from hatcli.attribution.features import as_gray, blocking_index, feature_maps
from hatcli.errors import WeightsError
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT


def seen(network: nn.Module) -> Differentiable:
    return differentiable(network, torch.device("cpu"), torch.float32)


def test_windows_of_different_level_have_a_high_index_and_noise_none() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(8, 64, 64, generator=generator)
    levels = torch.randn(8, 8, 8, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert abs(blocking_index(noise, window=8)) < 0.5
    assert blocking_index(levels + 0.1 * noise, window=8) > 15
    assert blocking_index(levels.roll((4, 4), dims=(1, 2)) + 0.1 * noise, window=8) < 0


def test_the_index_is_ten_decibels_for_ten_times_the_power() -> None:
    steps = torch.tensor([1.0, 1, 1, math.sqrt(10)] * 4)[:-1]
    ramp = torch.cat([torch.zeros(1), steps.cumsum(0)])
    assert blocking_index((ramp[:, None] + ramp[None, :])[None], window=4) == pytest.approx(10)


def test_the_index_ignores_scale_and_refuses_what_has_none() -> None:
    noise = torch.randn(2, 16, 16)
    assert blocking_index(noise, window=4) == pytest.approx(blocking_index(5 * noise, window=4))
    blocks = torch.rand(1, 4, 4).repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert blocking_index(blocks, window=4) == math.inf
    with pytest.raises(ValueError, match="constant"):
        blocking_index(torch.ones(1, 16, 16), window=4)
    with pytest.raises(ValueError, match="no border"):
        blocking_index(torch.rand(1, 8, 8), window=8)


def test_one_map_a_group_of_a_hat_and_hooks_are_gone_afterwards() -> None:
    torch.manual_seed(0)
    config = HATConfig(
        upscale=2, embed_dim=24, depths=(1, 1), num_heads=(2, 2), window_size=8, squeeze_factor=8, num_feat=16
    )
    network = HAT(config).eval()
    image = torch.rand(3, 16, 24)
    maps = feature_maps(seen(network), image)
    assert [tuple(entry.shape) for entry in maps] == [(24, 16, 24)] * 2
    assert not torch.equal(maps[0], maps[1])
    assert not any(entry.requires_grad for entry in maps)
    assert not any(group._forward_hooks for group in network.layers)
    assert as_gray(maps[0]).shape == (16, 24)
    assert as_gray(maps[0]).max() == 255


class TokenGroup(nn.Module):
    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        return tokens + 1


class TokenNetwork(nn.Module):
    """Built like SwinIR: groups take rows of tokens and a size."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TokenGroup()])

    def forward(self, image: Tensor) -> Tensor:
        tokens = image.flatten(2).transpose(1, 2)
        for group in self.layers:
            tokens = group(tokens, tuple(image.shape[2:]))
        return tokens


def test_tokens_become_maps_the_right_way_up() -> None:
    image = torch.rand(3, 4, 6)
    assert torch.equal(feature_maps(seen(TokenNetwork()), image)[0], image + 1)


def test_networks_without_groups_are_refused() -> None:
    with pytest.raises(WeightsError, match="no groups"):
        feature_maps(seen(nn.Conv2d(3, 3, 1)), torch.rand(3, 4, 4))
