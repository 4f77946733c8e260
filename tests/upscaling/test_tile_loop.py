"""Which tiles a pass begins with, and how it goes on when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from support.pictures import noise
from torch import Tensor, nn

from hatcli.errors import MemoryLimitError
from hatcli.image.picture import to_tensor
from hatcli.upscaling import tile_loop
from hatcli.upscaling.device import DeviceChoice
from hatcli.upscaling.networks import Networks
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.rows import Rows, SampleRows
from hatcli.upscaling.settings import Settings, Tile
from hatcli.upscaling.tile_loop import Frontier, Pass, TileLoop, settle

CPU = DeviceChoice(torch.device("cpu"), torch.float32, "for a test")
ONE = Pass(scale=2, dtype=torch.float32, held=0, report=lambda progress: progress)


class Limited(nn.Module):
    """Repeats each pixel; runs out of memory on more than `limit` pixels."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.sizes: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        if height * width > self.limit:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        self.sizes.append((height, width))
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2)


def loop(network: nn.Module | None = None, settings: Settings | None = None) -> TileLoop:
    return TileLoop(Networks({2: network or Limited(10**9)}, CPU, settings or Settings()))


@pytest.fixture(autouse=True)
def _much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_loop, "free_memory", lambda device: 128 << 30)


@pytest.mark.parametrize(
    ("tile", "whole", "side"), [("off", 5000, 5000), (64, 5000, 64), (64, 50, 64), ("auto", 500, 500)]
)
def test_the_first_side_is_what_was_asked_for(tile: Tile, whole: int, side: int) -> None:
    assert loop(settings=Settings(tile=tile)).first_side(ONE, whole, whole // 2) == side


def test_auto_takes_tiles_of_what_a_cpu_runs_whole_only_with_gigabytes() -> None:
    assert loop().first_side(ONE, 8000, 6000) < 6000
    assert loop(settings=Settings(max_memory=1 << 50)).first_side(ONE, 3000, 2000) == 3000


def rows_of(events: Iterator[Progress | Rows]) -> Tensor:
    """Everything that leaves, one below the other; each part starts where the one before has ended."""
    parts: list[Tensor] = []
    for event in events:
        if isinstance(event, Rows):
            assert event.top == sum(part.shape[1] for part in parts)
            parts.append(event.values.clone())
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("tile", ["auto", 128])
def test_memory_that_ran_out_once_is_remembered_for_the_next_picture(tile: Tile) -> None:
    network = Limited(64 * 64)
    running = loop(network, Settings(tile=tile))
    samples = noise(200, 180, 3)
    first = rows_of(running.run(SampleRows(samples), ONE))
    assert torch.equal(first, to_tensor(samples).repeat_interleave(2, -1).repeat_interleave(2, -2))
    network.limit = 10**9  # it would fit now, but nobody can know
    network.sizes.clear()
    assert torch.equal(rows_of(running.run(SampleRows(samples), ONE)), first)
    assert max(height * width for height, width in network.sizes) <= 64 * 64


def test_off_never_cuts_a_picture_even_when_memory_runs_out() -> None:
    with pytest.raises(MemoryLimitError, match="on cpu with the whole picture at once") as caught:
        list(loop(Limited(64 * 64), Settings(tile="off")).run(SampleRows(noise(200, 180, 3)), ONE))
    assert "CUDNN_STATUS_ALLOC_FAILED" in str(caught.value.__cause__)


def test_rows_beyond_the_new_overlap_are_final_when_tiles_get_smaller() -> None:
    pending = torch.rand(3, 64, 10)
    frontier = Frontier(top=100, pending=pending)
    (rows,) = settle(frontier, keep=16, scale=2)
    assert (rows.top, rows.values.shape[1]) == (200, 32)
    assert frontier.top == 116
    assert frontier.pending is not None
    assert torch.equal(torch.cat([rows.values, frontier.pending], dim=1), pending)
    assert not list(settle(frontier, keep=16, scale=2))
