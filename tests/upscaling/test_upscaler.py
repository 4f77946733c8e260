"""Pictures through an Upscaler: tiles without a trace, memory that runs out, results that are not finite."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.networks import lively, tiny
from torch import Tensor, nn

from hatcli.engine.hat import BandedHAT
from hatcli.engine.workers import torch_threads
from hatcli.errors import HatError, MemoryLimitError, UsageError
from hatcli.image.picture import Picture, Samples, to_tensor
from hatcli.image.resample import resize_tensor
from hatcli.network.hat import HAT
from hatcli.upscaling.device import DeviceChoice
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.rows import Rows, SampleRows, StreamedRows, Strip, resized
from hatcli.upscaling.settings import Settings, Tile
from hatcli.upscaling.size import Target
from hatcli.upscaling.transparency import bleed
from hatcli.upscaling.upscaler import Upscaler

CPU = DeviceChoice(torch.device("cpu"), torch.float32, "for a test")
CPU_BF16 = DeviceChoice(torch.device("cpu"), torch.bfloat16, "for a test")


def nearest(scale: int) -> nn.Module:
    return nn.Upsample(scale_factor=scale)


def noise(height: int, width: int, *, channels: int = 3, bits: int = 8) -> Samples:
    random = np.random.default_rng(height * 1000 + width)
    if bits == 16:
        return random.integers(0, 1 << 16, (height, width, channels), dtype=np.uint16)
    return random.integers(0, 256, (height, width, channels), dtype=np.uint8)


def repeated(pixels: Samples, scale: int) -> Samples:
    result: Samples = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    return result


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (17, 33), (64, 5), (500, 333)])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("tile", ["off", 32, 64, 100])
def test_tiles_leave_no_trace_and_samples_are_exact(height: int, width: int, bits: int, tile: Tile) -> None:
    pixels = noise(height, width, bits=bits)
    upscaler = Upscaler({2: nearest(2)}, choice=CPU, settings=Settings(tile=tile, overlap=16))
    result = upscaler.upscale(Picture(pixels))
    assert result.pixels.dtype == pixels.dtype
    assert np.array_equal(result.pixels, repeated(pixels, 2))


def test_gray_stays_gray() -> None:
    pixels = noise(9, 7, channels=1)
    result = Upscaler({3: nearest(3)}, choice=CPU).upscale(Picture(pixels))
    assert np.array_equal(result.pixels, repeated(pixels, 3))


def test_profile_metadata_and_resolution_travel_along() -> None:
    picture = Picture(noise(4, 4), icc=b"icc", exif=b"exif", xmp=b"xmp", dpi=(72.0, 72.0), format="TIFF", notes=("n",))
    result = Upscaler({2: nearest(2)}, choice=CPU).upscale(picture)
    kept = ("icc", "exif", "xmp", "dpi", "format", "notes")
    assert all(getattr(result, name) == getattr(picture, name) for name in kept)


def test_tiles_of_a_real_network_differ_little_and_not_more_at_borders() -> None:
    network = lively(tiny(upscale=2))
    with torch.no_grad():
        network.conv_last.weight.mul_(0.02)
        network.conv_last.bias.zero_()  # type: ignore[union-attr]
    smooth = repeated(noise(8, 12), 12)
    whole = (
        Upscaler({2: network}, choice=CPU, settings=Settings(tile="off")).upscale(Picture(smooth)).pixels.astype(int)
    )
    settings = Settings(tile=64, overlap=32)
    tiled = Upscaler({2: network}, choice=CPU, settings=settings).upscale(Picture(smooth)).pixels.astype(int)
    assert np.abs(whole - tiled).mean() < 1


@pytest.mark.parametrize("window", [4, 8])
@pytest.mark.parametrize(("height", "width", "tile"), [(96, 70, 48), (61, 130, 64), (200, 40, 32)])
def test_tiles_see_the_windows_of_the_whole_picture(
    window: int, height: int, width: int, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: set[tuple[int, int]] = set()
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(height)[:, None], np.arange(width)  # each pixel says where it is

    really = BandedHAT.steps

    def looking(self: BandedHAT, image: Tensor) -> Generator[float, None, Tensor]:
        top, left = (image[0, :2, 0, 0] * 255).round().int().tolist()
        starts.add((top, left))
        return really(self, image)

    monkeypatch.setattr(BandedHAT, "steps", looking)
    Upscaler({2: HAT(tiny(window_size=window))}, choice=CPU, settings=Settings(tile=tile, overlap=12)).upscale(
        Picture(pixels)
    )
    assert len(starts) > 1
    assert all(top % window == 0 and left % window == 0 for top, left in starts)


def test_progress_rises_to_one_and_counts_tiles() -> None:
    upscaler = Upscaler({2: lively(tiny())}, choice=CPU, settings=Settings(tile=32, overlap=8))
    events: list[Progress] = list(upscaler.steps(Picture(noise(70, 40))))
    shares = [event.done for event in events]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert {event.tile for event in events} == set(range(1, events[0].tiles + 1))


def test_two_passes_reach_factors_beyond_the_largest_native_one() -> None:
    pixels = noise(5, 6)
    result = Upscaler({2: nearest(2), 3: nearest(3)}, choice=CPU).upscale(Picture(pixels), Target(scale=6))
    assert np.array_equal(result.pixels, repeated(pixels, 6))


@pytest.mark.parametrize(("target", "size"), [(Target(scale=2.5), (25, 50)), (Target(width=37), (18, 37))])
def test_other_factors_are_reduced_once_to_the_exact_size(target: Target, size: tuple[int, int]) -> None:
    flat = Picture(np.full((10, 20, 3), 77, dtype=np.uint8))
    result = Upscaler({4: nearest(4)}, choice=CPU).upscale(flat, target)
    assert result.pixels.shape[:2] == size
    assert (result.pixels == 77).all()


def test_a_picture_that_is_large_enough_is_only_reduced() -> None:
    result = Upscaler({4: nearest(4)}, choice=CPU).upscale(Picture(noise(40, 80)), Target(width=20))
    assert result.pixels.shape == (10, 20, 3)


def test_self_ensemble_of_a_symmetric_network_changes_nothing_and_runs_it_eight_times() -> None:
    calls = []

    class Counting(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            calls.append(tuple(image.shape[-2:]))
            return image.repeat_interleave(2, -1).repeat_interleave(2, -2)

    pixels = noise(6, 10)
    upscaler = Upscaler({2: Counting()}, choice=CPU, settings=Settings(ensemble=True))
    assert np.array_equal(upscaler.upscale(Picture(pixels)).pixels, repeated(pixels, 2))
    assert sorted(calls) == [(6, 10)] * 4 + [(10, 6)] * 4


class Choking(nn.Module):
    """Runs out of memory on anything with more than `limit` pixels."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.done = limit, 0

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-1] * image.shape[-2] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.done += image.shape[-1] * image.shape[-2]
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2)


def test_out_of_memory_makes_tiles_smaller_and_the_result_stays_exact() -> None:
    pixels = noise(200, 150)
    upscaler = Upscaler({2: Choking(64 * 64)}, choice=CPU)
    assert np.array_equal(upscaler.upscale(Picture(pixels)).pixels, repeated(pixels, 2))


def test_memory_that_runs_out_half_way_keeps_the_finished_rows() -> None:
    class Tiring(Choking):
        def forward(self, image: Tensor) -> Tensor:
            result = super().forward(image)
            if self.done > 128 * 100 * 8:
                self.limit = 64 * 64
            return result

    pixels = noise(1000, 100)
    network = Tiring(128 * 128)
    upscaler = Upscaler({2: network}, choice=CPU, settings=Settings(tile=128, overlap=32))
    assert np.array_equal(upscaler.upscale(Picture(pixels)).pixels, repeated(pixels, 2))
    assert network.done < 250_000  # from the start again it would be over 350,000


def test_out_of_memory_at_the_smallest_tile_is_exit_code_4() -> None:
    with pytest.raises(MemoryLimitError) as caught:
        Upscaler({2: Choking(10)}, choice=CPU).upscale(Picture(noise(100, 100)))
    assert caught.value.exit_code == 4


def test_other_errors_of_a_network_are_not_taken_for_memory() -> None:
    class Broken(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        Upscaler({2: Broken()}, choice=CPU).upscale(Picture(noise(4, 4)))


class Overflowing(nn.Module):
    """Not finite in bf16, or always."""

    def __init__(self, *, always: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.always = always

    def forward(self, image: Tensor) -> Tensor:
        bad = self.always or self.weight.dtype == torch.bfloat16
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2) * (torch.nan if bad else 1)


def test_a_result_that_is_not_finite_in_bf16_is_computed_again_in_fp32() -> None:
    pixels = noise(8, 8)
    result = Upscaler({2: Overflowing(always=False)}, choice=CPU_BF16).upscale(Picture(pixels))
    assert np.array_equal(result.pixels, repeated(pixels, 2))


def test_a_result_that_is_never_finite_is_an_error() -> None:
    with pytest.raises(HatError, match="not finite"):
        Upscaler({2: Overflowing(always=True)}, choice=CPU).upscale(Picture(noise(8, 8)))


class Recording(nn.Module):
    """Enlarges by repeating; notes the precision of its weights and what PyTorch may do to products meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.seen: set[tuple[torch.dtype, bool, bool]] = set()

    def __deepcopy__(self, memo: dict[int, object]) -> Recording:
        other = Recording()
        other.seen = self.seen
        return other

    def forward(self, image: Tensor) -> Tensor:
        backends = torch.backends
        self.seen.add((self.weight.dtype, backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32))
        return image.repeat_interleave(2, -1).repeat_interleave(2, -2)


def test_fp32_is_exact_on_cards_too_without_being_told() -> None:
    network = Recording()
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        Upscaler({2: network}, choice=CPU).upscale(Picture(noise(8, 8)))
        assert torch.backends.cudnn.allow_tf32  # other programs in this process keep their setting
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert network.seen == {(torch.float32, False, False)}


def test_16_bits_run_in_fp32_and_8_bits_in_what_was_asked_for() -> None:
    network = Recording()
    upscaler = Upscaler({2: network}, choice=CPU_BF16)
    ramp = np.linspace(0, 65535, 4096).astype(np.uint16).reshape(64, 64, 1)
    deep = upscaler.upscale(Picture(ramp))
    assert {dtype for dtype, _, _ in network.seen} == {torch.float32}
    assert len(np.unique(deep.pixels)) == 4096
    upscaler.upscale(Picture(noise(8, 8)))
    assert {dtype for dtype, _, _ in network.seen} == {torch.float32, torch.bfloat16}
    assert "computed in fp32" in upscaler.notes(64, 64, 16)[0]
    assert upscaler.notes(8, 8, 8) == ()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target(width=40), ("made smaller: 69 x 46 to 40 x 27, without the network",)),
        (Target(width=69), ("as large as asked for already: 69 x 46 to 69 x 46, without the network",)),
        (Target(width=100), ()),
        (Target(), ()),
    ],
)
def test_a_result_that_is_not_larger_is_said_to_be_so(target: Target, said: tuple[str, ...]) -> None:
    assert Upscaler({2: nearest(2)}, choice=CPU).notes(69, 46, 8, target) == said


@pytest.mark.parametrize("tile", ["off", 32])
def test_colour_that_drifts_is_put_right_if_asked_for(tile: Tile) -> None:
    class Drifting(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.repeat_interleave(2, -1).repeat_interleave(2, -2) + 0.02

    pixels = noise(70, 50) // 2 + 60
    settings = Settings(tile=tile, overlap=16)
    drifted = Upscaler({2: Drifting()}, choice=CPU, settings=settings).upscale(Picture(pixels)).pixels
    assert drifted.mean() - pixels.mean() > 4
    settings = replace(settings, keep_color=True)
    kept = Upscaler({2: Drifting()}, choice=CPU, settings=settings).upscale(Picture(pixels)).pixels
    assert np.array_equal(kept, repeated(pixels, 2))


def test_transparency_goes_through_the_network_and_hidden_colour_does_not_leak() -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:, :4] = (200, 100, 50)
    alpha = np.zeros((8, 8), dtype=np.uint8)
    alpha[:, :4] = 255

    class Blurring(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return nn.functional.interpolate(image, scale_factor=2, mode="bicubic")

    result = Upscaler({2: Blurring()}, choice=CPU).upscale(Picture(pixels, alpha))
    assert result.alpha is not None
    assert result.alpha.shape == (16, 16)
    visible = result.alpha > 0
    assert np.abs(result.pixels[visible].astype(int) - (200, 100, 50)).max() <= 1
    assert {0, 255} < set(result.alpha.flatten().tolist())


@pytest.mark.parametrize(("mode", "runs"), [("model", 2), ("bicubic", 1), ("drop", 1)])
def test_alpha_modes(mode: str, runs: int) -> None:
    network = Choking(10**9)
    alpha = np.tile(np.arange(8, dtype=np.uint8), (8, 1))
    settings = Settings(alpha=mode)
    result = Upscaler({2: network}, choice=CPU, settings=settings).upscale(Picture(noise(8, 8), alpha))
    assert network.done == 64 * runs
    assert (result.alpha is None) == (mode == "drop")


def test_uniform_transparency_costs_no_second_run() -> None:
    network = Choking(10**9)
    alpha = np.full((8, 8), 128, dtype=np.uint8)
    result = Upscaler({2: network}, choice=CPU).upscale(Picture(noise(8, 8), alpha))
    assert network.done == 64
    assert result.alpha is not None
    assert (result.alpha == 128).all()


def test_bleeding_fills_hidden_pixels_only() -> None:
    pixels = noise(9, 13)
    alpha = np.zeros((9, 13), dtype=np.uint8)
    alpha[4, 6] = 255
    filled = bleed(pixels, alpha)
    assert (filled == pixels[4, 6]).all()
    assert np.array_equal(bleed(pixels, np.zeros_like(alpha)), pixels)


@pytest.mark.parametrize(
    "values",
    [{"tile": 8}, {"tile": 0}, {"tile": "whole"}, {"overlap": -1}, {"tile": 64, "overlap": 40}, {"alpha": "none"}],
)
def test_impossible_settings_are_usage_errors(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Settings(**values)  # type: ignore[arg-type]


def test_a_memory_limit_below_the_smallest_tile_is_refused_with_what_is_needed() -> None:
    starved = Upscaler({2: lively(tiny())}, choice=CPU, settings=Settings(max_memory=1000))
    with pytest.raises(MemoryLimitError, match="less than one tile of 32 pixels") as caught:
        starved.upscale(Picture(noise(90, 70)))
    assert caught.value.hint is not None
    least = int(caught.value.hint.split()[-1].removesuffix("MB"))
    enough = Upscaler({2: lively(tiny())}, choice=CPU, settings=Settings(max_memory=least * 10**6))
    assert enough.upscale(Picture(noise(90, 70))).pixels.shape == (180, 140, 3)


def test_little_memory_means_small_tiles_and_the_same_picture() -> None:
    network = lively(tiny())
    pixels = noise(90, 70)
    room = BandedHAT(network, device=CPU.device, dtype=CPU.dtype).peak_bytes(48, 48)
    tight = Upscaler({2: network}, choice=CPU, settings=Settings(max_memory=room))
    assert tight.tiles(70, 90, 2) > 1
    assert Upscaler({2: network}, choice=CPU).tiles(70, 90, 2) == 1
    assert tight.upscale(Picture(pixels)).pixels.shape == (180, 140, 3)


@pytest.fixture(autouse=True)
def _few_threads() -> Iterator[None]:
    with torch_threads(1):
        yield


@pytest.mark.parametrize("target", [Target(), Target(scale=4), Target(scale=3), Target(width=77), Target(scale=1.3)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", ["model", "bicubic"])
def test_rows_as_they_are_finished_are_the_same_picture(
    target: Target, channels: int, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatcli.upscaling.rows._RESIZED_PIXELS", 16)
    picture = Picture(noise(150, 90, channels=channels), alpha=noise(150, 90, channels=1)[..., 0])
    settings = Settings(tile=32, overlap=8, alpha=alpha)
    upscaler = Upscaler({2: nearest(2)}, choice=CPU, settings=settings)
    whole = upscaler.upscale(picture, target)
    strips = [event for event in upscaler.stream(picture, target) if isinstance(event, Strip)]
    assert [strip.top for strip in strips] == list(np.cumsum([0, *(len(strip.samples) for strip in strips)]))[:-1]
    rows = np.concatenate([strip.samples for strip in strips])
    assert np.array_equal(rows[..., :-1], whole.pixels)
    assert whole.alpha is not None
    assert np.array_equal(rows[..., -1], whole.alpha)
    assert len(strips) > 3  # they do not come all at once


def test_only_rows_that_are_still_needed_are_kept() -> None:
    picture = Picture(noise(2000, 20))
    upscaler = Upscaler({2: nearest(2)}, choice=CPU, settings=Settings(tile=32, overlap=8))
    asked: list[int] = []

    class Watched(StreamedRows):
        def forget(self, top: int) -> None:
            super().forget(top)
            asked.append(sum(values.shape[1] for _, values in self._kept))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hatcli.upscaling.passes.StreamedRows", Watched)
        for event in upscaler.stream(picture, Target(scale=4)):
            assert not isinstance(event, Strip) or len(event.samples) < 600
    assert len(asked) > 50
    assert max(asked) < 200  # of 4000 rows between the passes


def test_resizing_in_bands_equals_resizing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = noise(301, 40)
    expected = resize_tensor(to_tensor(values), height=117, width=90)
    monkeypatch.setattr("hatcli.upscaling.rows._RESIZED_PIXELS", 16)
    rows = [event for event in resized(SampleRows(values), height=117, width=90) if isinstance(event, Rows)]
    assert len(rows) > 5
    assert (torch.cat([row.values for row in rows], dim=1) - expected).abs().max() < 1e-6


def test_on_a_cpu_a_large_picture_runs_in_tiles_and_full_hd_runs_whole() -> None:
    network = lively(tiny(upscale=2))
    upscaler = Upscaler({2: network}, choice=CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hatcli.upscaling.tile_loop.free_memory", lambda device: 16 << 30)
        assert upscaler.tiles(1920, 1080, 2) == 1
        assert upscaler.tiles(8000, 6000, 2) > 1
        generous = Upscaler({2: network}, choice=CPU, settings=Settings(max_memory=12 << 30))
        assert generous.tiles(2400, 1800, 2) == 1
