"""Convolutions with half the multiplications: the same numbers as PyTorch's own, and only where they are wanted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hatcli.engine import winograd
from hatcli.engine.rows import conv_rows_into


def convolution(inputs: int, outputs: int, dtype: torch.dtype, *, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(inputs + outputs)
    return nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias).to(dtype)


def plain(conv: nn.Conv2d, image: Tensor) -> Tensor:
    result: Tensor = conv(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return result


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("height", [4, 8, 20])
@pytest.mark.parametrize("width", [1, 2, 17])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_it_is_the_same_convolution(batch: int, height: int, width: int, bias: bool) -> None:
    conv = convolution(5, 7, torch.float64, bias=bias)
    image = torch.randn(batch, height, width, 5, dtype=torch.float64)
    result = image.new_empty(batch, height, width, 7)
    winograd.convolve_into(result, F.pad(image, (0, 0, 0, 0, 1, 1)), winograd.kernels(conv), conv.bias)
    assert torch.allclose(result, plain(conv, image), rtol=0, atol=1e-13)


@torch.inference_mode()
def test_rounding_grows_about_twofold() -> None:
    conv = convolution(180, 60, torch.float32)
    image = torch.randn(1, 16, 32, 180)
    exact = plain(convolution(180, 60, torch.float32).double(), image.double())
    result = torch.empty(1, 16, 32, 60)
    winograd.convolve_into(result, F.pad(image, (0, 0, 0, 0, 1, 1)), winograd.kernels(conv), conv.bias)
    assert (result - exact).abs().max() < 6 * (plain(conv, image) - exact).abs().max()
    assert (result - exact).abs().max() < 2e-5


@pytest.mark.parametrize("span", [(0, 16), (0, 3), (0, 4), (3, 10), (5, 16), (15, 16), (2, 9)])
@torch.inference_mode()
def test_any_rows_of_an_image_come_out(monkeypatch: pytest.MonkeyPatch, span: tuple[int, int]) -> None:
    rows: list[int] = []
    real = winograd.convolve_into

    def seen(result: Tensor, source: Tensor, weights: Tensor, bias: Tensor | None) -> None:
        rows.append(result.shape[1])
        real(result, source, weights, bias)

    monkeypatch.setattr(winograd, "convolve_into", seen)
    conv = convolution(64, 64, torch.float64)
    image = torch.randn(1, 16, 6, 64, dtype=torch.float64)
    top, bottom = span
    result = torch.empty(1, bottom - top, 6, 64, dtype=torch.float64)
    conv_rows_into(result, winograd.Convolution(conv), image, top, bottom)
    assert torch.allclose(result, plain(conv, image)[:, top:bottom], rtol=0, atol=1e-12)
    whole = (bottom - top) // 4 * 4
    assert rows == ([whole] if whole else [])  # the rest by PyTorch's own


@pytest.mark.parametrize(
    ("inputs", "outputs", "dtype", "expected"),
    [
        (180, 60, torch.float32, True),
        (64, 64, torch.float64, True),
        (180, 60, torch.bfloat16, False),
        (48, 48, torch.float32, False),
        (64, 3, torch.float32, False),
    ],
)
def test_it_is_used_where_it_pays(inputs: int, outputs: int, dtype: torch.dtype, expected: bool) -> None:
    conv = convolution(inputs, outputs, dtype)
    assert winograd.Convolution(conv).pays is expected
    assert not winograd.Convolution(conv.to("meta")).pays
