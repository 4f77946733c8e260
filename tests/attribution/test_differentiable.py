"""Networks of any architecture as attribution needs them: gradients, groups, windows, precision."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from support.foreign import built, saved
from torch import Tensor, nn

from hatcli.attribution.differentiable import differentiable
from hatcli.attribution.factors import in_precision
from hatcli.attribution.features import feature_maps
from hatcli.attribution.lam import Window, attribute
from hatcli.errors import UsageError, WeightsError
from hatcli.models import foreign
from hatcli.upscaling.device import DeviceChoice

needs_spandrel = pytest.mark.skipif(find_spec("spandrel") is None, reason="needs spandrel")


@needs_spandrel
@pytest.mark.parametrize(
    ("name", "changes", "parts", "side"),
    [
        ("ESRGAN", {"num_blocks": 3}, 3, None),
        ("RCAN", {"n_resgroups": 2}, 2, None),
        ("SwinIR", {"depths": [2, 2], "num_heads": [2, 2]}, 2, 8),
        ("RealESRGAN Compact", {}, 0, None),
    ],
)
def test_groups_and_windows_of_other_architectures(
    tmp_path: Path, name: str, changes: dict[str, Any], parts: int, side: int | None
) -> None:
    opened = foreign.load(saved(built(name, **changes), tmp_path / "other.pth"))
    network = differentiable(opened, torch.device("cpu"), torch.float32)
    assert (len(network.groups), network.window, network.foreign) == (parts, side, name)
    if parts:
        maps = feature_maps(network, torch.rand(3, 16, 24))
        assert [tuple(entry.shape[1:]) for entry in maps] == [(16, 24)] * parts
    else:
        with pytest.raises(WeightsError, match="no groups"):
            feature_maps(network, torch.rand(3, 16, 24))


@needs_spandrel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["ESRGAN", "SwinIR", "RealESRGAN Compact", "RCAN"])
def test_gradients_pass_through_other_architectures_and_values_are_theirs(
    tmp_path: Path, name: str, dtype: torch.dtype
) -> None:
    network = foreign.load(saved(built(name), tmp_path / "other.pth")).to(torch.device("cpu"), dtype)
    for height, width in ((3, 5), (17, 20)):
        image = torch.rand(1, 3, height, width, dtype=dtype, requires_grad=True)
        result = differentiable(network, torch.device("cpu"), dtype).call(image)
        assert torch.allclose(result.clamp(0, 1), network(image.detach()), atol=1e-5)
        (slope,) = torch.autograd.grad(result.sum(), image)
        assert bool(slope.isfinite().all())
        assert float(slope.abs().max()) > 0


class Constant(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.detach() * 2


def test_a_network_that_passes_no_gradients_is_refused() -> None:
    with pytest.raises(WeightsError, match="no gradients"):
        list(attribute(Constant(), torch.rand(3, 16, 16), Window(0, 0, 4)))


def test_fp64_is_refused_on_apples_gpu_and_taken_elsewhere() -> None:
    mps = DeviceChoice(torch.device("mps"), torch.float32, "for a test")
    with pytest.raises(UsageError, match="Apple's GPU does not compute fp64") as caught:
        in_precision(mps, "fp64")
    assert "--device cpu" in (caught.value.hint or "")
    assert in_precision(mps, "fp32").dtype == torch.float32
    assert in_precision(DeviceChoice(torch.device("cpu"), torch.float32, ""), "fp64").dtype == torch.float64
