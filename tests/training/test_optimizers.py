"""Optimisers: Muon for the matrices of the body, Adam for the rest, in one state."""

from __future__ import annotations

import copy
import dataclasses

import torch
from support.networks import lively, tiny
from support.training_data import RECIPE
from torch import nn

from hatcli.network.config import preset
from hatcli.network.hat import HAT
from hatcli.training.optimizers import Optimizers, matrix_names

MUON = dataclasses.replace(RECIPE, optimizer="muon")


def test_muon_learns_the_matrices_of_the_body_and_nothing_else() -> None:
    model = HAT(preset("hat-t", upscale=4))
    names = set(matrix_names(model))
    assert "layers.0.residual_group.blocks.0.attn.qkv.weight" in names
    assert "layers.1.residual_group.overlap_attn.mlp.fc2.weight" in names
    assert "layers.0.conv.weight" in names
    assert "layers.0.residual_group.blocks.1.conv_block.cab.2.weight" in names
    for name in ("conv_first.weight", "conv_last.weight", "upsample.0.weight", "norm.weight", "layers.0.conv.bias"):
        assert name not in names
    assert not any("bias_table" in name or "norm" in name for name in names)
    assert all(model.get_parameter(name).ndim in (2, 4) for name in names)


def test_muons_steps_are_nearly_orthogonal_and_reach_the_convolutions() -> None:
    model = lively(tiny(embed_dim=16, compress_ratio=2)).train()
    before = {name: values.detach().clone() for name, values in model.named_parameters()}
    torch.manual_seed(0)
    matrices = set(matrix_names(model))
    for name, values in model.named_parameters():
        flat = torch.randn(values.shape[0], values.numel() // values.shape[0])
        flat *= torch.logspace(0, -2, flat.shape[0])[:, None]  # a few directions are far longer than the others
        values.grad = flat.view_as(values)
        if name in matrices:
            assert evenness(values.grad) < 0.4
    Optimizers(model, MUON).step(0.01)
    assert "layers.0.conv.weight" in matrices
    for name, values in model.named_parameters():
        change = values.detach() - before[name]
        assert change.abs().max() > 0, name
        if name in matrices:
            assert evenness(change) > 0.5, name


def evenness(weight: torch.Tensor) -> float:
    """The middle singular value of a layer's matrix over the largest: 1 where all directions are equally long."""
    lengths = torch.linalg.svdvals(weight.reshape(weight.shape[0], -1))
    return float(lengths.median() / lengths.max())


def test_adam_learns_every_weight_where_it_is_asked_for() -> None:
    model = lively(tiny()).train()
    optimizers = Optimizers(model, RECIPE)
    assert optimizers.muon is None
    assert len(optimizers.adam.param_groups[0]["params"]) == len(list(model.parameters()))


def test_a_state_of_both_is_plain_data_and_goes_on() -> None:
    def learn(optimizers: Optimizers, model: nn.Module, step: int) -> None:
        torch.manual_seed(step)
        for values in model.parameters():
            values.grad = torch.randn_like(values)
        optimizers.step(0.01)

    one, other = (lively(tiny(embed_dim=16, compress_ratio=2)) for _ in range(2))
    straight = Optimizers(one, MUON)
    for step in range(4):
        if step == 2:
            saved = copy.deepcopy(straight.state_dict())
            other.load_state_dict(one.state_dict())
            resumed = Optimizers(other, MUON)
            resumed.load_state_dict(saved)
            learn(resumed, other, 2)
        learn(straight, one, step)
    learn(resumed, other, 3)
    assert all(torch.equal(*both) for both in zip(one.parameters(), other.parameters(), strict=True))
