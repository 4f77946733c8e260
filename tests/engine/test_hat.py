"""HAT in bands: the formula's numbers at every size, chunk and number of threads, and the same bits where promised."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from support.networks import CASES, PARITY, banded, lively, tiny
from support.reference import reference_network, same_weights
from torch import Tensor

from hatcli.engine.hat import BandedHAT
from hatcli.engine.rows import bands
from hatcli.engine.workers import torch_threads
from hatcli.network import checkpoint
from hatcli.network.config import preset
from hatcli.network.hat import HAT
from hatcli.progress import drive


def plain(network: HAT, image: Tensor) -> Tensor:
    """The formula's result."""
    with torch.no_grad():
        result: Tensor = network(image)
    return result


@pytest.mark.parametrize("name", CASES)
def test_output_equals_the_reference_within_1e_5(name: str) -> None:
    network = checkpoint.load(PARITY / f"{name}.weights.safetensors")
    case = load_file(PARITY / f"{name}.case.safetensors")
    assert (banded(network, case["input"]) - case["output"]).abs().max() < 1e-5


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
        assert (reference(image) - banded(network, image)).abs().max() < 1e-4


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (5, 9), (8, 3), (16, 24), (2, 31)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_bands_and_the_formula_agree_at_every_size_and_scale(height: int, width: int, scale: int) -> None:
    network = lively(tiny(upscale=scale))
    image = torch.rand(2, 3, height, width)
    expected = plain(network, image)
    assert expected.shape == (2, 3, height * scale, width * scale)
    assert (banded(network, image) - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_picture_one_window_wide_runs_on_any_number_of_threads(threads: int) -> None:
    network = lively(tiny())
    image = torch.rand(2, 3, 24, 3)
    expected = plain(network, image)
    with torch_threads(threads):
        assert (banded(network, image) - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize("chunk", [1, 16, 40, 100, 10_000])
def test_output_does_not_depend_on_the_chunk_size(chunk: int) -> None:
    network = lively(tiny(depths=(3, 2), num_heads=(2, 2))).double()
    image = torch.rand(1, 3, 21, 30, dtype=torch.float64)
    expected = plain(network, image)
    assert (banded(network, image, chunk=chunk) - expected).abs().max() < 1e-12 * expected.abs().max()


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_every_overlap_ratio_agrees_in_bands(ratio: float) -> None:
    network = lively(tiny(overlap_ratio=ratio)).double()
    image = torch.rand(1, 3, 16, 20, dtype=torch.float64)
    expected = plain(network, image)
    assert (banded(network, image, chunk=20) - expected).abs().max() < 1e-12 * expected.abs().max()


@pytest.mark.parametrize("switch", ["cab", "channel_attention", "ocab"])
def test_an_ablated_network_agrees_in_bands(switch: str) -> None:
    network = lively(tiny(conv_scale=1.0, **{switch: False})).double()
    image = torch.rand(1, 3, 9, 13, dtype=torch.float64)
    assert (banded(network, image) - plain(network, image)).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("height", "width"), [(41, 17), (9, 30), (1, 1)])
def test_the_same_bands_give_the_same_bits_whoever_works_on_them(height: int, width: int, dtype: torch.dtype) -> None:
    network = lively(tiny(depths=(2, 2), num_heads=(2, 2), channel_attention=False))
    image = torch.rand(1, 3, height, width)
    with torch_threads(1):
        alone = banded(network, image, dtype=dtype, chunk=16)  # a row of windows a band at most, for any number
    for threads in (1, 2, 3, 5):
        with torch_threads(threads):
            assert torch.equal(banded(network, image, dtype=dtype, chunk=16), alone)


def test_two_runs_give_the_same_bits() -> None:
    network = lively(tiny())
    image = torch.rand(1, 3, 24, 40)
    assert torch.equal(banded(network, image), banded(network, image))


def test_training_may_replace_its_attention_and_this_stays_as_it_is() -> None:
    network, image = lively(tiny()), torch.rand(1, 3, 8, 8)
    expected = banded(network, image)
    for block in network.layers[0].residual_group.blocks:  # type: ignore[union-attr]
        block.attn.attend = lambda query, *_, **__: torch.zeros_like(query)
    assert torch.equal(banded(network, image), expected)
    assert not torch.allclose(plain(network, image), expected, atol=1e-3)


def test_steps_tell_the_share_done_after_every_block_and_return_the_result() -> None:
    network = lively(tiny(depths=(2, 3), num_heads=(2, 2)))
    image = torch.rand(1, 3, 8, 8)
    shares: list[float] = []
    result = drive(BandedHAT(network).steps(image), shares.append)
    assert shares == pytest.approx([number / 8 for number in range(1, 9)])
    assert torch.equal(result, banded(network, image))


def test_channel_attention_sees_the_whole_image_and_nothing_else_does() -> None:
    image = torch.rand(1, 3, 64, 8, dtype=torch.float64)
    changed = image.clone()
    changed[..., -1, :] += 0.5
    for alpha, reaches in ((0.5, True), (0.0, False)):
        network = lively(tiny(depths=(1,), conv_scale=alpha)).double()
        difference = (banded(network, image) - banded(network, changed)).abs()[..., :8, :].max()
        assert bool(difference > 0) == reaches


def test_bands_cover_every_row_once() -> None:
    for length, size in ((1, 1), (10, 3), (16, 16), (17, 4)):
        spans = list(bands(length, size))
        assert [row for top, bottom in spans for row in range(top, bottom)] == list(range(length))
        assert all(bottom - top <= size for top, bottom in spans)
