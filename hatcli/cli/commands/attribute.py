"""`hat attribute`: which input pixels models use, as maps, numbers and one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.attribution_options import Look
from hatcli.cli.shared.completion import model_names
from hatcli.cli.shared.console import Console, command, print_result, show
from hatcli.cli.shared.devices import choose_device
from hatcli.cli.shared.factors import whole_factor
from hatcli.cli.shared.fetching import open_model
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.model_names import AUTO, listed, told_apart
from hatcli.cli.shared.option_groups import Talk
from hatcli.cli.shared.pictures import make_folder, read_picture, refuse_results

if TYPE_CHECKING:
    from torch import Tensor

    from hatcli.attribution.lam import BlurPath
    from hatcli.attribution.subject import Subject
    from hatcli.image.picture import Picture
    from hatcli.models.opening import Model
    from hatcli.upscaling.device import DeviceChoice

Image = Annotated[Path, typer.Argument(help="The small picture; 64 x 64 in the paper.", metavar="IMAGE")]
Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder for maps, page and numbers. Default: IMAGE_attribution.",
                 rich_help_panel=options.FILES, show_default=False, metavar="FOLDER"),
]  # fmt: skip
Models = Annotated[
    list[str] | None,
    typer.Option("-n", "-m", "--model", "--models", help="Names or files; several with commas.", metavar="NAME,...",
                 rich_help_panel=options.MODEL, show_default="auto", autocompletion=model_names),
]  # fmt: skip
Factor = Annotated[
    str | None,
    typer.Option("-s", "--scale", help="Native factor of the models. Default: the files' own, or 4.", metavar="N",
                 show_default=False),
]  # fmt: skip
Precision = Annotated[
    str, typer.Option("--precision", help="Of all computing.", metavar="fp32|fp64", rich_help_panel=options.SPEED)
]


@command
@grouped
def attribute(
    image: Image,
    *,
    look: Look,
    model: Models = None,
    scale: Factor = None,
    output: Folder = None,
    overwrite: options.Overwrite = False,
    offline: options.Offline = False,
    device: options.Device = "auto",
    cpu: options.Cpu = False,
    precision: Precision = "fp32",
    threads: options.Threads = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Numbers on stdout.", metavar="", rich_help_panel=options.RUN)
    ] = False,
    talk: Talk,
) -> None:
    """Show which input pixels a window of the result is made of: LAM and diffusion index.

    \b
    hat attribute photo64.png --at 110,150 -n hat-t,hat -o seen
    """
    from hatcli.attribution.factors import common_factor, in_precision
    from hatcli.attribution.findings import saved, write_page
    from hatcli.attribution.lam import BlurPath, check_image
    from hatcli.cli.views.attributing import Settings, document, studied, tell
    from hatcli.image.picture import to_tensor
    from hatcli.models.opening import names_file, open_one

    folder, console = output or image.with_name(f"{image.stem}_attribution"), talk.console()
    look.corner()  # refused before anything is opened
    asked = whole_factor(scale, least=1) if scale is not None else None
    choice = in_precision(choose_device("cpu" if cpu else device, "fp32", threads), precision)
    refuse_results(folder, overwrite=overwrite)
    picture = read_picture(image, console)
    values, path = to_tensor(picture.pixels).to(choice.dtype), BlurPath(steps=look.steps)
    check_image(values, path)
    names = listed(model, default=[AUTO])
    files = {name: open_one(name, factor=asked) for name in names if names_file(name)}
    factor = asked or common_factor(list(files.values()))
    window, more = look.windows(values, factor)
    models = [
        files[name] if name in files else fetched(name, factor, picture, console, offline=offline) for name in names
    ]
    subjects = as_subjects(models, values, factor, choice, path)
    if look.features:
        refuse_groupless(subjects, console)
    make_folder(folder)
    found = studied(subjects, window, more, console, features=look.features)
    findings = list(saved(found, folder, names=[subject.name for subject in subjects]))
    settings = Settings(image.name, factor, look.steps, precision, window)
    text = document(findings, settings)
    page = write_page(findings, folder, title=f"{show(image.name)} x{factor}", settings=str(settings), numbers=text)
    if as_json:
        print_result(text)
    else:
        tell(findings, page, console)


def fetched(name: str, factor: int, picture: Picture, console: Console, *, offline: bool) -> Model:
    """A model of the catalogue, `auto` decided for this picture where that has the factor."""
    opened = open_model(name, [factor], console, offline=offline)
    model = opened.suited(jpeg_quality=picture.jpeg_quality, factor=factor)
    return model if factor in model else opened.suited(jpeg_quality=None, factor=factor)


def as_subjects(
    models: list[Model], values: Tensor, factor: int, choice: DeviceChoice, path: BlurPath
) -> list[Subject]:
    """Each model's network of this factor, under a name of its own, and the picture."""
    from hatcli.attribution.differentiable import differentiable
    from hatcli.attribution.factors import native
    from hatcli.attribution.subject import Subject

    return [
        Subject(label, differentiable(network, choice.device, choice.dtype), values, factor, choice.device, path)
        for label, network in told_apart([(model.name, native(model, factor)) for model in models])
    ]


def refuse_groupless(subjects: list[Subject], console: Console) -> None:
    """Before the work: say which models have no feature maps to show; an error if none has."""
    from hatcli.attribution.subject import without_groups

    for name in without_groups(subjects):
        console.say(f"{show(name)} has no groups whose maps could be shown")
