"""Speed side by side, printed and never asserted: `pytest -m bench -s`, on a machine that does nothing else."""

from __future__ import annotations

import dataclasses
import statistics
import time

import pytest
import torch

from hatcli.engine import opened
from hatcli.evaluation.reference import reference_network
from hatcli.evaluation.speed import inference, measure_limits
from hatcli.network.config import preset
from hatcli.network.hat import HAT

pytestmark = pytest.mark.bench
GROUP = dataclasses.replace(preset("hat", upscale=4), depths=(6,), num_heads=(6,))  # one of HAT's six equal groups


def network() -> HAT:
    torch.manual_seed(0)
    model = HAT(GROUP).eval().requires_grad_(False)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def seconds(model: torch.nn.Module, side: int) -> float:
    image = torch.rand(1, 3, side, side)
    run = inference(opened(model, scale=4, device=torch.device("cpu"), dtype=torch.float32))
    began = time.perf_counter()
    run(image)
    return time.perf_counter() - began


def test_against_the_reference_and_the_limit() -> None:
    ours, theirs = network(), reference_network(GROUP)
    if theirs is None:
        pytest.skip("needs spandrel")
    limit = measure_limits(torch.device("cpu")).fp32  # GFLOP/s
    for side in (128, 256):
        seconds(ours, side)
        pairs = [(seconds(theirs, side), seconds(ours, side)) for _ in range(3)]
        mine = statistics.median(own for _, own in pairs)
        share = 2 * GROUP.multiply_adds() * side**2 / mine / 1e9 / limit
        ratio = statistics.median(other / own for other, own in pairs)
        print(f"{side} x {side}: {ratio:.2f} times the reference, {share:.0%} of the fp32 limit")  # noqa: T201
        assert torch.isfinite(ours(torch.rand(1, 3, 32, 32))).all()


def test_cost_a_pixel() -> None:
    model = network()
    seconds(model, 256)
    rounds = [(seconds(model, 256) / 256**2, seconds(model, 1024) / 1024**2) for _ in range(2)]
    growth = statistics.median(large / small for small, large in rounds)
    print(f"a pixel costs {growth:.3f} times as much at 1024 x 1024 as at 256 x 256")  # noqa: T201
    assert model.config == GROUP
