"""Devices, precisions, memory: what is chosen, why, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from support.networks import tiny

from hatcli.engine import Network, opened
from hatcli.errors import UsageError
from hatcli.network.config import preset
from hatcli.network.hat import HAT
from hatcli.upscaling import device
from hatcli.upscaling.memory import SMALLEST_TILE, is_out_of_memory, largest_tile, run_bytes

CPU = torch.device("cpu")


def test_the_cpu_can_be_asked_for_and_fp32_is_exact() -> None:
    choice = device.choose("cpu", "fp32")
    assert (choice.device, choice.dtype, choice.precision) == (CPU, torch.float32, "fp32")


def test_auto_is_fp32_on_a_cpu_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda place: True)
    choice = device.choose("cpu")
    assert choice.precision == "fp32"
    assert "bf16 is only 1.35 times as fast" in choice.why
    assert "--precision bf16" in choice.why
    assert device.choose("cpu", "bf16").precision == "bf16"


@pytest.mark.parametrize(
    ("gain", "decibels", "precision"), [(1.5, 60.0, "bf16"), (3.0, 59.9, "fp32"), (1.49, 70.0, "fp32")]
)
def test_auto_takes_bf16_only_where_it_is_both_faster_and_as_good(
    gain: float, decibels: float, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(device.BF16, "cpu", device.Narrow(gain=gain, decibels=decibels))
    monkeypatch.setattr(device, "has_bf16", lambda place: True)
    assert device.choose("cpu").precision == precision
    monkeypatch.setattr(device, "has_bf16", lambda place: False)
    assert device.choose("cpu").precision == "fp32"


@pytest.mark.parametrize(("supported", "eight_bits"), [(True, torch.bfloat16), (False, torch.float32)])
def test_on_a_card_auto_decides_by_the_picture(
    supported: bool, eight_bits: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "a card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    choice = device.choose()
    assert choice.device == torch.device("cuda:0")
    assert choice.dtype_for(8) == eight_bits
    assert choice.dtype_for(16) == torch.float32
    assert not supported or "16-bit pictures run in fp32" in choice.why


def test_pictures_of_16_bits_are_computed_in_fp32_whatever_was_asked_for() -> None:
    choice = device.choose("cpu", "bf16")
    assert choice.dtype_for(8) == torch.bfloat16
    assert choice.dtype_for(16) == torch.float32


def tf32_flags() -> list[object]:
    """Everything that says whether PyTorch may round to TF32, by both of its ways to say it."""
    product: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    operations = (product, cudnn.conv, cudnn.rnn)
    return [product.allow_tf32, cudnn.allow_tf32, *(place.fp32_precision for place in operations)]


@pytest.fixture
def _flags_as_they_were() -> Iterator[None]:
    product, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = product, cudnn


@pytest.mark.usefixtures("_flags_as_they_were")
@pytest.mark.parametrize("allowed", [True, False])
def test_exact_products_switch_tf32_off_and_leave_the_flags_as_they_were(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    before = tf32_flags()
    with device.exact_products():
        assert tf32_flags() == [False, False, "ieee", "ieee", "ieee"]
    assert tf32_flags() == before


@pytest.mark.usefixtures("_flags_as_they_were")
def test_exact_products_hold_where_only_the_newer_flag_was_set() -> None:
    cudnn: Any = torch.backends.cudnn
    conv = cudnn.conv
    before, conv.fp32_precision = conv.fp32_precision, "ieee"  # now PyTorch refuses to read the older flag
    try:
        with device.exact_products():
            assert tf32_flags() == [False, False, "ieee", "ieee", "ieee"]
        assert conv.fp32_precision == "ieee"
    finally:
        conv.fp32_precision = before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_auto_says_why_it_is_the_cpu() -> None:
    choice = device.choose()
    assert choice.device.type in ("cpu", "mps")
    assert "CUDA" in choice.why or choice.device.type == "mps"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:1", "tpu", "cuda:99"])
def test_devices_that_are_not_there_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        device.choose(name)
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_fp16_is_refused() -> None:
    with pytest.raises(UsageError, match="fp16"):
        device.choose("cpu", "fp16")


def test_free_memory_is_a_plausible_number_of_bytes() -> None:
    assert 1 << 20 < device.free_memory(CPU) < 1 << 50


def hat(dtype: torch.dtype = torch.float32) -> Network:
    return opened(HAT(preset("hat", upscale=4)), scale=4, device=CPU, dtype=dtype)


def test_memory_grows_with_the_picture_and_is_less_in_bf16() -> None:
    small, large = (run_bytes(hat(), side, side) for side in (256, 1024))
    narrow = run_bytes(hat(torch.bfloat16), 1024, 1024)
    assert small < large / 6
    assert 0.6 < narrow / large < 0.95
    assert 2.5e9 < large < 4.2e9


def test_the_largest_tile_fits_its_budget_and_the_next_does_not() -> None:
    budget = 10**9
    needed = partial(run_bytes, hat())
    side = largest_tile(needed, budget)
    assert needed(side, side) <= budget < needed(side + 16, side + 16)
    assert largest_tile(needed, 0) == SMALLEST_TILE
    assert largest_tile(needed, budget, row_bytes=1 << 20) < side


def test_a_self_ensemble_counts_the_results_it_holds() -> None:
    network = hat()
    once, eight = (run_bytes(network, 256, 256, ensemble=ensemble) for ensemble in (False, True))
    result = 3 * 4 * 1024**2
    assert result <= eight - once <= 1.2 * result


@pytest.mark.parametrize(("window", "network"), [(4, HAT(tiny())), (16, torch.nn.Upsample(scale_factor=2))])
def test_tiles_go_by_the_window_of_the_network(window: int, network: torch.nn.Module) -> None:
    assert opened(network, scale=2, device=CPU, dtype=torch.float32).window == window


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("Unable to find an engine to execute this computation"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("bad allocation"),
    ],
    ids=str,
)
def test_out_of_memory_is_recognised_in_all_its_forms(error: BaseException) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes differ"),
        UsageError("out of memory"),
        ValueError("std::bad_alloc"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
    ids=str,
)
def test_other_failures_are_not_taken_for_it(error: BaseException) -> None:
    assert not is_out_of_memory(error)
