"""The data flow from a Picture to a larger one: the whole image when it fits, tiles when it does not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hatcli.errors import HatError, MemoryLimitError, UsageError
from hatcli.image import convert
from hatcli.image.convert import Readable
from hatcli.image.picture import Picture, Samples, split_alpha, with_pixels
from hatcli.models.opening import Auto, Model
from hatcli.upscaling import ensemble, tiling
from hatcli.upscaling.colors import keep_means_
from hatcli.upscaling.device import DeviceChoice, choose, exact_products, free_memory
from hatcli.upscaling.memory import (
    EASY_BYTES,
    LARGEST_WHOLE,
    SHARE_OF_FREE,
    SMALLEST_TILE,
    is_out_of_memory,
    largest_tile,
    run_bytes,
    window_of,
)
from hatcli.upscaling.progress import Progress, Report, mapped, pass_shares
from hatcli.upscaling.rows import (
    Rows,
    SampleRows,
    Source,
    StreamedRows,
    Strip,
    collected,
    resized,
    rounded,
    with_alpha,
)
from hatcli.upscaling.size import SizePlan, Target, plan_size
from hatcli.upscaling.transparency import bleed

ALPHA_MODES = ("model", "bicubic", "drop")


@dataclass(frozen=True)
class Settings:
    """How pictures are run.

    Attributes:
        tile: side of a tile in input pixels; None: by free memory, the whole image if it fits; 0: never tiles.
        overlap: least overlap of neighbouring tiles in input pixels.
        ensemble: average the eight flips and turns.
        alpha: `model` (transparency goes through the network), `bicubic` or `drop`.
        keep_color: put the low frequencies of the input back, where the network made a region lighter or darker.
        max_memory: bytes a run may take, None: most of what is free.
    """

    tile: int | None = None
    overlap: int = 32
    ensemble: bool = False
    alpha: str = "model"
    keep_color: bool = False
    max_memory: int | None = None

    def __post_init__(self) -> None:
        if self.tile is not None and self.tile != 0 and self.tile < SMALLEST_TILE:
            raise UsageError(
                f"--tile {self.tile} is too small", hint=f"at least {SMALLEST_TILE}, or 'auto', or 'off' for none"
            )
        if self.overlap < 0:
            raise UsageError("--overlap cannot be negative", hint="32 is a good overlap")
        if self.tile and self.overlap > self.tile // 2:
            raise UsageError(
                f"--overlap {self.overlap} is more than half of --tile {self.tile}", hint="32 is a good overlap"
            )
        if self.alpha not in ALPHA_MODES:
            raise UsageError(f"there is no --alpha {self.alpha}", hint=f"use {', '.join(ALPHA_MODES)}")


@dataclass(frozen=True)
class _Pass:
    """One run of a network over a picture: its factor and precision, the bytes its result will hold on the CPU
    meanwhile, and where its progress goes."""

    scale: int
    dtype: torch.dtype
    held: int
    report: Callable[[Progress], Progress]


@dataclass
class _Frontier:
    """How far the rows of a pass have come: the input row the next strip starts at, and the rows waiting to blend."""

    top: int = 0
    pending: Tensor | None = None
    done: float = 0.0


class Upscaler:
    """One model, or `auto`, on a device: pictures in, larger pictures out.

    Args:
        networks: native factor to network: `[1, 3, H, W]` in 0..1 to `[1, 3, s*H, s*W]`; HAT, or anything like it; or
            `Auto`, which has other ones for other pictures.
        choice: device and precision; None: chosen here.
        settings: tiles, memory, self-ensemble, transparency.
        target: how large pictures become where nothing else is said.
    """

    def __init__(
        self,
        networks: Mapping[int, nn.Module] | Auto,
        *,
        choice: DeviceChoice | None = None,
        settings: Settings | None = None,
        target: Target | None = None,
    ) -> None:
        self.choice = choice or choose()
        self.settings = settings or Settings()
        self.target = target or Target()
        self._auto = networks if isinstance(networks, Auto) else None
        self._masters = networks.usual((target or Target()).scale) if isinstance(networks, Auto) else networks
        if not self._masters:
            raise ValueError("an Upscaler needs at least one network")
        self._by_model: dict[str, Upscaler] = {}  # for `auto`
        self._working: dict[tuple[int, torch.dtype], nn.Module] = {}
        self._tile: dict[int, int] = {}  # sides that memory was found to allow

    @property
    def model(self) -> Model | None:
        """The model its networks are of, for clean pictures if it is `auto`; None for networks without a name."""
        return self._masters if isinstance(self._masters, Model) else None

    @property
    def native(self) -> tuple[int, ...]:
        """The factors the model has networks for."""
        return tuple(sorted(self._masters))

    def network(self, scale: int) -> nn.Module:
        """The network of a native factor, as it was given."""
        return self._masters[scale]

    def suited(self, width: int, height: int, *, jpeg_quality: int | None, target: Target | None = None) -> Upscaler:
        """The one for a picture: itself, unless it is `auto`; then that of the model for this picture.

        Args:
            width, height: of the picture, in pixels.
            jpeg_quality: as in `Picture.jpeg_quality`.
        """
        if self._auto is None:
            return self
        model = self._auto.suited(jpeg_quality=jpeg_quality, factor=(target or self.target).factor(width, height))
        if model.name not in self._by_model:
            self._by_model[model.name] = Upscaler(model, choice=self.choice, settings=self.settings, target=self.target)
        return self._by_model[model.name]

    def plan(self, width: int, height: int, target: Target | None = None) -> SizePlan:
        """Passes and final size for a picture of this size."""
        return plan_size(width, height, target or self.target, native=self.native)

    def upscale_file(
        self, source: str | Path, output: str | Path, target: Target | None = None, *, overwrite: bool = False
    ) -> Path:
        """Read a picture, enlarge it and write it; the output's suffix decides the format.

        Raises:
            HatError: whatever went wrong, in a line.
        """
        return self.upscale(source, target).save(output, overwrite=overwrite)

    def upscale(
        self, image: Readable, target: Target | None = None, *, on_progress: Callable[[Progress], object] | None = None
    ) -> Picture:
        """Enlarge a picture, with the same depth, profile and metadata.

        Args:
            image: a file's name, a Pillow image, an array `[H, W]` or `[H, W, C]` of uint8 or uint16, or a `Picture`.
            target: how large it becomes; None: as said to this Upscaler, else the model's own factor.
            on_progress: called with the state of the work many times.

        Raises:
            HatError: whatever went wrong, in a line.
        """
        steps = self.steps(convert.picture(image), target)
        while True:
            try:
                progress = next(steps)
            except StopIteration as finished:
                result: Picture = finished.value
                return result
            if on_progress is not None:
                on_progress(progress)

    def steps(self, picture: Picture, target: Target | None = None) -> Generator[Progress, None, Picture]:
        """`upscale` as a generator: yields progress and returns the result; closing it ends the work.

        Raises:
            MemoryLimitError: memory ran out even with the smallest tile.
            HatError: the network's result is not finite.
        """
        suited = self._suited(picture, target)
        height = suited.plan(picture.width, picture.height, target).height
        samples = yield from collected(suited._stream(picture, target, is_kept=True), height=height)
        if not self.keeps_alpha(picture):
            return with_pixels(picture, samples, None)
        return with_pixels(picture, *split_alpha(samples))

    def stream(self, picture: Picture, target: Target | None = None) -> Iterator[Progress | Strip]:
        """`steps` for results too large for memory: the rows come as they are finished, from the top to the bottom,
        alpha as their last channel if `keeps_alpha`."""
        return self._suited(picture, target)._stream(picture, target, is_kept=False)

    def _suited(self, picture: Picture, target: Target | None) -> Upscaler:
        return self.suited(picture.width, picture.height, jpeg_quality=picture.jpeg_quality, target=target)

    def notes(self, width: int, height: int, bits: int, target: Target | None = None) -> tuple[str, ...]:
        """What people should hear about a picture of this size and depth beside its result, a sentence each."""
        plan = self.plan(width, height, target)
        if not plan.passes:
            done = "made smaller" if plan.width < width or plan.height < height else "as large as asked for already"
            return (f"{done}: {width} x {height} to {plan.width} x {plan.height}, without the network",)
        if self.choice.dtype_for(bits) != self.choice.dtype:
            return (f"{bits} bits a sample: computed in fp32, {self.choice.precision} would lose most of them",)
        return ()

    def keeps_alpha(self, picture: Picture) -> bool:
        """Whether the result has transparency."""
        return picture.alpha is not None and self.settings.alpha != "drop"

    def _stream(self, picture: Picture, target: Target | None, *, is_kept: bool) -> Iterator[Progress | Strip]:
        plan = self.plan(picture.width, picture.height, target)
        alpha = picture.alpha if self.keeps_alpha(picture) else None
        if alpha is None:
            report = Report(pass_shares(plan.passes))
            stream = self._passes(picture.pixels, plan, report, is_kept=is_kept)
            yield from rounded(stream, bits=picture.bits, gray=picture.is_gray)
            return
        through_network = self.settings.alpha == "model" and bool((alpha != alpha.flat[0]).any())
        shares = pass_shares(plan.passes)
        report = Report([share / 2 for share in shares] * 2 if through_network else shares)
        colors = self._passes(bleed(picture.pixels, alpha), plan, report, is_kept=is_kept)
        if through_network:
            planes = self._passes(alpha, plan, report, is_kept=is_kept, first=len(shares))
        else:
            planes = resized(SampleRows(alpha), height=plan.height, width=plan.width)
        yield from with_alpha(
            rounded(colors, bits=picture.bits, gray=picture.is_gray), rounded(planes, bits=picture.bits, gray=True)
        )

    def _passes(
        self, samples: Samples, plan: SizePlan, report: Report, *, is_kept: bool, first: int = 0
    ) -> Iterator[Progress | Rows]:
        """All passes and the final reduction of one set of planes, each working on the rows the one before has made.

        `first` is the number in the report of the first of them; `is_kept` says that the result stays in memory.
        """
        source: Source = SampleRows(samples)
        held = (6 if samples.dtype == np.uint8 else 12) * plan.height * plan.width if is_kept else 0
        for number, scale in enumerate(plan.passes):
            dtype = self.choice.dtype_for(8 * samples.itemsize)
            stream = self._enlarge(source, _Pass(scale, dtype, held, partial(report.at, first + number)))
            source = StreamedRows(stream, height=source.height * scale, width=source.width * scale)
        if isinstance(source, StreamedRows) and (source.height, source.width) == (plan.height, plan.width):
            return source.stream
        return resized(source, height=plan.height, width=plan.width)

    @torch.inference_mode()
    def _enlarge(self, source: Source, run: _Pass) -> Iterator[Progress | Rows]:
        """One pass; rows leave as they are finished. Out of memory makes tiles smaller and goes on."""
        height, width = source.height, source.width
        window = window_of(self._masters[run.scale])
        frontier = _Frontier()
        tile = self._first_tile(run, height, width)
        while True:
            side = tile or max(height, width)
            overlap = min(self.settings.overlap, side // 2)
            plan = tiling.plan(height - frontier.top, width, tile=side, overlap=overlap, window=window)
            try:
                yield from self._strips(source, run, plan, frontier)
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                side = min(side, plan.rows[0].end, plan.columns[0].end)
                tile = side // 2 // 16 * 16
                if tile < SMALLEST_TILE or self.settings.tile == 0:
                    raise MemoryLimitError(
                        f"out of memory on {self.choice.device} with tiles of {side} pixels",
                        hint="close other programs, use --device cpu, or a smaller model such as -n hat-t",
                    ) from error
            if self.choice.device.type == "cuda":
                torch.cuda.empty_cache()
            self._tile[run.scale] = tile
            keep = -(-min(self.settings.overlap, tile // 2) // window) * window
            yield from _settle(frontier, keep=keep, scale=run.scale)

    def _strips(
        self, source: Source, run: _Pass, plan: tiling.TilePlan, frontier: _Frontier
    ) -> Iterator[Progress | Rows]:
        """Tiles row by row, from the frontier down; each finished strip moves the frontier."""
        scale, width, origin, before = run.scale, source.width, frontier.top, frontier.done
        strip: Tensor | None = None  # one buffer for all strips: they are large, and whoever gets rows copies them
        for place, span in enumerate(plan.rows):
            top, bottom = origin + span.start, origin + span.end
            values = yield from source.rows(top, bottom)
            if strip is None or strip.shape[1] != (bottom - top) * scale:
                strip = torch.empty(3, (bottom - top) * scale, width * scale)
            reached = 0  # input columns of the strip that hold a result
            for column, across in enumerate(plan.columns):
                number = place * len(plan.columns) + column
                steps = self._run(values[:, :, across.start : across.end], run)
                tile = yield from mapped(_tile_progress(steps, number, plan.count, before), run.report)
                overlap = reached - across.start
                tiling.blend_(strip[..., : reached * scale], tile, overlap=overlap, scale=scale, dim=2)
                strip[..., across.start * scale : across.end * scale] = tile
                reached = across.end
            if frontier.pending is not None:
                overlap = frontier.pending.shape[1] // scale
                tiling.blend_(frontier.pending, strip, overlap=overlap, scale=scale, dim=1)
            following = origin + plan.rows[place + 1].start if place + 1 < len(plan.rows) else bottom
            finished = (following - top) * scale
            yield Rows(top * scale, strip[:, :finished])
            frontier.top = following
            frontier.pending = strip[:, finished:].clone() if following < bottom else None
            frontier.done = before + (1 - before) * (place + 1) / len(plan.rows)
            source.forget(following)

    def _run(self, region: Tensor, run: _Pass) -> Generator[float, None, Tensor]:
        """The network (or its self-ensemble) on `[3, h, w]`: yields its share done, returns `[3, s*h, s*w]` on the CPU.

        A result that is not finite in bf16 is computed again in fp32.

        Raises:
            HatError: it is not finite in fp32 either.
        """
        for dtype in dict.fromkeys((run.dtype, torch.float32)):
            result = yield from self._run_in(region, run.scale, dtype)
            if bool(torch.isfinite(result).all()):
                if self.settings.keep_color:
                    keep_means_(result, region)
                return result
        raise HatError(
            "the network's result is not finite, so nothing was saved",
            hint="the weights are damaged or not meant for this: try another model, or `hat models verify`",
        )

    def _run_in(self, region: Tensor, scale: int, dtype: torch.dtype) -> Generator[float, None, Tensor]:
        network = self._network(scale, dtype)
        image = region[None].to(self.choice.device)
        if not self.settings.ensemble:
            result = yield from _forward(network, image)
            return result[0].float().cpu()
        total: Tensor | None = None
        for number in range(ensemble.COUNT):
            steps = _forward(network, ensemble.transform(image, number).contiguous())
            turned = yield from mapped(steps, partial(_eighth, number))
            output = ensemble.inverse(turned, number).float()
            total = output.clone() if total is None else total.add_(output)
        assert total is not None
        return total.div_(ensemble.COUNT)[0].cpu()

    def _network(self, scale: int, dtype: torch.dtype) -> nn.Module:
        """The network of a factor on the device in a precision; made once."""
        key = (scale, dtype)
        if key not in self._working:
            master = self._masters[scale].eval()
            stays = self.choice.device.type == "cpu" and dtype == torch.float32
            self._working[key] = master if stays else copy.deepcopy(master).to(self.choice.device, dtype)
        return self._working[key]

    def _first_tile(self, run: _Pass, height: int, width: int) -> int:
        """Side of the tiles to start with; 0: the whole image."""
        scale = run.scale
        if self.settings.tile is not None:
            fits = self.settings.tile == 0 or max(height, width) <= self.settings.tile
            return 0 if fits else min(self.settings.tile, self._tile.get(scale, self.settings.tile))
        on_cpu = self.choice.device.type == "cpu"
        budget = int(free_memory(self.choice.device) * SHARE_OF_FREE) - (run.held if on_cpu else 0)
        if self.settings.max_memory is not None:
            budget = min(budget, self.settings.max_memory - (run.held if on_cpu else 0))
        elif on_cpu and height * width > LARGEST_WHOLE:
            budget = min(budget, EASY_BYTES)
        bytes_for = partial(
            run_bytes,
            self._masters[scale],
            device=self.choice.device,
            dtype=run.dtype,
            ensemble=self.settings.ensemble,
        )
        if bytes_for(height, width) <= budget and scale not in self._tile:
            return 0
        strip_row = 24 * width * scale**2 if on_cpu else 0  # bytes a row of tiles takes: it is blended with the next
        side = largest_tile(bytes_for, budget, row_bytes=strip_row)
        side = min(side, self._tile.get(scale, 1 << 15))
        return side if side < max(height, width) else 0

    def whole_bytes(self, width: int, height: int, scale: int, *, bits: int = 8) -> int:
        """Bytes a pass over a picture of this size takes if it is not cut into tiles."""
        return run_bytes(
            self._masters[scale],
            height,
            width,
            device=self.choice.device,
            dtype=self.choice.dtype_for(bits),
            ensemble=self.settings.ensemble,
        )

    def tiles(self, width: int, height: int, scale: int, *, bits: int = 8) -> int:
        """How many tiles a pass over a picture of this size takes with the memory that is free now."""
        return self.tile_plan(width, height, scale, bits=bits).count

    def tile_plan(self, width: int, height: int, scale: int, *, bits: int = 8) -> tiling.TilePlan:
        """The tiles of a pass over a picture of this size with the memory that is free now."""
        held = (6 if bits == 8 else 12) * height * width * scale**2
        run = _Pass(scale, self.choice.dtype_for(bits), held, report=lambda progress: progress)
        side = self._first_tile(run, height, width) or max(height, width)
        overlap = min(self.settings.overlap, side // 2)
        window = window_of(self._masters[scale])
        return tiling.plan(height, width, tile=side, overlap=overlap, window=window)


def _forward(network: nn.Module, image: Tensor) -> Generator[float, None, Tensor]:
    """One forward pass without gradients; a network that can report its steps does."""
    steps: Callable[[Tensor], Generator[None, None, Tensor]] | None = getattr(network, "steps", None)
    if steps is None:
        with torch.inference_mode(), exact_products():
            whole: Tensor = network(image)
        return whole
    count = int(getattr(network, "num_steps", 1))
    running = steps(image)
    for done in range(1, count + 1):
        with exact_products():
            next(running)
        yield done / count
    try:
        next(running)
    except StopIteration as finished:
        result: Tensor = finished.value
        return result
    raise RuntimeError("the network took more steps than it said")


def _eighth(number: int, done: float) -> float:
    """Progress of one of the ensemble's runs as progress of all."""
    return (number + done) / ensemble.COUNT


def _tile_progress(
    steps: Generator[float, None, Tensor], number: int, count: int, before: float
) -> Generator[Progress, None, Tensor]:
    """A tile's own progress as progress of its pass, of which `before` was done by larger tiles."""

    def progress(done: float) -> Progress:
        return Progress(before + (1 - before) * (number + done) / count, number + 1, count)

    tile = yield from mapped(steps, progress)
    yield progress(1.0)
    return tile


def _settle(frontier: _Frontier, *, keep: int, scale: int) -> Iterator[Rows]:
    """Before tiles get smaller: of the rows waiting to blend, at most `keep` go on waiting; the others are final."""
    if frontier.pending is None:
        return
    final = frontier.pending.shape[1] // scale - keep
    if final > 0:
        yield Rows(frontier.top * scale, frontier.pending[:, : final * scale])
        frontier.pending = frontier.pending[:, final * scale :]
        frontier.top += final
