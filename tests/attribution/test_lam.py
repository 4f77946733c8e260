"""Local attribution maps: published numbers, completeness, locality, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hatcli.attribution.lam import (
    Attribution,
    BlurPath,
    Network,
    Objective,
    Window,
    attribute,
    gaussian_kernel,
    gini,
    gradient_sum,
    value_sum,
)
from hatcli.attribution.maps import density, reds
from hatcli.attribution.regions import confidence, drawn, strongest
from hatcli.errors import InputError, UsageError
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT
from hatcli.progress import drive

WINDOW = Window(4, 4, 8)


def fixture() -> Tensor:
    channel, y, x = np.mgrid[0:3, 0:16, 0:16]
    return torch.from_numpy(((3 * y + 5 * x + 7 * channel) % 11) / 10)


def identity(image: Tensor) -> Tensor:
    return image * 1


def found(
    network: Network,
    image: Tensor,
    window: Window = WINDOW,
    *,
    steps: int = 50,
    objective: Objective | None = None,
    batch: int | None = None,
) -> Attribution:
    running = attribute(network, image, window, path=BlurPath(steps=steps), objective=objective, batch=batch)
    return drive(running)


def test_kernels_are_the_published_ones() -> None:
    kernel = gaussian_kernel(9, 1.2)
    assert float(kernel.sum()) == pytest.approx(1)
    values = [float(kernel[place]) for place in ((4, 4), (4, 5), (0, 4), (0, 0))]
    assert values == pytest.approx([0.110547950, 0.078118975, 4.27409119e-4, 1.65248252e-6], rel=1e-7)
    for sigma in (0.0, 0.024):
        delta = gaussian_kernel(9, sigma)
        assert float(delta[4, 4]) == 1.0
        assert int(delta.count_nonzero()) == 1


def test_gini_of_known_vectors() -> None:
    one_hot = torch.zeros(4096)
    one_hot[7] = 1
    assert gini(torch.ones(100)) == pytest.approx(0, abs=1e-12)
    assert gini(one_hot) == pytest.approx(0.999346527, abs=1e-9)
    assert gini(torch.tensor([1.0, 2, 3, 4])) == pytest.approx(0.25, abs=1e-7)
    assert gini(torch.tensor([0.0, 1, 1, 0])) == pytest.approx(0.5, abs=1e-6)
    assert gini(torch.arange(1, 1001)) == pytest.approx(0.333, abs=1e-9)
    values = torch.rand(50, dtype=torch.float64)
    assert gini(values.flip(0)) == gini(values) == pytest.approx(gini(7 * values), abs=1e-6)


@pytest.mark.parametrize("batch", [1, 7, 50, None])
def test_sum_of_values_on_the_fixture(batch: int | None) -> None:
    result = found(identity, fixture(), objective=value_sum(WINDOW), batch=batch)
    assert float(result.signed.sum()) == pytest.approx(0.241550357, abs=1e-9)
    strength = result.signed.sum(dim=0).abs()
    assert float(strength.max()) == pytest.approx(0.467633186, abs=1e-9)
    assert float(strength[4, 10]) == pytest.approx(float(strength.max()), abs=1e-12)  # (5, 8) mirrors it: a tie
    assert result.diffusion_index == pytest.approx(16.82755, abs=1e-5)
    outside = torch.ones(16, 16, dtype=torch.bool)
    outside[4:12, 4:12] = False
    assert int(result.saliency[outside].count_nonzero()) == 0


@pytest.mark.parametrize(("steps", "total"), [(50, 132.378836959), (100, 132.028368631), (400, 131.751357495)])
def test_sum_of_gradients_on_the_fixture(steps: int, total: float) -> None:
    result = found(identity, fixture(), steps=steps)
    assert float(result.signed.sum()) == pytest.approx(total, abs=1e-8)
    if steps == 50:
        strength = result.signed.sum(dim=0).abs()
        assert float(strength.max()) == pytest.approx(2.420127088, abs=1e-8)
        assert divmod(int(strength.argmax()), 16) == (6, 9)
        assert result.diffusion_index == pytest.approx(24.82243, abs=1e-5)
        assert int(result.saliency.count_nonzero()) == 80


def test_objectives_at_the_ends_of_the_path() -> None:
    blurred = BlurPath().blurred(fixture(), 0)
    ends = torch.stack([fixture(), blurred])
    assert value_sum(WINDOW)(ends).tolist() == pytest.approx([96.2, 95.958449643], abs=1e-9)
    assert gradient_sum(WINDOW)(ends).tolist() == pytest.approx([137.032888266, 5.376636897], abs=1e-8)


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_linear_objectives_are_complete_for_any_number_of_steps(steps: int) -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 3, 3, padding=1).double()
    objective = value_sum(WINDOW)
    result = found(network, fixture(), steps=steps, objective=objective)
    ends = network(torch.stack([fixture(), BlurPath().blurred(fixture(), 0)]))
    values = objective(ends).tolist()
    assert float(result.signed.sum()) == pytest.approx(values[0] - values[1], abs=1e-10)


def test_the_error_of_a_smooth_objective_falls_as_one_over_the_steps() -> None:
    image = torch.rand(3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def squares(output: Tensor) -> Tensor:
        return output.square().flatten(1).sum(dim=1)

    ends = squares(torch.stack([image, BlurPath().blurred(image, 0)])).tolist()
    errors = [
        float(found(identity, image, Window(0, 0, 8), steps=steps, objective=squares).signed.sum()) - ends[0] + ends[1]
        for steps in (10, 50, 100, 400)
    ]
    assert [errors[0] / error for error in errors[1:]] == pytest.approx([5, 10, 40], rel=0.05)


def tiny(**switches: Any) -> HAT:
    torch.manual_seed(0)
    config = HATConfig(
        upscale=2, embed_dim=24, depths=(1,), num_heads=(2,), window_size=8, squeeze_factor=8, num_feat=16,
        **switches,
    )  # fmt: skip
    return HAT(config).double().eval()


@pytest.mark.parametrize("switched_off", ["cab", "channel_attention"])
def test_without_channel_attention_a_hat_attributes_nothing_outside_its_reach_and_with_it_everything(
    switched_off: str,
) -> None:
    image = torch.rand(3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    window = Window(0, 0, 4)
    local = found(tiny(**{switched_off: False}), image, window, steps=2).saliency
    whole = found(tiny(), image, window, steps=2).saliency
    assert int(local[48:, 48:].count_nonzero()) == 0
    assert int(local[:8, :8].count_nonzero()) > 0
    assert float((whole[48:, 48:] > 0).double().mean()) > 0.99


def test_a_convolution_attributes_exactly_its_receptive_field() -> None:
    network = torch.nn.Conv2d(3, 3, 5, padding=2).double()
    inside = found(network, fixture(), Window(6, 6, 2), steps=4).saliency > 0
    assert not bool(inside[:4].any() or inside[:, :4].any() or inside[11:].any() or inside[:, 11:].any())


def test_a_flat_picture_gives_a_message_and_no_nan() -> None:
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(InputError, match="nothing to attribute"):
            found(identity, torch.full((3, 16, 16), 0.3, dtype=dtype))
        with pytest.raises(InputError, match="nothing to attribute"):
            found(tiny().to(dtype), torch.full((3, 16, 16), 0.3, dtype=dtype), steps=2)


def test_partly_flat_windows_are_finite() -> None:
    image = torch.zeros(3, 16, 16)
    image[:, :, 10:] = 1
    result = found(identity, image)
    assert bool(result.signed.isfinite().all())
    assert 0 < result.diffusion_index < 100


def test_short_floats_windows_outside_and_tiny_pictures_are_refused() -> None:
    for dtype in (torch.bfloat16, torch.float16):
        with pytest.raises(UsageError, match="rounding"):
            found(identity, fixture().to(dtype))
    for window in (Window(9, 0, 8), Window(0, 8, 8), Window(-1, 0, 4), Window(0, 0, 0)):
        with pytest.raises(UsageError, match="window"):
            found(identity, fixture(), window)
    with pytest.raises(InputError, match="too small"):
        found(identity, torch.rand(3, 4, 16), Window(0, 0, 2))


def test_progress_counts_every_step_once_and_batches_fit_the_budget() -> None:
    seen = [event.done for event in attribute(identity, fixture(), WINDOW, path=BlurPath(steps=10), batch=4)]
    assert seen == [4, 8, 10]
    seen = [event.done for event in attribute(identity, fixture(), WINDOW, path=BlurPath(steps=5), budget=1)]
    assert seen == [1, 2, 3, 4, 5]


def test_density_is_the_sum_of_gaussians_with_scott_bandwidth() -> None:
    weights = np.random.default_rng(0).random((6, 9)) ** 3
    rows, columns = np.mgrid[0:6, 0:9]
    points = np.stack([rows.ravel(), columns.ravel()]).astype(float)
    share = weights.ravel() / weights.sum()
    covariance = np.cov(points, aweights=share) * ((share**2).sum()) ** (2 / 6)
    offsets = points[:, :, None] - points[:, None, :]
    powers = np.einsum("aij,ab,bij->ij", offsets, np.linalg.inv(covariance), offsets)
    expected = (np.exp(-powers / 2) * share).sum(axis=1).reshape(6, 9)
    assert np.allclose(density(weights), expected / expected.max(), atol=1e-10)


def test_density_of_a_single_pixel_is_finite_and_peaks_there() -> None:
    single = np.zeros((8, 8))
    single[2, 5] = 1
    result = density(single)
    assert np.isfinite(result).all()
    assert divmod(int(result.argmax()), 8) == (2, 5)


def test_reds_run_from_white_over_red_to_dark_red() -> None:
    assert reds(np.array([[0, 0.25, 0.5, 1]])).tolist() == [[[255] * 3, [255, 128, 128], [255, 0, 0], [128, 0, 0]]]


def test_the_strongest_window_lies_on_the_edge_and_drawn_windows_do_not_overlap() -> None:
    image = torch.zeros(3, 32, 32)
    image[:, :, 20:] = 1
    window = strongest(image, scale=4)
    assert window.left < 80 < window.left + 16
    noise = torch.rand(3, 32, 32)
    windows = drawn(noise, 10, scale=4)
    assert len({(w.top, w.left) for w in windows}) == 10
    assert all(w.top % 16 == w.left % 16 == 0 and max(w.top, w.left) + 16 < 128 for w in windows)
    assert windows == drawn(noise, 10, scale=4)


def test_confidence_is_students() -> None:
    mean, half = confidence([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(4.303 / math.sqrt(3))
    assert confidence([5.0]) == (5.0, None)
