"""What people see of a training run: recipes, the data's faults, a live table, and how a run is stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from hatcli.cli.shared.console import INTERRUPTED, TERMINATED, Console, Terminated, show

if TYPE_CHECKING:
    from hatcli.training.loop import TrainingProgress
    from hatcli.training.recipe import Recipe
    from hatcli.training.sources import Source

T = TypeVar("T")
LINE_STEPS = 100  # steps between lines where there is no terminal
REFRESH = 0.25  # seconds between two looks of the table


def list_recipes() -> None:
    """The packaged recipes with a line each, on stdout."""
    from hatcli.training.reading import packaged, read_recipe

    names = packaged()
    for name in names:
        typer.echo(f"{name:{max(map(len, names))}}  {read_recipe(name).about}")


def loaded(pictures: Iterable[T], total: int, what: str, console: Console) -> list[T]:
    """All of them, with a bar."""
    result: list[T] = []
    with console.bars(1) as bars:
        for number, picture in enumerate(pictures, start=1):
            result.append(picture)
            bars.picture(f"{what} {number}/{total}")
            bars.tiles(number / total, 1, 1)
    return result


def check_data(sources: list[Source], unmatched: list[str], *, scale: int, smallest: int, console: Console) -> None:
    """Read everything; faults by name and counts on stdout, exit code 1 if there is any."""
    from hatcli.training.checks import check

    findings = loaded(check(sources, scale=scale, smallest=smallest), len(sources), "checking", console)
    bad = [finding for finding in findings if finding.problem is not None]
    told = [
        str(found.problem) if found.name in str(found.problem) else f"{found.name}: {found.problem}" for found in bad
    ]
    for problem in (*unmatched, *told):
        typer.echo(show(problem))
    area = sum(finding.megapixels for finding in findings)
    typer.echo(f"{len(findings) - len(bad)} pictures can be used, {area:.1f} MP; {len(unmatched) + len(bad)} cannot")
    if unmatched or bad:
        raise typer.Exit(1)


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


@contextmanager
def watched(console: Console, recipe: Recipe) -> Iterator[Callable[[TrainingProgress], None]]:
    """Progress as a table that renews itself on a terminal, else as a line now and then."""
    if not console.progress:
        yield lambda progress: _line(progress, console)
        return
    from rich.console import Console as RichConsole
    from rich.live import Live

    seen: dict[str, Any] = {"at": 0.0, "psnr": None, "best": None, "loss": None}
    with Live(console=RichConsole(stderr=True, highlight=False), auto_refresh=False) as live:

        def update(progress: TrainingProgress) -> None:
            smooth = seen["loss"]
            seen["loss"] = progress.loss if smooth is None else 0.98 * smooth + 0.02 * progress.loss
            if progress.psnr is not None:
                seen["psnr"], seen["best"] = progress.psnr, max(progress.psnr, seen["best"] or 0.0)
            if time.monotonic() - seen["at"] > REFRESH or progress.done >= 1:
                seen["at"] = time.monotonic()
                live.update(
                    _table(progress, recipe, loss=seen["loss"], psnr=seen["psnr"], best=seen["best"]), refresh=True
                )

        yield update


def _table(progress: TrainingProgress, recipe: Recipe, *, loss: float, psnr: float | None, best: float | None) -> Any:
    """The rows of the live table."""
    from rich.table import Table

    steps = f"{progress.step}" if not recipe.steps else f"{progress.step} of {recipe.steps}"
    rows = {
        "step": f"{steps} ({progress.done:.1%})",
        "loss": f"{loss:.5f}",
        "PSNR": "not measured yet" if psnr is None else f"{psnr:.2f} dB (best {best:.2f})",
        "learning rate": f"{progress.rate:.2e}",
        "speed": f"{progress.images_per_second:.1f} images/s",
        "waiting for data": f"{progress.waiting:.1%} of the time",
        "time left": duration(seconds_left(progress)),
    }
    table = Table(title=f"{recipe.preset} x{recipe.scale}", show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _line(progress: TrainingProgress, console: Console) -> None:
    if progress.psnr is None and progress.step % LINE_STEPS:
        return
    measured = "" if progress.psnr is None else f", {progress.psnr:.2f} dB"
    console.say(
        f"step {progress.step}, loss {progress.loss:.4f}{measured}, {progress.images_per_second:.1f} images/s, "
        f"{duration(seconds_left(progress))} left"
    )


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
