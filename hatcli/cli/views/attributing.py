"""Networks under study by `hat attribute`, with bars and the time left; what was found, for people and as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hatcli.attribution.findings import Finding
from hatcli.attribution.lam import StepsDone, Window
from hatcli.attribution.subject import Subject
from hatcli.cli.shared.console import Bars, Console, print_result, show
from hatcli.progress import drive

if TYPE_CHECKING:
    from pathlib import Path


def studied(
    subjects: Sequence[Subject], window: Window, more: Sequence[Window], console: Console, *, features: bool
) -> Iterator[Finding]:
    """What is found of each network, one after the other."""
    with console.bars(len(subjects)) as bars:
        for subject in subjects:
            bars.picture(subject.name)
            yield _driven(subject, window, more, console, bars, features=features)
            bars.finished()


def _driven(
    subject: Subject, window: Window, more: Sequence[Window], console: Console, bars: Bars, *, features: bool
) -> Finding:
    """One network, its steps shown."""
    running, started = subject.study(window, more, features=features), time.monotonic()

    def told(steps: StepsDone) -> None:
        share = steps.done / steps.total
        bars.tiles(share, 1, 1)
        left = (time.monotonic() - started) * (1 / share - 1)
        console.detail(f"{show(subject.name)}: step {steps.done} of {steps.total}, {left:.0f} s left")

    return drive(running, told)


@dataclass(frozen=True)
class Settings:
    """How maps were made."""

    image: str
    scale: int
    steps: int
    precision: str
    window: Window

    def __str__(self) -> str:
        side, place = self.window.side, f"{self.window.left},{self.window.top}"
        return f"Window of {side} x {side} at {place} of the result; {self.steps} steps in {self.precision}."

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        window = {"x": self.window.left, "y": self.window.top, "side": self.window.side}
        return {
            "image": self.image,
            "scale": self.scale,
            "steps": self.steps,
            "precision": self.precision,
            "window": window,
        }


def document(findings: Sequence[Finding], settings: Settings) -> str:
    """All numbers as one JSON object; those of the first network stand at its top too."""
    first = findings[0].facts
    top = {"diffusion_index": first["diffusion_index"], "gini": first["gini"]}
    return json.dumps({**top, **settings.facts(), "models": {one.name: one.facts for one in findings}}, indent=2)


def tell(findings: Sequence[Finding], page: Path, console: Console) -> None:
    """A line a network on stdout, and where the page is."""
    for finding in findings:
        index = finding.attribution.diffusion_index
        print_result(f"{show(finding.name)}  diffusion index {index:.2f}{finding.mean_text}")
    console.say(f"see {show(page)}")
