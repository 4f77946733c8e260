"""Options that several commands take together, as dataclasses for `grouped`: how networks run, what is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console
from hatcli.cli.shared.devices import choose_device, devices_in, run_settings

if TYPE_CHECKING:
    from hatcli.upscaling.device import DeviceChoice
    from hatcli.upscaling.settings import Settings


@dataclass(frozen=True)
class Running:
    """On what, how precisely and in what pieces networks run."""

    tta: options.Ensemble = False
    device: options.Device = "auto"
    cpu: options.Cpu = False
    precision: options.Precision = "auto"
    fp32: options.Fp32 = False
    tile: options.Tile = "auto"
    overlap: options.Overlap = 32
    tile_pad: options.TilePad = None
    max_memory: options.MaxMemory = None
    threads: options.Threads = None

    def settings(self, *, alpha: str = "drop", keep_color: bool = False) -> Settings:
        """Settings of an Upscaler."""
        return run_settings(
            self.tile,
            overlap=self.overlap if self.tile_pad is None else self.tile_pad,
            tta=self.tta,
            alpha=alpha,
            max_memory=self.max_memory,
            keep_color=keep_color,
        )

    def choice(self) -> DeviceChoice:
        """Device and precision; sets PyTorch's threads if asked."""
        return choose_device("cpu" if self.cpu else self.device, self.asked_precision, self.threads)

    @property
    def asked_precision(self) -> str:
        """As it was typed, in one way or the other."""
        return "fp32" if self.fp32 else self.precision

    def choices(self) -> list[DeviceChoice]:
        """One for each device that was named; all of them are there."""
        devices = ["cpu"] if self.cpu else devices_in(self.device)
        return [choose_device(device, self.asked_precision, self.threads) for device in devices]


@dataclass(frozen=True)
class Talk:
    """How much is said, and whether bars are drawn."""

    quiet: options.Quiet = False
    verbose: options.Verbose = False
    no_progress: options.NoProgress = False

    def console(self) -> Console:
        return Console(quiet=self.quiet, verbose=self.verbose, progress=not self.no_progress)
