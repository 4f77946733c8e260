"""`hat evaluate`: names and folders to models and sets, scores to a table, CSV, Markdown or JSON."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.completion import model_names
from hatcli.cli.shared.console import command, show
from hatcli.cli.shared.evaluation_options import Forms, Sets
from hatcli.cli.shared.film_evaluation import FilmMeasure
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.opening import open_models
from hatcli.cli.shared.option_groups import Running, Talk
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.evaluation.datasets import Gray
    from hatcli.evaluation.tables import Report
    from hatcli.upscaling.upscaler import Upscaler

SaveFolder = Annotated[
    Path | None,
    typer.Option(
        "--save",
        help="Write all results there as PNG: set/scale/model.",
        metavar="FOLDER",
        rich_help_panel=options.FILES,
    ),
]
ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "-n", "-m", "--model", metavar="NAME,...", autocompletion=model_names,
        help="Names or files, several with commas, or all: every installed one; bicubic is always there. "
        "Default: auto, the best one installed.", rich_help_panel=options.MODEL, show_default=False,
    ),
]  # fmt: skip
GrayMode = Annotated[
    str,
    typer.Option(
        help="Gray pictures in one channel, or repeated to three as HAT's own test code does.", metavar="native|rgb",
        rich_help_panel=options.PICTURE,
    ),
]  # fmt: skip


@command
@grouped
def evaluate(
    *,
    sets: Sets,
    film: FilmMeasure,
    save: SaveFolder = None,
    overwrite: options.Overwrite = False,
    model: ModelNames = None,
    offline: options.Offline = False,
    running: Running,
    gray: GrayMode = "native",
    forms: Forms,
    talk: Talk,
) -> None:
    """Measure models by PSNR and SSIM, as the papers do.

    \b
    hat evaluate Set5 --scale 4 -n hat-t,hat-s            small pictures are made by MATLAB's bicubic
    hat evaluate DIV2K/HR --lr DIV2K/LR --scale 2         given pairs, matched by name
    hat evaluate Set5 Set14 --scale 2,3,4 -n hat --paper  beside the published numbers
    hat evaluate --card -n all                            how jagged lines become
    hat evaluate --video clip.mp4 --scale 2               a film: how much it flickers, too

    Luma of BT.601, a border of scale pixels cut off, 8 bits; SSIM with an 11 x 11 Gaussian of sigma 1.5.
    """
    form, channels, console = forms.chosen(), gray_choice(gray), talk.console()
    film.check(others={**sets.given(), "--paper": forms.paper, "--save": save is not None, "--gray": gray != "native"})
    benchmarks = [] if film.video else sets.benchmarks()
    settings, choice = running.settings(), running.choice()

    from hatcli.cli.views.scores import scored_with_bars, text_of, write_out
    from hatcli.evaluation.benchmarks import ResultFolder
    from hatcli.upscaling.upscaler import Upscaler

    def upscalers_for(factor: int) -> dict[str, Upscaler]:
        opened = open_models(model, factor, console, offline=offline)
        return {name: Upscaler(found, choice=choice, settings=settings) for name, found in opened}

    facts = {"gray": gray, "tta": running.tta, "device": str(choice.device), "precision": choice.precision}
    if film.video is not None:
        film.measure(sets.scales(), upscalers_for, console, form=form, facts=facts)
        return
    factors = dict.fromkeys(benchmark.scale for benchmark in benchmarks)
    upscalers = {factor: upscalers_for(factor) for factor in factors}
    kept = ResultFolder(save) if save is not None else None
    if kept is not None and not overwrite:
        kept.refuse_existing([(benchmark, list(upscalers[benchmark.scale])) for benchmark in benchmarks])
    began = time.monotonic()
    reports: list[Report] = []
    for benchmark in benchmarks:
        models = upscalers[benchmark.scale]
        reports.append(scored_with_bars(benchmark, models, console, gray=channels, kept=kept))
        if forms.paper:
            reports[-1].add_published()
    write_out(text_of(reports, form, paper=forms.paper, facts=facts))
    if sets.card:
        console.say(
            "jaggedness: how far edges are from straight lines and circles, RMS in output pixels; drawn well 0.05"
        )
    for report in reports if channels == "native" else []:
        if report.grays:
            console.say(
                f"{show(', '.join(report.grays))} in {show(report.dataset)}: gray, scored in one channel (see --gray)"
            )
    pictures, seconds = sum(len(benchmark.pictures) for benchmark in benchmarks), time.monotonic() - began
    console.say(f"{pictures} picture{'s' if pictures != 1 else ''} in {seconds:.1f} s on {choice.device}")


def gray_choice(text: str) -> Gray:
    """`--gray` to how gray pictures are counted."""
    if text == "native":
        return "native"
    if text == "rgb":
        return "rgb"
    raise UsageError(f"there is no --gray {text}", hint="use native or rgb")
