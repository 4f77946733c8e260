"""Devices, precisions, memory: what is chosen, why, and what is refused."""

from __future__ import annotations

import pytest
import torch

from hatcli.errors import UsageError
from hatcli.network.config import preset
from hatcli.network.hat import HAT
from hatcli.upscaling import device
from hatcli.upscaling.memory import SMALLEST_TILE, is_out_of_memory, largest_tile, run_bytes

CPU = torch.device("cpu")


def test_the_cpu_can_be_asked_for_and_fp32_is_exact() -> None:
    choice = device.choose("cpu", "fp32")
    assert (choice.device, choice.dtype, choice.precision) == (CPU, torch.float32, "fp32")


def test_auto_takes_bf16_only_where_the_hardware_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda place: True)
    assert device.choose("cpu").precision == "bf16"
    monkeypatch.setattr(device, "has_bf16", lambda place: False)
    assert device.choose("cpu").precision == "fp32"
    assert device.choose("cpu", "bf16").precision == "bf16"


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


def test_memory_grows_with_the_picture_and_is_less_in_bf16() -> None:
    with torch.device("meta"):
        network = HAT(preset("hat", upscale=4))
    small, large = (run_bytes(network, side, side, device=CPU, dtype=torch.float32) for side in (256, 1024))
    narrow = run_bytes(network, 1024, 1024, device=CPU, dtype=torch.bfloat16)
    assert small < large / 6
    assert 0.6 < narrow / large < 0.95
    assert 2.5e9 < large < 4.2e9


def test_the_largest_tile_fits_its_budget_and_the_next_does_not() -> None:
    with torch.device("meta"):
        network = HAT(preset("hat", upscale=4))
    budget = 10**9
    side = largest_tile(network, budget, device=CPU, dtype=torch.float32)
    assert run_bytes(network, side, side, device=CPU, dtype=torch.float32) <= budget
    assert run_bytes(network, side + 16, side + 16, device=CPU, dtype=torch.float32) > budget
    assert largest_tile(network, 0, device=CPU, dtype=torch.float32) == SMALLEST_TILE


def test_out_of_memory_is_recognised_in_all_its_forms() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(UsageError("out of memory"))
