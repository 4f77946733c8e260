"""The network as a formula: the reference's numbers, its gradients, its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.networks import CASES, PARITY, lively, tiny

from hatcli.errors import WeightsError
from hatcli.network import checkpoint
from hatcli.network.attention import border_masks, cross_attention_index, merge, partition, self_attention_index
from hatcli.network.config import HATConfig, preset
from hatcli.network.hat import HAT, pad_to_multiple


@pytest.mark.parametrize("name", CASES)
def test_output_equals_the_reference_within_1e_5(name: str) -> None:
    network = checkpoint.load(PARITY / f"{name}.weights.safetensors")
    case = load_file(PARITY / f"{name}.case.safetensors")
    assert (network(case["input"]) - case["output"]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("shape", "scale", "count"),
    [
        ("hat-s", 2, 9_473_471),
        ("hat-s", 3, 9_658_111),
        ("hat-s", 4, 9_621_183),
        ("hat", 2, 20_624_795),
        ("hat", 3, 20_809_435),
        ("hat", 4, 20_772_507),
        ("hat-l", 4, 40_846_575),
    ],
)
def test_presets_have_the_published_number_of_parameters(shape: str, scale: int, count: int) -> None:
    with torch.device("meta"):
        network = HAT(preset(shape, upscale=scale))
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize(("shape", "billions"), [("hat-s", 54.62), ("hat", 103.88), ("hat-l", 202.99)])
def test_multiply_adds_are_counted_as_in_the_papers(shape: str, billions: float) -> None:
    assert preset(shape, upscale=4).multiply_adds() * 64 * 64 / 1e9 == pytest.approx(billions, abs=0.01)


def test_hat_t_stays_below_a_million_multiply_adds_a_pixel() -> None:
    assert all(preset("hat-t", upscale=scale).multiply_adds() < 1e6 for scale in (2, 3, 4))


def test_position_indices_have_the_known_corner_values() -> None:
    own, cross = self_attention_index(16), cross_attention_index(16, 24)
    assert [own[0, 0], own[0, 255], own[255, 0]] == [480, 0, 960]
    assert [cross[0, 0], cross[0, 575], cross[255, 0], cross[255, 575]] == [-280, 640, -880, 40]
    assert len(set(cross.remainder(1521).flatten().tolist())) == 1521


def test_gradients_are_those_of_finite_differences() -> None:
    network = lively(tiny(embed_dim=4, num_feat=2, compress_ratio=2)).double()
    image = torch.rand(1, 3, 4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, (image,), atol=1e-6)


def test_every_parameter_gets_a_gradient() -> None:
    network = lively(tiny())
    network(torch.rand(1, 3, 8, 8)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_partition_and_merge_are_inverse() -> None:
    rows = torch.rand(2, 8, 12, 5)
    assert torch.equal(merge(partition(rows, 4), 4), rows)
    assert torch.equal(partition(rows, 4)[2, 1, 1], rows[1, 4:8, 8:12].reshape(16, 5))


def test_border_masks_part_what_the_shift_joined() -> None:
    interior, right, bottom, corner = border_masks(4, 2, device=torch.device("cpu"), dtype=torch.float32)
    assert not interior.any()
    assert (corner == 0).float().mean() == 0.25
    assert torch.equal(corner == 0, (right == 0) & (bottom == 0))
    assert set(corner.flatten().tolist()) == {-100.0, 0.0}


def test_padding_mirrors_at_the_bottom_and_right_and_repeats_a_single_pixel() -> None:
    image = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert pad_to_multiple(image, 4)[0, 0].tolist() == [[1, 2, 3, 2]] * 4
    assert pad_to_multiple(torch.arange(3.0).view(1, 1, 1, 3), 8)[0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


@pytest.mark.parametrize(
    "values",
    [
        {"upscale": 5},
        {"depths": ()},
        {"depths": (0,)},
        {"num_heads": (5,)},
        {"num_heads": (2, 2)},
        {"window_size": 1},
        {"overlap_ratio": 0.3, "window_size": 10},
        {"compress_ratio": 13},
        {"squeeze_factor": 0},
        {"img_range": 0.0},
    ],
)
def test_impossible_configurations_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(WeightsError):
        tiny(**values)


def test_configuration_survives_json() -> None:
    config = tiny(conv_scale=0.2, rgb_mean=(0.1, 0.2, 0.3))
    assert HATConfig.from_json(config.to_json()) == config
    with pytest.raises(WeightsError, match="unknown fields: colour"):
        HATConfig.from_json('{"colour": 1}')
    with pytest.raises(WeightsError):
        HATConfig.from_json("[1")


@pytest.mark.parametrize("switch", ["cab", "channel_attention", "ocab"])
def test_an_ablated_network_has_fewer_parameters_and_is_read_back(switch: str, tmp_path: Path) -> None:
    config = tiny(**{switch: False})
    model = HAT(config)
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in HAT(tiny()).parameters())
    path = tmp_path / "ablated.safetensors"
    checkpoint.write(path, config=config, state=model.state_dict())
    assert checkpoint.load(path).config == config
