"""`hat evaluate`: names and folders to models and sets, scores to a table, CSV, Markdown or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Bars, Console, command, show
from hatcli.cli.shared.devices import choose_device, run_settings
from hatcli.cli.shared.fetching import open_model
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.evaluation.datasets import Gray, Pair
    from hatcli.evaluation.evaluate import Result
    from hatcli.evaluation.tables import Report, Table
    from hatcli.upscaling.upscaler import Upscaler

FORMATS = ("table", "json", "csv", "markdown")

Folders = Annotated[list[Path], typer.Argument(help="Folders of large pictures: the truth.", metavar="FOLDER")]
LowFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--lr",
        help="Folder of the small pictures, one for each FOLDER; without it MATLAB's bicubic makes them.",
        rich_help_panel=options.FILES,
    ),
]
SaveFolder = Annotated[
    Path | None,
    typer.Option("--save", help="Write all results there as PNG: set/scale/model.", rich_help_panel=options.FILES),
]
Scales = Annotated[
    str, typer.Option("-s", "--scale", help="2, 3, 4 or 8; several with commas.", rich_help_panel=options.SIZE)
]
ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "-n",
        "-m",
        "--model",
        help="Names or files, several with commas; bicubic is always there. Default: auto, the best one installed.",
        rich_help_panel=options.MODEL,
        show_default=False,
    ),
]
Paper = Annotated[
    bool,
    typer.Option("--paper", help="Set published numbers beside ours.", rich_help_panel=options.RUN),
]
GrayMode = Annotated[
    str,
    typer.Option(
        help="Gray pictures: native (one channel) or rgb (repeated to three, as HAT's own test code).",
        rich_help_panel=options.PICTURE,
    ),
]


@dataclass(frozen=True)
class Task:
    """One set at one scale: its pictures and where their results are saved."""

    dataset: str
    scale: int
    pairs: tuple[Pair, ...]
    save: Path | None

    def output(self, model: str, image: str) -> Path | None:
        """Where one result goes, if results are saved."""
        return None if self.save is None else self.save / self.dataset / f"x{self.scale}" / model / f"{image}.png"


@command
def evaluate(
    folders: Folders,
    scale: Scales = "4",
    lr: LowFolders = None,
    save: SaveFolder = None,
    overwrite: options.Overwrite = False,
    model: ModelNames = None,
    offline: options.Offline = False,
    tta: options.Ensemble = False,
    device: options.Device = "auto",
    cpu: options.Cpu = False,
    precision: options.Precision = "auto",
    fp32: options.Fp32 = False,
    tile: options.Tile = "auto",
    overlap: options.Overlap = 32,
    max_memory: options.MaxMemory = None,
    threads: options.Threads = None,
    gray: GrayMode = "native",
    paper: Paper = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.", rich_help_panel=options.RUN)] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV, full precision.", rich_help_panel=options.RUN)] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown.", rich_help_panel=options.RUN)] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Measure models by PSNR and SSIM, as the papers do.

    \b
    hat evaluate Set5 --scale 4 -n hat-t,hat-s            small pictures are made by MATLAB's bicubic
    hat evaluate DIV2K/HR --lr DIV2K/LR --scale 2         given pairs, matched by name
    hat evaluate Set5 Set14 --scale 2,3,4 -n hat --paper  beside the published numbers

    Luma of BT.601, a border of scale pixels cut off, 8 bits; SSIM with an 11 x 11 Gaussian of sigma 1.5.
    """
    form = chosen_form(as_json=as_json, csv=csv, markdown=markdown)
    gray_mode = gray_choice(gray)
    console = Console(quiet=quiet, verbose=verbose, progress=not no_progress)
    tasks = find_tasks(folders, lr, scales=whole_scales(scale), save=save)
    settings = run_settings(tile, overlap=overlap, tta=tta, alpha="drop", max_memory=max_memory)
    choice = choose_device("cpu" if cpu else device, "fp32" if fp32 else precision, threads)

    from hatcli.upscaling.upscaler import Upscaler

    upscalers: dict[int, dict[str, Upscaler]] = {}
    for factor in dict.fromkeys(task.scale for task in tasks):
        opened = open_models(model_names(model), factor, console, offline=offline)
        upscalers[factor] = {
            label: Upscaler(networks, choice=choice, settings=settings) for label, networks in opened.items()
        }
    refuse_existing(tasks, upscalers, overwrite=overwrite)
    began = time.monotonic()
    reports = []
    notes: dict[str, None] = {}
    for task in tasks:
        report, grays = run(task, upscalers[task.scale], console, gray=gray_mode)
        reports.append(report)
        if paper:
            add_published(report)
        if grays and gray_mode == "native":
            notes[f"{', '.join(grays)} in {task.dataset}: gray, scored in one channel (see --gray)"] = None
    run_facts = {"gray": gray, "tta": tta, "device": str(choice.device), "precision": choice.precision}
    write_out(text_of(reports, form, paper=paper, facts=run_facts))
    for note in notes:
        console.say(show(note))
    seconds = time.monotonic() - began
    console.say(f"{sum(len(task.pairs) for task in tasks)} pictures in {seconds:.1f} s on {choice.device}")


def chosen_form(*, as_json: bool, csv: bool, markdown: bool) -> str:
    """The one output format that was asked for."""
    asked = [form for form, wanted in zip(FORMATS[1:], (as_json, csv, markdown), strict=True) if wanted]
    if len(asked) > 1:
        raise UsageError(f"--{' and --'.join(asked)} contradict each other", hint="give one of them")
    return asked[0] if asked else FORMATS[0]


def gray_choice(text: str) -> Gray:
    if text == "native":
        return "native"
    if text == "rgb":
        return "rgb"
    raise UsageError(f"there is no --gray {text}", hint="use native or rgb")


def whole_scales(text: str) -> list[int]:
    """`2,3,4` to numbers, each once."""
    from hatcli.network.config import UPSCALES

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or any(not part.isdecimal() or int(part) not in UPSCALES or int(part) < 2 for part in parts):
        raise UsageError(f"--scale {text} is not a scale the papers use", hint="try --scale 4, or --scale 2,3,4")
    return list(dict.fromkeys(map(int, parts)))


def model_names(given: list[str] | None) -> list[str]:
    """What `-n` lists without bicubic, which is always run; an existing file's name may hold commas."""
    texts = given if given is not None else ["auto"]
    parts = [part for text in texts for part in ([text] if Path(text).is_file() else text.split(","))]
    return [name for name in dict.fromkeys(part.strip() for part in parts) if name and name.lower() != "bicubic"]


def find_tasks(folders: list[Path], lr: list[Path] | None, *, scales: list[int], save: Path | None) -> list[Task]:
    """Every set at every scale, its pictures checked by their headers."""
    from hatcli.evaluation.datasets import check_pairs, find_pairs, set_name

    if lr and len(lr) != len(folders):
        raise UsageError(
            f"{len(folders)} folders of large pictures, but {len(lr)} with --lr", hint="give --lr once for each"
        )
    tasks: list[Task] = []
    names: list[str] = []
    for folder in folders:
        name = set_name(folder)
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    for number, folder in enumerate(folders):
        for scale in scales:
            pairs = find_pairs(folder, scale=scale, small_folder=lr[number] if lr else None)
            check_pairs(pairs, scale=scale)
            tasks.append(Task(names[number], scale, tuple(pairs), save))
    return tasks


def open_models(names: list[str], scale: int, console: Console, *, offline: bool) -> dict[str, Mapping[int, Any]]:
    """The models to run at a scale under the names they get in tables; those of the catalogue are fetched first."""
    from hatcli.models.opening import AUTO

    models: dict[str, Mapping[int, Any]] = {}
    for name in names:
        found = open_model(name, [scale], console, offline=offline)
        opened = found.suited(jpeg_quality=None, factor=scale)
        label = opened.name if opened.name not in (*models, "bicubic") else f"{opened.name}-{len(models) + 1}"
        if name == AUTO:
            console.say(f"auto chose {show(label)} for x{scale}")
        if scale not in opened:
            console.say(f"{show(label)} has no weights for x{scale}: its results are resized to it")
        models[label] = opened
    return models


def refuse_existing(tasks: list[Task], upscalers: dict[int, dict[str, Upscaler]], *, overwrite: bool) -> None:
    """Say before the work that `--save` would replace files."""
    planned = [
        task.output(label, pair.name)
        for task in tasks
        for label in ("bicubic", *upscalers[task.scale])
        for pair in task.pairs
    ]
    existing = [path for path in planned if path is not None and path.exists()]
    if existing and not overwrite:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]} exists already{more}", hint="add --overwrite, or save elsewhere")


def run(task: Task, upscalers: dict[str, Upscaler], console: Console, *, gray: Gray) -> tuple[Report, list[str]]:
    """Score one set; returns its scores and the names of its gray pictures."""
    from hatcli.evaluation.tables import Report

    report = Report(task.dataset, task.scale)
    grays: dict[str, None] = {}
    with console.bars(len(task.pairs) * (1 + len(upscalers))) as bars:
        for result in results(task, upscalers, bars, gray=gray):
            report.add(result)
            if result.pixels.shape[2] == 1:
                grays[result.image] = None
            path = task.output(result.model, result.image)
            if path is not None:
                save_result(result, path)
            bars.finished()
            console.detail(
                f"{show(result.image)} {show(result.model)} {result.scores.psnr_y:.2f} dB {result.seconds:.2f} s"
            )
    return report, list(grays)


def results(task: Task, upscalers: dict[str, Upscaler], bars: Bars, *, gray: Gray) -> Iterator[Result]:
    """One result a picture and model, with the tiles of each shown in the bars."""
    from hatcli.cli.views.enlarging import through_upscaler
    from hatcli.evaluation.evaluate import evaluate as evaluated

    models = {label: through_upscaler(upscaler, label, task.scale, bars) for label, upscaler in upscalers.items()}
    return evaluated(task.pairs, models, scale=task.scale, gray=gray)


def save_result(result: Result, path: Path) -> None:
    """One result as PNG."""
    from hatcli.atomic import write_error
    from hatcli.image import encode
    from hatcli.image.picture import Picture

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path.parent, error) from error
    encode.write(Picture(result.pixels), path, overwrite=True)


def add_published(report: Report) -> None:
    """Fill in what is known of each model on this set."""
    from hatcli.evaluation.published import published

    for model in report.images:
        found = published(model, dataset=report.dataset, scale=report.scale)
        if found is not None:
            report.published[model] = found


def text_of(reports: list[Report], form: str, *, paper: bool, facts: dict[str, Any]) -> str:
    """The results in the format that was asked for."""
    from hatcli.evaluation import tables

    if form == "json":
        objects = [{**tables.as_json(report), **facts} for report in reports]
        return json.dumps(objects[0] if len(objects) == 1 else {"results": objects}, indent=2)
    if form == "csv":
        return tables.comma_separated(reports)
    render = tables.markdown if form == "markdown" else tables.plain_text
    blocks = []
    if not paper:
        blocks.append(render(printable(tables.score_table(reports))))
    else:
        blocks.append(render(printable(tables.paper_table(reports))))
        if found := tables.sources(reports):
            blocks.append("\n".join(["Published numbers:", "", *(f"- {show(line)}" for line in found)]))
    return "\n\n".join(blocks)


def printable(table: Table) -> Table:
    """The table with every cell safe to print."""
    return replace(table, rows=tuple(tuple(show(cell) for cell in row) for row in table.rows))


def write_out(text: str) -> None:
    """Lines on stdout, whatever its encoding."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()
