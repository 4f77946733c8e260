"""Bands side by side: every row once, results in order, errors kept, threads given back."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Generator, Iterator
from functools import partial

import pytest
import torch

from hatcli.engine.hat import BandedHAT
from hatcli.engine.workers import MOST_WORKERS, Workers, torch_threads
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT
from hatcli.progress import drive


@pytest.fixture(autouse=True)
def threads() -> Iterator[int]:
    """Two threads whatever the machine, and its own number again afterwards."""
    with torch_threads(2):
        yield 2


@pytest.mark.parametrize("cores", [1, 2, 3, 8, 11, 12, 16, 64, 100])
def test_workers_share_the_cores(cores: int) -> None:
    workers = Workers(cores, 64)
    assert 1 <= workers.count <= min(cores, MOST_WORKERS)
    assert 0 <= cores % workers.count <= cores / 8  # cores without work


@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 2, 7, 64])
@pytest.mark.parametrize("size", [0, 1, 3, 100])
def test_spans_cover_every_row_once_and_keep_all_workers_busy(cores: int, length: int, size: int) -> None:
    workers = Workers(cores, 64)
    spans = workers.spans(length, size)
    assert [row for top, bottom in spans for row in range(top, bottom)] == list(range(length))
    assert max(bottom - top for top, bottom in spans) <= max(1, size)
    assert len(spans) % workers.count == 0 or len(spans) == length


@pytest.mark.parametrize("length", [1, 4, 7, 64, 66])
@pytest.mark.parametrize("size", [1, 4, 11, 100])
def test_spans_come_in_multiples(length: int, size: int) -> None:
    spans = Workers(2, 64).spans(length, size, step=4)
    assert [row for top, bottom in spans for row in range(top, bottom)] == list(range(length))
    assert all((bottom - top) % 4 == 0 for top, bottom in spans[:-1])
    assert max(bottom - top for top, bottom in spans) <= max(4, size)


def test_results_come_in_order_and_from_several_threads() -> None:
    met = threading.Barrier(2, timeout=10)  # broken, and so an error, unless two tasks run at once

    def task(number: int) -> int:
        met.wait()
        return number

    assert Workers(2, 64).each(partial(task, number) for number in range(4)) == [0, 1, 2, 3]


def test_workers_make_no_gradients_and_use_their_share() -> None:
    def seen() -> tuple[bool, int]:
        return torch.is_inference_mode_enabled(), torch.get_num_threads()

    assert Workers(4, 64).each([seen, seen]) == [(True, 2), (True, 2)]
    assert torch.get_num_threads() == 2


def test_an_error_waits_for_those_that_have_begun_and_drops_the_rest() -> None:
    ended: list[int] = []

    def task(number: int) -> None:
        if number == 0:
            raise MemoryError("no room")
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(MemoryError, match="no room"):
        Workers(2, 64).each(partial(task, number) for number in range(50))
    seen = list(ended)
    time.sleep(0.15)
    assert ended == seen
    assert len(seen) < 10


def test_threads_are_given_back_between_steps_and_after_an_error() -> None:
    inside: list[int] = []

    def steps() -> Generator[None, None, str]:
        inside.append(torch.get_num_threads())
        yield
        inside.append(torch.get_num_threads())
        return "done"

    running = Workers(2, 64).alone(steps())
    next(running)
    assert (inside, torch.get_num_threads()) == ([1], 2)
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert (stop.value.value, inside, torch.get_num_threads()) == ("done", [1, 1], 2)

    def fails() -> Generator[None, None, None]:
        raise MemoryError
        yield

    with pytest.raises(MemoryError):
        next(Workers(2, 64).alone(fails()))
    assert torch.get_num_threads() == 2


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    config = HATConfig(
        upscale=2, embed_dim=24, depths=(2, 2), num_heads=(2, 2), window_size=4, squeeze_factor=4, num_feat=8
    )
    torch.manual_seed(0)
    network = HAT(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    image = torch.rand(2, 3, 37, 22)
    with torch.inference_mode():
        exact = copy.deepcopy(network).double()(image.double())
        rounding = float((network(image) - exact).abs().max())  # of the formula itself in float32
    assert rounding < 2e-6 * float(exact.abs().max())
    for number in (1, 2, 3, 5, 9, 16):
        torch.set_num_threads(number)
        result = drive(BandedHAT(network).steps(image))
        assert float((result - exact).abs().max()) <= 2 * rounding
        assert torch.equal(drive(BandedHAT(network).steps(image)), result)  # nor on who came first
