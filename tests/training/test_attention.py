"""Window attention for training: the plain formula's values and gradients, and no second derivative."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from support.networks import tiny
from torch import Tensor

from hatcli.network.attention import attend, overlapping_windows
from hatcli.network.hat import HAT
from hatcli.training.attention import use_in, window_attention, windows_that_overlap

WINDOWS, HEADS, QUERIES, KEYS, CHANNELS = 3, 2, 4, 9, 5


def inputs(dtype: torch.dtype = torch.float64, windows: int = WINDOWS) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    sizes = [(windows, tokens, HEADS, CHANNELS) for tokens in (QUERIES, KEYS, KEYS)]
    values = [torch.randn(size, dtype=dtype) for size in (*sizes, (HEADS, QUERIES, KEYS))]
    return tuple(value.requires_grad_() for value in values)


@pytest.mark.parametrize("chunk", [1, 2 * HEADS * QUERIES * KEYS, 1 << 20])
def test_its_gradients_are_those_of_its_values(chunk: int) -> None:
    def run(*values: Tensor) -> Tensor:
        return window_attention(*values, scale=0.3, chunk=chunk)

    assert torch.autograd.gradcheck(run, inputs())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_it_is_the_plain_formula(dtype: torch.dtype, tolerance: float) -> None:
    ours, plain = inputs(dtype, windows=50), inputs(dtype, windows=50)
    grown = torch.randn(50, QUERIES, HEADS, CHANNELS, dtype=dtype)
    results = []
    for values, formula in ((ours, window_attention), (plain, attend)):
        result = formula(*values, scale=CHANNELS**-0.5)
        result.backward(grown)  # type: ignore[no-untyped-call]
        results.append(result)
    torch.testing.assert_close(*results, rtol=tolerance, atol=tolerance)
    for own, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=tolerance, atol=tolerance)


def test_bf16_goes_in_and_out_and_nothing_between_is_rounded_to_it() -> None:
    rounded = [value.detach().bfloat16() for value in inputs(torch.float32, windows=50)]
    wide = [value.float() for value in rounded]
    for values in (rounded, wide):
        for value in values:
            value.requires_grad_()
    ours = window_attention(*rounded, scale=0.3)
    theirs = window_attention(*wide, scale=0.3)
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours, theirs.bfloat16())
    gradient = torch.randn_like(ours)
    ours.backward(gradient)  # type: ignore[no-untyped-call]
    theirs.backward(gradient.float())  # type: ignore[no-untyped-call]
    for own, other in zip(rounded, wide, strict=True):
        assert own.grad is not None
        assert other.grad is not None
        assert torch.equal(own.grad, other.grad.bfloat16())


def test_a_network_learns_the_same_with_it() -> None:
    """Shifted windows, their masks and overlapping windows included."""
    torch.manual_seed(1)
    plain = HAT(tiny(upscale=2)).double()
    ours = copy.deepcopy(plain)
    use_in(ours)
    image = torch.rand(2, 3, 24, 16, dtype=torch.float64)
    for network in (plain, ours):
        network(image).square().mean().backward()
    gradients = {name: values.grad for name, values in plain.named_parameters()}
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients.values())
    for name, values in ours.named_parameters():
        torch.testing.assert_close(values.grad, gradients[name], rtol=1e-9, atol=1e-12)


def test_a_second_derivative_is_refused_clearly() -> None:
    values = inputs()
    (first,) = torch.autograd.grad(window_attention(*values, scale=1.0).square().sum(), values[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()  # type: ignore[no-untyped-call]


def test_of_the_logits_size_it_keeps_the_probabilities_alone() -> None:
    def kept(formula: Callable[..., Tensor]) -> int:
        shapes: list[tuple[int, ...]] = []

        def keep(values: Tensor) -> Tensor:
            shapes.append(tuple(values.shape[-2:]))
            return values

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
            formula(*inputs(), scale=1.0)
        return shapes.count((QUERIES, KEYS))

    assert kept(window_attention) == 1
    assert kept(attend) > 1  # what there is to save


@pytest.mark.parametrize(
    ("window", "overlap_window", "height", "width"), [(8, 12, 36, 52), (4, 8, 12, 20), (4, 12, 16, 20), (4, 4, 8, 12)]
)
def test_overlapping_windows_have_the_plain_gradients(
    window: int, overlap_window: int, height: int, width: int
) -> None:
    torch.manual_seed(0)
    padded = torch.rand(2, height, width, 3, dtype=torch.float64, requires_grad=True)
    plain, ours = (form(padded, window, overlap_window) for form in (overlapping_windows, windows_that_overlap))
    assert torch.equal(plain, ours)
    grown = torch.rand_like(plain)
    expected, found = (torch.autograd.grad(windows, padded, grown)[0] for windows in (plain, ours))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_bias_learns_exactly_from_thousands_of_windows_in_bf16() -> None:
    """Its gradient is a sum over all of them, which bf16 cannot hold: 8 bits of it end after 256 equal terms."""
    torch.manual_seed(0)
    wide = inputs(torch.float64, windows=4000)
    query, key, value = (part.detach().to(torch.bfloat16).requires_grad_() for part in wide[:3])
    bias = wide[3].detach().float().requires_grad_()
    grown = torch.rand(4000, QUERIES, HEADS, CHANNELS, dtype=torch.float64)
    window_attention(*wide, scale=0.3).backward(grown)  # type: ignore[no-untyped-call]
    window_attention(query, key, value, bias, scale=0.3).backward(grown.to(torch.bfloat16))  # type: ignore[no-untyped-call]
    assert bias.grad is not None
    assert wide[3].grad is not None
    assert (bias.grad - wide[3].grad).abs().max() < 0.01 * wide[3].grad.abs().max()
