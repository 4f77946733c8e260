"""`hat attribute`: which input pixels models use, as maps, numbers and one page."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared import fetching, options
from hatcli.cli.shared.console import Console, command, show
from hatcli.cli.shared.model_names import listed, told_apart
from hatcli.cli.shared.pictures import make_folder, read_picture, write
from hatcli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from hatcli.attribution.lam import Window
    from hatcli.attribution.page import Section
    from hatcli.models.opening import Auto, Model
    from hatcli.upscaling.device import DeviceChoice

Image = Annotated[Path, typer.Argument(help="The small picture; 64 x 64 in the paper.", metavar="IMAGE")]
At = Annotated[
    str | None,
    typer.Option("--at", help="X,Y of the window's top left corner in output pixels. Default: the strongest edge."),
]
Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder for maps, page and numbers. Default: IMAGE_attribution.",
                 rich_help_panel=options.FILES, show_default=False),
]  # fmt: skip
Models = Annotated[
    list[str] | None,
    typer.Option("-n", "-m", "--model", "--models", help="Names or files; several with commas.",
                 rich_help_panel=options.MODEL, show_default="auto"),
]  # fmt: skip
Regions = Annotated[int, typer.Option("--regions", help="Mean index over this many more windows.", min=0)]
Features = Annotated[bool, typer.Option("--features", help="Also the maps after each group and their blocking.")]
Factor = Annotated[
    int | None,
    typer.Option("-s", "--scale", help="Native factor of the models. Default: the files' own, or 4.", min=1, max=16,
                 show_default=False),
]  # fmt: skip

DEFAULT_FACTOR = 4


@command
def attribute(
    image: Image,
    at: At = None,
    window: Annotated[int, typer.Option("--window", help="Side of the window in output pixels.", min=1)] = 16,
    steps: Annotated[int, typer.Option("--steps", help="Steps along the blurring path.", min=1)] = 50,
    regions: Regions = 0,
    features: Features = False,
    model: Models = None,
    scale: Factor = None,
    output: Folder = None,
    overwrite: options.Overwrite = False,
    offline: options.Offline = False,
    device: options.Device = "auto",
    cpu: options.Cpu = False,
    precision: Annotated[str, typer.Option("--precision", help="fp32 or fp64.", rich_help_panel="Speed and memory")] = (
        "fp32"
    ),
    threads: options.Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers on stdout.", rich_help_panel=options.RUN)] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Show which input pixels a window of the result is made of: LAM and diffusion index.

    \b
    hat attribute photo64.png --at 110,150 -n hat-t,hat -o seen
    """
    from hatcli.attribution.lam import Path as BlurPath
    from hatcli.attribution.page import page
    from hatcli.attribution.regions import drawn
    from hatcli.cli.shared.devices import choose_device
    from hatcli.cli.views.attributing import Subject, mean_text

    folder = output or image.with_name(f"{image.stem}_attribution")
    corner = place(at)
    console = Console(quiet=quiet, verbose=verbose, progress=not no_progress)
    choice = fitting(choose_device("cpu" if cpu else device, "fp32", threads), precision)
    refuse_results(folder, overwrite=overwrite)
    values = read_values(image, console).to(choice.dtype)
    names = listed(model, default=["auto"])
    opened, factor = open_files(names, scale)
    chosen = window_at(corner, values, factor, side=window)
    more = drawn(values, regions, scale=factor, side=window) if regions else []
    opened |= {
        name: fetching.open_model(name, [factor], console, offline=offline) for name in names if name not in opened
    }
    networks = told_apart([native(opened[name], factor) for name in names])
    subjects = [
        Subject(name, network.to(choice.device, choice.dtype), values, factor, choice.device, BlurPath(steps=steps))
        for name, network in networks
    ]
    refuse_groupless(subjects if features else [], console)
    make_folder(folder)
    sections: list[Section] = []
    facts: dict[str, dict[str, Any]] = {}
    with console.bars(len(subjects) * (1 + len(more))) as bars:
        for subject in subjects:
            section, facts[subject.name] = subject.look(chosen, more, features=features, console=console, bars=bars)
            sections.append(section)
            save_pictures(section, folder)
    first = next(iter(facts.values()))
    settings = {"image": image.name, "scale": factor, "steps": steps, "precision": precision,
                "window": {"x": chosen.left, "y": chosen.top, "side": window}}  # fmt: skip
    text = json.dumps(
        {"diffusion_index": first["diffusion_index"], "gini": first["gini"], **settings, "models": facts}, indent=2
    )
    said = f"Window of {window} x {window} at {chosen.left},{chosen.top} of the result; {steps} steps in {precision}."
    write(folder / "attribution.json", text.encode())
    write(folder / "index.html", page(sections, title=f"{show(image.name)} x{factor}", settings=said).encode("utf-8"))
    if as_json:
        typer.echo(text)
    else:
        for label, found in facts.items():
            typer.echo(f"{show(label)}  diffusion index {found['diffusion_index']:.2f}{mean_text(found)}")
        console.say(f"see {show(folder / 'index.html')}")


def place(text: str | None) -> tuple[int, int] | None:
    """`--at` to x and y."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise UsageError(f"--at {text} is not a place", hint="write it as --at 110,150: x, then y, in output pixels")
    return int(parts[0]), int(parts[1])


def fitting(choice: DeviceChoice, precision: str) -> DeviceChoice:
    """The device with the precision attribution runs in there."""
    from dataclasses import replace

    import torch

    dtypes = {"fp32": torch.float32, "fp64": torch.float64}
    if precision not in dtypes:
        raise UsageError(f"attribution in {precision} would be mostly rounding", hint="use fp32 or fp64")
    if precision == "fp64" and choice.device.type == "mps":
        raise UsageError("Apple's GPU does not compute fp64", hint="use --precision fp32, or --device cpu")
    return replace(choice, dtype=dtypes[precision])


def read_values(path: Path, console: Console) -> Tensor:
    """A picture as `[3, h, w]` in 0..1, all of its bits kept."""
    from hatcli.attribution.lam import Path as BlurPath
    from hatcli.attribution.lam import check_image
    from hatcli.image.picture import to_tensor

    values = to_tensor(read_picture(path, console).pixels)
    check_image(values, BlurPath())
    return values


def open_files(names: list[str], scale: int | None) -> tuple[dict[str, Model | Auto], int]:
    """The models that are files, and the factor to look at: as asked for, or one that all files have, or 4."""
    from hatcli.models import opening

    files = {name: opening.open_one(name, factor=scale) for name in names if opening.names_file(name)}
    opened: dict[str, Model | Auto] = dict(files)
    if scale is not None or not opened:
        return opened, scale or DEFAULT_FACTOR
    shared = set.intersection(*(set(model) for model in files.values()))
    if not shared:
        said = ", ".join(f"{model.name} x{next(iter(model))}" for model in files.values())
        raise UsageError(f"the models have no factor in common: {said}", hint="attribute them one by one")
    return opened, DEFAULT_FACTOR if DEFAULT_FACTOR in shared else max(shared)


def native(opened: Model | Auto, factor: int) -> tuple[str, Any]:
    """The name and the network of this factor, its weights fixed."""
    model = opened.suited(jpeg_quality=None, factor=factor)
    if factor not in model:
        raise UsageError(f"{model.name} has no x{factor}", hint="give its own factor with --scale")
    return model.name, model[factor].eval().requires_grad_(False)


def window_at(corner: tuple[int, int] | None, values: Tensor, factor: int, *, side: int) -> Window:
    """The window asked for, or the one with the strongest edges."""
    from hatcli.attribution.lam import Window, check_window
    from hatcli.attribution.regions import strongest

    if corner is None:
        return strongest(values, scale=factor, side=side)
    chosen = Window(corner[1], corner[0], side)
    check_window(chosen, height=values.shape[1] * factor, width=values.shape[2] * factor)
    return chosen


def refuse_groupless(subjects: list[Any], console: Console) -> None:
    """Before the work: say which models have no feature maps to show; an error if none has."""
    from hatcli.attribution.features import FEATURES_HINT

    without = [subject.name for subject in subjects if not subject.has_groups]
    if subjects and len(without) == len(subjects):
        raise WeightsError(f"{', '.join(without)}: no groups whose maps could be shown", hint=FEATURES_HINT)
    for name in without:
        console.say(f"{show(name)} has no groups whose maps could be shown")


def refuse_results(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is a file or holds results."""
    if (folder / "index.html").exists() and not overwrite:
        raise UsageError(f"{folder} holds results already", hint="add --overwrite, or name another with -o")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="name a folder with -o")


def save_pictures(section: Section, folder: Path) -> None:
    """Every picture as PNG: model and caption."""
    stem = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in section.name)
    for caption, picture in section.pictures.items():
        file = io.BytesIO()
        picture.save(file, "PNG")
        write(folder / f"{stem}_{caption.split(':')[0].replace(' ', '_')}.png", file.getvalue())
