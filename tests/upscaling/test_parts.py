"""A picture in parts: whatever it is and however it is divided, the very samples of the whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from support.networks import lively, tiny
from support.pictures import noise
from torch import Tensor, nn

from hatcli.errors import MemoryLimitError
from hatcli.image.picture import Picture, Samples
from hatcli.upscaling import rows
from hatcli.upscaling.device import DeviceChoice
from hatcli.upscaling.parts import FEWEST_TILE_ROWS, Part
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.rows import Strip
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

CPU = DeviceChoice(torch.device("cpu"), torch.float32, "for a test")


class Swayed(nn.Module):
    """Repeats pixels, and adds what depends on all of the tile, as channel attention does, and on where in it one is.

    Args:
        counted: gets the pixels of each run.
    """

    def __init__(self, scale: int, counted: list[int] | None = None) -> None:
        super().__init__()
        self.scale, self.counted = scale, [] if counted is None else counted

    def forward(self, image: Tensor) -> Tensor:
        self.counted.append(image.shape[-1] * image.shape[-2])
        down = torch.linspace(0, 0.3, image.shape[-2])[:, None]
        made = 0.6 * image + 0.1 * image.mean() + down
        return made.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


@pytest.fixture(autouse=True)
def _small_bands(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rows, "_RESIZED_PIXELS", 16)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def samples_of(upscaler: Upscaler, picture: Picture, target: Target, part: Part | None = None) -> Samples:
    events = upscaler.stream(picture, target, part=part)
    strips = [event for event in events if isinstance(event, Strip)]
    top = 0 if part is None else part.top
    assert [strip.top for strip in strips] == [
        top + sum(len(s.samples) for s in strips[:n]) for n in range(len(strips))
    ]
    joined: Samples = np.concatenate([strip.samples for strip in strips])
    return joined


TARGETS = [Target(), Target(scale=2), Target(scale=3), Target(scale=4), Target(scale=1.7), Target(scale=6)]


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(40, 260),
    width=st.integers(1, 90),
    tile=st.integers(32, 64),
    share=st.floats(0, 0.5),
    count=st.integers(2, 9),
    target=st.sampled_from([*TARGETS, Target(height=301), Target(width=150)]),
    kind=st.sampled_from(["rgb", "gray", "rgba", "bicubic", "16 bit", "ensemble"]),
)
@example(height=161, width=14, tile=48, share=0.25, count=2, target=Target(scale=4), kind="16 bit")
def test_parts_together_are_the_whole(
    height: int, width: int, tile: int, share: float, count: int, target: Target, kind: str
) -> None:
    pixels = noise(height, width, 1 if kind == "gray" else 3, bits=16 if kind == "16 bit" else 8)
    has_alpha = kind in ("rgba", "bicubic")
    picture = Picture(pixels, alpha=noise(height, width, 1)[..., 0] if has_alpha else None)
    alpha = "bicubic" if kind == "bicubic" else "model"
    chosen = Settings(tile=tile, overlap=int(share * tile), alpha=alpha, ensemble=kind == "ensemble")
    upscaler = Upscaler({2: Swayed(2), 3: Swayed(3)}, choice=CPU, settings=chosen)
    assume((target.factor(width, height) or 1) <= 16)
    whole = samples_of(upscaler, picture, target)
    parts = upscaler.parts(picture, target, count=count)
    assert len(parts) <= count
    assume(parts)
    assert [part.top for part in parts] == [0, *(part.bottom for part in parts[:-1])]
    assert parts[-1].bottom == len(whole)
    for part in parts:
        assert np.array_equal(samples_of(upscaler, picture, target, part), whole[part.top : part.bottom])


@pytest.mark.parametrize("target", [Target(scale=2), Target(scale=3)])
def test_parts_of_a_real_network_together_are_the_whole(target: Target) -> None:
    upscaler = Upscaler({2: lively(tiny())}, choice=CPU, settings=Settings(tile=32, overlap=8))
    picture = Picture(noise(150, 40, 3))
    whole = samples_of(upscaler, picture, target)
    parts = upscaler.parts(picture, target, count=3)
    assert len(parts) == 3
    made = [samples_of(upscaler, picture, target, part) for part in reversed(parts)]
    assert np.array_equal(np.concatenate(made[::-1]), whole)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_part_costs_one_row_of_tiles_more_than_it_keeps(count: int) -> None:
    counted: list[int] = []
    upscaler = Upscaler({2: Swayed(2, counted)}, choice=CPU, settings=Settings(tile=64, overlap=16))
    picture = Picture(noise(1000, 64, 3))
    samples_of(upscaler, picture, Target())
    alone = len(counted)
    counted.clear()
    parts = upscaler.parts(picture, Target(), count=count)
    assert len(parts) == count
    for part in parts:
        samples_of(upscaler, picture, Target(), part)
    assert len(counted) == alone + count - 1
    assert upscaler.parts(picture, Target(), count=1000)[0].bottom >= FEWEST_TILE_ROWS * 48


@pytest.mark.parametrize("tile", ["off", "auto", 256])
def test_what_is_one_row_of_tiles_is_made_whole(tile: str) -> None:
    chosen = Settings(tile=tile)  # type: ignore[arg-type]
    upscaler = Upscaler({2: Swayed(2)}, choice=CPU, settings=chosen)
    assert upscaler.parts(Picture(noise(200, 300, 3)), Target(), count=4) == ()
    assert upscaler.parts(Picture(noise(200, 300, 3)), Target(width=100), count=4) == ()


def test_a_part_for_which_memory_does_not_last_is_not_made_from_other_tiles() -> None:
    class Starved(Swayed):
        def forward(self, image: Tensor) -> Tensor:
            raise RuntimeError("not enough memory: you tried to allocate 99 bytes")

    picture, chosen = Picture(noise(300, 40, 3)), Settings(tile=64, overlap=16)
    (first, *_) = Upscaler({2: Swayed(2)}, choice=CPU, settings=chosen).parts(picture, Target(), count=2)
    with pytest.raises(MemoryLimitError, match="a part of a picture"):
        list(Upscaler({2: Starved(2)}, choice=CPU, settings=chosen).stream(picture, Target(), part=first))


def test_a_part_tells_its_own_progress_from_nothing_to_all() -> None:
    upscaler = Upscaler({2: Swayed(2)}, choice=CPU, settings=Settings(tile=64, overlap=16))
    picture = Picture(noise(600, 64, 3))
    for part in upscaler.parts(picture, Target(), count=3):
        done = [event.done for event in upscaler.stream(picture, Target(), part=part) if isinstance(event, Progress)]
        assert done == sorted(done)
        assert done[0] < 0.5
        assert done[-1] == pytest.approx(1)
