"""The way from a Picture to a larger one: planned, run through the network pass by pass, made a Picture again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

from torch import nn

from hatcli.image import convert
from hatcli.image.convert import Readable
from hatcli.image.picture import Picture, split_alpha, with_pixels
from hatcli.models.opening import Auto, Model
from hatcli.progress import drive
from hatcli.upscaling.device import DeviceChoice, choose
from hatcli.upscaling.networks import Networks
from hatcli.upscaling.parts import Part
from hatcli.upscaling.passes import enlarged, parts_of, result_bytes
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.rows import Strip, collected
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.size import SizePlan, Target, plan_size
from hatcli.upscaling.tile_loop import Pass, TileLoop
from hatcli.upscaling.tiling import TilePlan


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
        self._masters = networks.usual(self.target.scale) if isinstance(networks, Auto) else networks
        if not self._masters:
            raise ValueError("an Upscaler needs at least one network")
        self._by_model: dict[str, Upscaler] = {}  # for `auto`
        self._loop = TileLoop(Networks(self._masters, self.choice, self.settings))

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
        return drive(self.steps(convert.picture(image), target), on_progress)

    def steps(self, picture: Picture, target: Target | None = None) -> Generator[Progress, None, Picture]:
        """`upscale` as a generator: yields progress and returns the result; closing it ends the work.

        Raises:
            MemoryLimitError: memory ran out even with the smallest tile.
            HatError: the network's result is not finite.
        """
        suited = self._suited(picture, target)
        plan = suited.plan(picture.width, picture.height, target)
        samples = yield from collected(enlarged(picture, plan, suited._loop, is_kept=True), height=plan.height)
        if not self.keeps_alpha(picture):
            return with_pixels(picture, samples, None)
        return with_pixels(picture, *split_alpha(samples))

    def stream(
        self, picture: Picture, target: Target | None = None, *, part: Part | None = None
    ) -> Iterator[Progress | Strip]:
        """`steps` for results too large for memory: the rows come as they are finished, from the top to the bottom,
        alpha as their last channel if `keeps_alpha`; those of a part, or all."""
        suited = self._suited(picture, target)
        plan = suited.plan(picture.width, picture.height, target)
        return enlarged(picture, plan, suited._loop, is_kept=False, part=part)

    def parts(self, picture: Picture, target: Target | None = None, *, count: int) -> tuple[Part, ...]:
        """A picture's result in at most so many parts for `stream`, which others may make; none if it has to be made
        whole."""
        suited = self._suited(picture, target)
        plan = suited.plan(picture.width, picture.height, target)
        return parts_of(picture.height, picture.width, plan, suited._loop, bits=picture.bits, count=count)

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

    def whole_bytes(self, width: int, height: int, scale: int, *, bits: int = 8) -> int:
        """Bytes a pass over a picture of this size takes if it is not cut into tiles."""
        return self._loop.networks.bytes_for(scale, self.choice.dtype_for(bits))(height, width)

    def tile_plan(self, width: int, height: int, scale: int, *, bits: int = 8) -> TilePlan:
        """The tiles of a pass over a picture of this size with the memory that is free now."""
        held = result_bytes(height * scale, width * scale, bits=bits)
        first = Pass(scale, self.choice.dtype_for(bits), held, report=lambda progress: progress)
        side = self._loop.first_side(first, height, width)
        return self._loop.plan(height, width, first, side=side)

    def tiles(self, width: int, height: int, scale: int, *, bits: int = 8) -> int:
        """How many tiles a pass over a picture of this size takes with the memory that is free now."""
        return self.tile_plan(width, height, scale, bits=bits).count
