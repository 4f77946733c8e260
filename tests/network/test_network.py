"""The network: exact against the reference's numbers, with and without gradients, at every size and chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.networks import CASES, PARITY, lively, tiny
from support.reference import reference_network, same_weights

from hatcli.errors import WeightsError
from hatcli.network import checkpoint
from hatcli.network.attention import border_masks, cross_attention_index, merge, partition, self_attention_index
from hatcli.network.bands import bands
from hatcli.network.config import HATConfig, preset
from hatcli.network.hat import HAT, pad_to_multiple


@pytest.mark.parametrize("name", CASES)
def test_output_equals_the_reference_within_1e_5(name: str) -> None:
    network = checkpoint.load(PARITY / f"{name}.weights.safetensors")
    case = load_file(PARITY / f"{name}.case.safetensors")
    with torch.no_grad():
        banded = network(case["input"])
    plain = network(case["input"])
    assert (banded - case["output"]).abs().max() < 1e-5
    assert (plain - case["output"]).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", ["hat-s", "hat", "hat-l"])
def test_full_size_networks_agree_with_spandrel_within_1e_4(shape: str, scale: int) -> None:
    config = preset(shape, upscale=scale)
    torch.manual_seed(scale)
    with torch.inference_mode():
        reference = reference_network(config)
        network = same_weights(reference, config)
        image = torch.rand(1, 3, 16, 32)
        assert (reference(image) - network(image)).abs().max() < 1e-4


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


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (5, 9), (8, 3), (16, 24), (2, 31)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_bands_and_the_plain_formula_agree_at_every_size_and_scale(height: int, width: int, scale: int) -> None:
    network = lively(tiny(upscale=scale))
    image = torch.rand(2, 3, height, width)
    plain = network(image).detach()
    assert plain.shape == (2, 3, height * scale, width * scale)
    with torch.no_grad():
        assert (network(image) - plain).abs().max() < 2e-5 * plain.abs().max()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_picture_one_window_wide_runs_on_any_number_of_threads(threads: int) -> None:
    network = lively(tiny())
    image = torch.rand(2, 3, 24, 3)
    plain = network(image).detach()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            assert (network(image) - plain).abs().max() < 2e-5 * plain.abs().max()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("chunk", [1, 16, 40, 100, 10_000])
def test_output_does_not_depend_on_the_chunk_size(chunk: int) -> None:
    network = lively(tiny(depths=(3, 2), num_heads=(2, 2))).double()
    image = torch.rand(1, 3, 21, 30, dtype=torch.float64)
    plain = network(image).detach()
    network.chunk_pixels = chunk
    with torch.no_grad():
        assert (network(image) - plain).abs().max() < 1e-12 * plain.abs().max()


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_every_overlap_ratio_agrees_in_bands(ratio: float) -> None:
    network = lively(tiny(overlap_ratio=ratio)).double()
    image = torch.rand(1, 3, 16, 20, dtype=torch.float64)
    plain = network(image).detach()
    network.chunk_pixels = 20
    with torch.no_grad():
        assert (network(image) - plain).abs().max() < 1e-12 * plain.abs().max()


def test_two_runs_give_the_same_bits() -> None:
    network = lively(tiny())
    image = torch.rand(1, 3, 24, 40)
    with torch.no_grad():
        assert torch.equal(network(image), network(image))


def test_gradients_are_those_of_finite_differences() -> None:
    network = lively(tiny(embed_dim=4, num_feat=2, compress_ratio=2)).double()
    image = torch.rand(1, 3, 4, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, (image,), atol=1e-6)


def test_every_parameter_gets_a_gradient() -> None:
    network = lively(tiny())
    network(torch.rand(1, 3, 8, 8)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_steps_yield_as_often_as_they_say_and_return_the_result() -> None:
    network = lively(tiny(depths=(2, 3), num_heads=(2, 2)))
    image = torch.rand(1, 3, 8, 8)
    steps, count = network.steps(image), 0
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as finished:
            result = finished.value
            break
    assert count == network.num_steps
    with torch.no_grad():
        assert torch.equal(result, network(image))


def test_channel_attention_sees_the_whole_image_and_nothing_else_does() -> None:
    image = torch.rand(1, 3, 64, 8, dtype=torch.float64)
    changed = image.clone()
    changed[..., -1, :] += 0.5
    for alpha, reaches in ((0.5, True), (0.0, False)):
        network = lively(tiny(depths=(1,), conv_scale=alpha)).double()
        with torch.no_grad():
            difference = (network(image) - network(changed)).abs()[..., :8, :].max()
        assert bool(difference > 0) == reaches


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


def test_bands_cover_every_row_once() -> None:
    for length, size in ((1, 1), (10, 3), (16, 16), (17, 4)):
        spans = list(bands(length, size))
        assert [row for top, bottom in spans for row in range(top, bottom)] == list(range(length))
        assert all(bottom - top <= size for top, bottom in spans)


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
def test_an_ablated_network_has_fewer_parameters_and_computes_the_same_both_ways(switch: str, tmp_path: Path) -> None:
    whole = tiny(conv_scale=1.0)
    config = tiny(conv_scale=1.0, **{switch: False})
    model = lively(config).double()
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in HAT(whole).parameters())
    image = torch.rand(1, 3, 9, 13, dtype=torch.float64)
    with_gradients = model(image).detach()
    with torch.no_grad():
        assert (model(image) - with_gradients).abs().max() < 1e-12
    path = tmp_path / "ablated.safetensors"
    checkpoint.write(path, config=config, state=model.float().state_dict())
    assert checkpoint.load(path).config == config
