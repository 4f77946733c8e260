"""A trained network's function in a larger one: another weight of channel attention blocks, more blocks or groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import nn

from hatcli.network.blocks import HAB, RHAG, ChannelAttention
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT

GROWN_FIELDS = ("upscale", "depths", "num_heads", "conv_scale", "drop_path_rate")  # may differ; all others may not


def can_grow(smaller: HATConfig, larger: HATConfig) -> bool:
    """Whether a network of the first shape can be continued in the second without changing what it computes."""
    same = dataclasses.replace(larger, **{name: getattr(smaller, name) for name in GROWN_FIELDS}) == smaller
    fits = len(smaller.depths) <= len(larger.depths) and all(
        few <= many for few, many in zip(smaller.depths, larger.depths, strict=False)
    )
    heads = smaller.num_heads == larger.num_heads[: len(smaller.num_heads)]
    return same and fits and heads and (smaller.conv_scale == larger.conv_scale or larger.conv_scale > 0)


@torch.no_grad()
def keep_function(model: HAT, smaller: HATConfig) -> None:
    """Make `model`, which holds a `smaller` network's weights already, compute what that one computed, in place.

    What is new adds nothing at first: the last layer of each new branch is zero, and learns from the first step. A new
    alpha is taken back in the channel attention block: its last convolution times old/new, and the first layer of the
    channel attention, which sees the means of what that convolution makes, times new/old.
    """
    larger = model.config
    if smaller.conv_scale != larger.conv_scale:
        ratio = smaller.conv_scale / larger.conv_scale
        for block in blocks(model, smaller, new=False):
            _rescale(block, ratio)
    for block in blocks(model, smaller, new=True):
        _silence(block)
    for group in list(model.layers)[len(smaller.depths) :]:
        assert isinstance(group, RHAG)
        _zero(group.conv)


def blocks(model: HAT, smaller: HATConfig, *, new: bool) -> Iterator[HAB]:
    """The hybrid blocks that a smaller network has not, or those it has too."""
    for number, group in enumerate(model.layers):
        assert isinstance(group, RHAG)
        depth = smaller.depths[number] if number < len(smaller.depths) else 0
        for place, block in enumerate(group.residual_group.blocks):
            assert isinstance(block, HAB)
            if (place >= depth) is new:
                yield block


def _rescale(block: HAB, ratio: float) -> None:
    """Multiply what a channel attention block makes by `ratio`, its gates unchanged; 0 silences it."""
    if block.conv_block is None:
        return
    last = block.conv_block.cab[2]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.weight *= ratio
    last.bias *= ratio
    if ratio and len(block.conv_block.cab) > 3:
        attention = block.conv_block.cab[3]
        assert isinstance(attention, ChannelAttention)
        first = attention.attention[1]
        assert isinstance(first, nn.Conv2d)
        first.weight /= ratio


def _silence(block: HAB) -> None:
    """Let a block hand on what it is given."""
    _zero(block.attn.proj)
    _zero(block.mlp.fc2)
    _rescale(block, 0.0)


def _zero(layer: nn.Linear | nn.Conv2d) -> None:
    layer.weight.zero_()
    if layer.bias is not None:
        layer.bias.zero_()
