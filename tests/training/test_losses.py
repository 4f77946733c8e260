"""The losses a recipe can choose: what they measure, and that a run makes small the one it names."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from support.networks import lively, tiny
from support.training_data import RECIPE

from hatcli.training.distributed import Group
from hatcli.training.learners import learner
from hatcli.training.losses import CHARBONNIER, LOSSES

TRUTH = torch.zeros(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("name", "expected"), [("l1", 0.5), ("l2", 0.25), ("charbonnier", math.hypot(0.5, CHARBONNIER))]
)
def test_each_is_the_mean_over_all_samples(name: str, expected: float) -> None:
    assert LOSSES[name](TRUTH + 0.5, TRUTH).item() == pytest.approx(expected)
    assert LOSSES[name](TRUTH - 0.5, TRUTH).item() == pytest.approx(expected)


def test_charbonnier_has_a_gradient_where_l1_has_a_corner() -> None:
    output = TRUTH.clone().requires_grad_()
    LOSSES["charbonnier"](output, TRUTH).backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    assert not output.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_a_run_learns_by_the_loss_of_its_recipe(name: str) -> None:
    torch.manual_seed(0)
    low, high = torch.rand(3, 3, 8, 8), torch.rand(3, 3, 16, 16)
    model = lively(tiny()).train()
    expected = LOSSES[name](model(low), high)
    recipe = dataclasses.replace(RECIPE, loss=name)
    ours = learner(model, recipe, Group(), device=torch.device("cpu"), workers=2)
    assert float(ours.learn(low, high, step=0)) == pytest.approx(expected.item(), rel=1e-5)
    ours.close()
