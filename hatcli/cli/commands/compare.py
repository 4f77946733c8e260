"""`hat compare`: one picture through several models, to a page with a slider and a contact sheet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command, show
from hatcli.errors import InputError, UsageError

if TYPE_CHECKING:
    from hatcli.attribution.compare import Pixels, Shown
    from hatcli.image.picture import Picture
    from hatcli.models.opening import Model

T = TypeVar("T")
Image = Annotated[Path, typer.Argument(help="The picture to enlarge.", metavar="IMAGE")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "-n", "-m", "--models", help="Names, files or bicubic; several with commas. Default: auto,bicubic.",
        rich_help_panel=options.MODEL, show_default=False,
    ),
]  # fmt: skip
Truth = Annotated[
    Path | None,
    typer.Option("--truth", help="The large original, for PSNR and SSIM.", rich_help_panel=options.FILES),
]
PageFile = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="The page; the contact sheet is put beside it as PNG. Default: IMAGE_compare.html.",
        rich_help_panel=options.FILES, show_default=False,
    ),
]  # fmt: skip
Factor = Annotated[int, typer.Option("-s", "--scale", help="2 to 16.", min=2, max=16, rich_help_panel=options.SIZE)]


@command
def compare(
    image: Image,
    models: Models = None,
    scale: Factor = 4,
    truth: Truth = None,
    output: PageFile = None,
    overwrite: options.Overwrite = False,
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
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Compare models on one picture: a page with slider, zoom and difference, and a contact sheet.

    \b
    hat compare photo.png --models hat-t,hat,bicubic           writes photo_compare.html and .png
    hat compare small.png --models hat-t --truth large.png     with PSNR and SSIM
    """
    from hatcli.attribution import compare as comparing
    from hatcli.cli.commands.evaluate import through_upscaler
    from hatcli.cli.shared.devices import choose_device, run_settings
    from hatcli.evaluation.evaluate import bicubic

    target = output or image.with_name(f"{image.stem}_compare.html")
    sheet_file = target.with_suffix(".png")
    if target.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{target.name} is not the name of a page", hint="end it in .html")
    refuse_existing([target, sheet_file], image, truth, overwrite=overwrite)
    console = Console(quiet=quiet, verbose=verbose, progress=not no_progress)
    low = eight_bits(read_picture(image, console))
    large = eight_bits(read_picture(truth, console)) if truth is not None else None
    if large is not None and large.shape[:2] != (low.shape[0] * scale, low.shape[1] * scale):
        raise InputError(
            f"the truth has {large.shape[1]} x {large.shape[0]} pixels, "
            f"not {low.shape[1] * scale} x {low.shape[0] * scale}",
            hint="give the factor between the two with --scale",
        )
    settings = run_settings(tile, overlap=overlap, tta=tta, alpha="drop", max_memory=max_memory)
    choice = choose_device("cpu" if cpu else device, "fp32" if fp32 else precision, threads)
    names = listed(models, default=["auto", "bicubic"])
    opened = {name: open_one(name, scale, console, offline=offline) for name in names if name != "bicubic"}

    from hatcli.upscaling.upscaler import Upscaler

    shown: list[Shown] = []
    with console.bars(len(names)) as bars:
        for label, model in apart(
            [(opened[name].name if name in opened else name, opened.get(name)) for name in names]
        ):
            if model is None:
                bars.picture(label)
                shown.append(comparing.Shown(label, bicubic(scale)(low)))
            else:
                enlarge = through_upscaler(Upscaler(model, choice=choice, settings=settings), label, scale, bars)
                shown.append(comparing.Shown(label, enlarge(low)))
            bars.finished()
    title = f"{show(image.name)} x{scale}"
    text = comparing.page(shown, title=title, truth=large, border=scale)
    sheet = io.BytesIO()
    comparing.contact_sheet(shown, truth=large, border=scale).save(sheet, "PNG")
    write(target, text.encode("utf-8"))
    write(sheet_file, sheet.getvalue())
    typer.echo(show(target))
    typer.echo(show(sheet_file))


def listed(given: list[str] | None, *, default: list[str]) -> list[str]:
    """Names of `--models`, each once; an existing file's name may hold commas."""
    parts = [part for text in given or default for part in ([text] if Path(text).is_file() else text.split(","))]
    names = [part.strip() for part in parts if part.strip()]
    if not names:
        raise UsageError("no model was named", hint="try --models hat-t,bicubic")
    return list(dict.fromkeys("bicubic" if name.lower() == "bicubic" else name for name in names))


def open_one(name: str, scale: int, console: Console, *, offline: bool) -> Model:
    """One model by name, fetched if it is missing, or in a file."""
    from hatcli.cli.shared.fetching import fetch_missing
    from hatcli.models import opening

    if opening.names_file(name):
        return opening.open_file(Path(name))
    if name != "auto":
        fetch_missing(name, [scale], console, offline=offline)
    return opening.open_installed(name, scale=scale)


def apart(named: list[tuple[str, T]]) -> list[tuple[str, T]]:
    """The same with names that differ: a second one gets `-2`."""
    seen: set[str] = set()
    result = []
    for name, value in named:
        number, label = 1, name
        while label in seen:
            number += 1
            label = f"{name}-{number}"
        seen.add(label)
        result.append((label, value))
    return result


def read_picture(path: Path, console: Console) -> Picture:
    """A picture; what is lost of it on the way is said."""
    from hatcli.image import decode

    if not path.exists():
        raise UsageError(f"there is no file {path}")
    picture = decode.read(path)
    for note in picture.notes:
        console.say(f"{show(path.name)}: {show(note)}")
    if picture.alpha is not None:
        console.say(f"{show(path.name)}: transparency is left out")
    return picture


def eight_bits(picture: Picture) -> Pixels:
    """`[H, W, 3]` uint8, as a page can show it."""
    import numpy as np

    from hatcli.image.picture import from_tensor, to_tensor

    return np.asarray(from_tensor(to_tensor(picture.pixels), bits=8), dtype=np.uint8)


def refuse_existing(outputs: list[Path], *inputs: Path | None, overwrite: bool) -> None:
    """Before the work: outputs that exist, are inputs, or have no folder."""
    sources = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path.resolve() in sources:
            raise UsageError(f"{path} is an input", hint="choose another name with -o")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists already", hint="add --overwrite, or name another with -o")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", hint="make it first")


def write(path: Path, content: bytes) -> None:
    """A whole file or none."""
    from hatcli.atomic import replacing

    with replacing(path) as file:
        file.write(content)
