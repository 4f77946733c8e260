"""Low frequencies of the input put back: drifts vanish, detail stays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hatcli.upscaling.colors import keep_means_


def enlarged(image: Tensor, scale: int) -> Tensor:
    return image.repeat_interleave(scale, -1).repeat_interleave(scale, -2)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 70), (16, 16), (48, 100), (131, 33)])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_result_with_the_means_of_its_source_stays(height: int, width: int, scale: int) -> None:
    source = torch.rand(3, height, width)
    result = enlarged(source, scale)
    kept = result.clone()
    keep_means_(kept, source)
    assert torch.allclose(kept, result, atol=1e-6)


def test_a_constant_drift_is_removed_to_the_last_bit_that_matters() -> None:
    source = torch.rand(3, 60, 90) * 0.8 + 0.1
    drifted = enlarged(source, 3) + torch.tensor([0.02, -0.01, 0.0])[:, None, None]
    keep_means_(drifted, source)
    assert torch.allclose(drifted, enlarged(source, 3), atol=1e-5)


def test_a_drift_that_grows_across_the_picture_becomes_far_smaller() -> None:
    source = torch.full((3, 128, 128), 0.5)
    drift = torch.linspace(-0.02, 0.02, 256).expand(3, 256, 256)
    result = enlarged(source, 2) + drift
    keep_means_(result, source)
    error = (result - 0.5).abs()
    assert error[:, 32:-32, 32:-32].max() < 1e-5
    assert error.max() < 0.003  # of 0.02: half a block at the border


def test_detail_the_network_made_stays() -> None:
    source = torch.full((3, 64, 64), 0.5)
    checks = (torch.arange(128)[:, None] + torch.arange(128)) % 2 * 0.5 - 0.25
    result = enlarged(source, 2) + checks
    wanted = result.clone()
    result += 0.03
    keep_means_(result, source)
    assert torch.allclose(result, wanted, atol=1e-5)


def test_what_is_clamped_away_is_no_drift() -> None:
    source = torch.ones(3, 32, 32)
    result = enlarged(source, 2) * 1.2  # overshoots, and will be seen as white
    keep_means_(result, source)
    assert result.min() >= 1
