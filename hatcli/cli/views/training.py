"""What people see of a training run: recipes, a live table, its speed, and how it is stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from hatcli.cli.shared.console import INTERRUPTED, TERMINATED, Console, Terminated, show

if TYPE_CHECKING:
    from hatcli.training.loop import TrainingProgress
    from hatcli.training.outputs import Outputs
    from hatcli.training.recipe import Recipe
    from hatcli.training.state import TrainingState

LINE_STEPS = 100  # steps between lines where there is no terminal
REFRESH = 0.25  # seconds between two looks of the table
LIMIT_SIDE = 1024  # of the matrices whose product is taken for a CPU's limit: a fifth of a second


def list_recipes() -> None:
    """The packaged recipes with a line each, on stdout."""
    from hatcli.training.reading import read_recipe
    from hatcli.training.recipes import packaged_names

    names = packaged_names()
    for name in names:
        typer.echo(f"{name:{max(map(len, names))}}  {read_recipe(name).about}")


class Stopping:
    """Ctrl-C or SIGTERM once: the run ends after its step, all saved. Twice: at once, the last saved state stays."""

    def __init__(self, console: Console) -> None:
        self.code = 0  # the exit code that was asked for
        self._console = console
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.code:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated
        self.code = INTERRUPTED if number == signal.SIGINT else TERMINATED
        self._console.say("stopping after this step; once more stops at once")


@dataclass
class RunView:
    """A run as people follow it.

    Attributes:
        limit: what this machine reaches in fp32, in GFLOP/s; None where nobody looks.
        last: the step shown last.
    """

    recipe: Recipe
    console: Console
    limit: float | None
    last: TrainingProgress | None = None

    @contextmanager
    def watch(self) -> Iterator[Callable[[TrainingProgress], None]]:
        """Progress as a table that renews itself on a terminal, else as a line now and then."""
        if not self.console.progress:
            yield self._say
            return
        from rich.console import Console as RichConsole
        from rich.live import Live

        seen = _Seen()
        with Live(console=RichConsole(stderr=True, highlight=False), auto_refresh=False) as live:

            def update(progress: TrainingProgress) -> None:
                self.last = progress
                seen.take_in(progress)
                if time.monotonic() - seen.shown > REFRESH or progress.done >= 1:
                    seen.shown = time.monotonic()
                    live.update(self._table(progress, seen), refresh=True)

            yield update

    def end(self, state: TrainingState, outputs: Outputs, *, stopped: bool) -> None:
        """How fast it was, where it ended, and how it goes on."""
        if self.last is not None:
            busy = f"the network was busy {1 - self.last.waiting:.1%} of the time, the rest waited for data"
            self.console.say(f"{busy}; {self.speed(self.last)}")
        name = show(outputs.state.name)
        if stopped:
            self.console.say(f"stopped after step {state.step}; the same command goes on from there ({name})")
        else:
            self.console.say(f"wrote {show(outputs.weights)} after {state.step} steps; {name} can go on from here")

    def speed(self, progress: TrainingProgress) -> str:
        """`57 GFLOP/s, 40% of what this machine reaches`."""
        measured = f"{progress.gflops:.1f} GFLOP/s"
        if not self.limit:
            return measured
        return f"{measured}, {progress.gflops / self.limit:.0%} of the {self.limit:.0f} this machine reaches in fp32"

    def _table(self, progress: TrainingProgress, seen: _Seen) -> Any:
        """The rows of the live table."""
        from rich.table import Table

        recipe = self.recipe
        steps = f"{progress.step}" if not recipe.steps else f"{progress.step} of {recipe.steps}"
        psnr = "not measured yet" if seen.psnr is None else f"{seen.psnr:.2f} dB (best {seen.best:.2f})"
        rows = {
            "step": f"{steps} ({progress.done:.1%})",
            "loss": f"{seen.loss:.5f}",
            "PSNR": psnr,
            "learning rate": f"{progress.rate:.2e}",
            "speed": f"{progress.images_per_second:.1f} images/s, {self.speed(progress)}",
            "waiting for data": f"{progress.waiting:.1%} of the time",
            "time left": duration(seconds_left(progress)),
        }
        table = Table(title=f"{recipe.preset} x{recipe.scale}", show_header=False, title_justify="left")
        for name, value in rows.items():
            table.add_row(name, value)
        return table

    def _say(self, progress: TrainingProgress) -> None:
        """A line at every validation and every hundred steps."""
        self.last = progress
        if progress.psnr is None and progress.step % LINE_STEPS:
            return
        measured = "" if progress.psnr is None else f", {progress.psnr:.2f} dB"
        self.console.say(
            f"step {progress.step}, loss {progress.loss:.4f}{measured}, {progress.images_per_second:.1f} images/s, "
            f"{self.speed(progress)}, {duration(seconds_left(progress))} left"
        )


@dataclass
class _Seen:
    """What the live table remembers: a smooth loss, the last and the best PSNR, when it was drawn."""

    loss: float | None = None
    psnr: float | None = None
    best: float = 0.0
    shown: float = 0.0

    def take_in(self, progress: TrainingProgress) -> None:
        self.loss = progress.loss if self.loss is None else 0.98 * self.loss + 0.02 * progress.loss
        if progress.psnr is not None:
            self.psnr, self.best = progress.psnr, max(progress.psnr, self.best)


def machine_limit(state: TrainingState) -> float:
    """What the run's device reaches in fp32 with the run's threads, in GFLOP/s."""
    import torch

    from hatcli.engine.workers import torch_threads
    from hatcli.evaluation.speed import MATRIX, product_rate

    if state.device.type != "cpu":
        return product_rate(state.device, torch.float32, side=MATRIX)
    with torch_threads(state.workers):
        return product_rate(state.device, torch.float32, side=LIMIT_SIDE)


def seconds_left(progress: TrainingProgress) -> float:
    """By the time the run has taken so far."""
    return progress.seconds * (1 / max(progress.done, 1e-9) - 1)


def duration(seconds: float) -> str:
    """`2 d 3 h`, `3 h 20 min`, `4 min 5 s` or `12 s`."""
    whole = round(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole} s"
