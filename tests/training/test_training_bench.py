"""Speed of a training step, printed and never asserted: `pytest -m bench -s`, on a machine that does nothing else."""

from __future__ import annotations

import statistics
import time

import pytest
import torch

from hatcli.engine.workers import torch_threads
from hatcli.evaluation.speed import product_rate
from hatcli.network.attention import WindowProjection, attend
from hatcli.network.config import preset
from hatcli.network.hat import HAT
from hatcli.training.loop import patch_flops
from hatcli.training.optimizers import Optimizers
from hatcli.training.recipe import Recipe
from hatcli.training.workers import Workers

RECIPE = Recipe(steps=1, batch=16)


@pytest.mark.bench
@pytest.mark.parametrize("formula", ["own", "plain"])
def test_a_step_against_the_limit(formula: str) -> None:
    """HAT-T x4, 16 patches of 32 x 32, one worker a thread of PyTorch; with attention's own backward and without."""
    torch.manual_seed(0)
    model = HAT(preset("hat-t", upscale=4)).train()
    count = torch.get_num_threads()
    workers, optimizers = Workers(model, count), Optimizers(model, RECIPE)
    if formula == "plain":
        for network in workers.networks:
            for module in network.modules():
                if isinstance(module, WindowProjection):
                    module.attend = attend
    low, high = torch.rand(16, 3, 32, 32), torch.rand(16, 3, 128, 128)
    rates, shares = [], []
    for step in range(12):
        began = time.perf_counter()
        loss = workers.learn(low, high, step=step)
        with torch_threads(1):
            optimizers.step(1e-4)
        rates.append(16 * patch_flops(RECIPE) / (time.perf_counter() - began) / 1e9)
        shares.append(rates[-1] / product_rate(torch.device("cpu"), torch.float32))
    workers.close()
    told = f"{statistics.median(rates):.0f} GFLOP/s, {statistics.median(shares):.0%} of the fp32 limit"
    print(f"{formula} attention, {count} workers: {told}")  # noqa: T201 - the figures are asked for
    assert torch.isfinite(loss)
