"""The options of `hat evaluate` for films, and what they start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared.console import Console, print_result
from hatcli.cli.shared.film_options import FILM
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.upscaling.upscaler import Upscaler

Video = Annotated[
    Path | None,
    typer.Option(
        "--video", help="Measure a film instead, its flicker too: the truth, whose small frames bicubic makes.",
        metavar="FILM", rich_help_panel=FILM,
    ),
]  # fmt: skip
NoTruth = Annotated[
    bool,
    typer.Option("--no-truth", help="The film is the small one: flicker alone.", metavar="", rich_help_panel=FILM),
]
Start = Annotated[
    str | None, typer.Option("--start", help="Where to begin: 90, 3s, 1:30.", metavar="TIME", rich_help_panel=FILM)
]
Duration = Annotated[
    str | None, typer.Option("--duration", help="How much to measure.", metavar="TIME", rich_help_panel=FILM)
]


@dataclass(frozen=True)
class FilmMeasure:
    """Which film is measured, and how."""

    video: Video = None
    no_truth: NoTruth = False
    start: Start = None
    duration: Duration = None

    def check(self, *, others: dict[str, bool]) -> None:
        """Refuse what makes no sense together.

        Args:
            others: options and whether they were given, that mean nothing for a film.
        """
        given = {"--no-truth": self.no_truth, "--start": self.start, "--duration": self.duration}
        if self.video is None:
            for name, is_given in given.items():
                if is_given:
                    raise UsageError(f"{name} is for --video", hint=f"hat evaluate --video film.mkv {name} ...")
            return
        for name, is_given in others.items():
            if is_given:
                raise UsageError(f"--video and {name} do not go together", hint=f"leave {name} out")

    def measure(
        self, scales: list[int], upscalers_for: Callable[[int], dict[str, Upscaler]], console: Console, *,
        form: str, facts: dict[str, Any],
    ) -> None:  # fmt: skip
        """Measure the film at every scale and print it."""
        from hatcli.cli.views.flicker import EXPLANATION, measured_with_bars, text_of
        from hatcli.video.film import probe
        from hatcli.video.options import seconds_of

        assert self.video is not None, "only where there is a film"
        start = Fraction(0) if self.start is None else seconds_of(self.start, "--start")
        length = None if self.duration is None else seconds_of(self.duration, "--duration")
        film = probe(self.video)
        scored = {
            scale: measured_with_bars(
                film, upscalers_for(scale), console, scale=scale, span=(start, length), has_truth=not self.no_truth
            )
            for scale in scales
        }
        print_result(text_of(self.video.name, scored, form, facts))
        console.say(EXPLANATION)
