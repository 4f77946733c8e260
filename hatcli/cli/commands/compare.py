"""`hat compare`: one picture through several models, to a page with a slider and a contact sheet."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.completion import model_names
from hatcli.cli.shared.console import Console, command, print_result, show
from hatcli.cli.shared.factors import whole_factor
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.opening import open_models
from hatcli.cli.shared.option_groups import Running, Talk
from hatcli.cli.shared.pictures import eight_bits, read_picture, refuse_existing, write
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.attribution.comparison import Shown
    from hatcli.attribution.viewer import Pixels
    from hatcli.upscaling.upscaler import Upscaler

Image = Annotated[Path, typer.Argument(help="The picture to enlarge.", metavar="IMAGE")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "-n", "-m", "--models", help="Names or files, several with commas, or all: every installed one. Default: auto.",
        rich_help_panel=options.MODEL, show_default=False, metavar="NAME,...", autocompletion=model_names,
    ),
]  # fmt: skip
Truth = Annotated[
    Path | None,
    typer.Option(
        "--truth", help="The large original, for PSNR and SSIM.", metavar="PATH", rich_help_panel=options.FILES
    ),
]
PageFile = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="The page; the contact sheet is put beside it as PNG. Default: IMAGE_compare.html.",
        rich_help_panel=options.FILES, show_default=False, metavar="PATH",
    ),
]  # fmt: skip
Factor = Annotated[
    str, typer.Option("-s", "--scale", help="A whole factor from 2 to 16.", metavar="N", rich_help_panel=options.SIZE)
]
Part = Annotated[
    str | None,
    typer.Option(
        "--crop", help="The part to compare in input pixels, or off for all of it. Default: all, or of a large picture "
        "the most detailed part.", rich_help_panel=options.SIZE, show_default=False, metavar="X,Y,W,H|off",
    ),
]  # fmt: skip
Lossless = Annotated[
    bool,
    typer.Option(
        "--lossless",
        help="Store every picture exactly, also those above a megapixel.",
        metavar="",
        rich_help_panel=options.FILES,
    ),
]


@command
@grouped
def compare(
    image: Image,
    *,
    models: Models = None,
    scale: Factor = "4",
    crop: Part = None,
    truth: Truth = None,
    output: PageFile = None,
    overwrite: options.Overwrite = False,
    lossless: Lossless = False,
    offline: options.Offline = False,
    running: Running,
    talk: Talk,
) -> None:
    """Compare models on one picture: a page with slider, zoom and difference, and a contact sheet.

    \b
    hat compare photo.png --models hat-t,hat                   writes photo_compare.html and .png
    hat compare photo.png --models all                         every installed model, and how long it took
    hat compare small.png --models hat-t --truth large.png     with PSNR and SSIM
    """
    from hatcli.attribution.comparison import contact_sheet, page
    from hatcli.attribution.crops import chosen_part

    target = output or image.with_name(f"{image.stem}_compare.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{target.name} is not the name of a page", hint="end it in .html")
    sheet_file = sheet_beside(target, image, truth)
    refuse_existing([target, sheet_file], image, truth, overwrite=overwrite)
    console, factor = talk.console(), whole_factor(scale, least=2)
    small = read_picture(image, console)
    whole = eight_bits(small)
    original = eight_bits(read_picture(truth, console)) if truth is not None else None
    part = chosen_part(whole, crop, scale=factor, truth=original)
    if crop is None and not part.is_all(whole):
        console.say(f"comparing {part}, where most detail is; --crop off takes all of it")
    low, large = part.of(whole), part.of(original, factor) if original is not None else None
    settings, choice = running.settings(), running.choice()
    opened = open_models(models, factor, console, offline=offline, jpeg_quality=small.jpeg_quality)

    from hatcli.upscaling.upscaler import Upscaler

    upscalers = {label: Upscaler(model, choice=choice, settings=settings) for label, model in opened}
    shown = enlarged(low, upscalers, factor, console)
    notes = [] if part.is_all(whole) else [f"{part} of {whole.shape[1]} x {whole.shape[0]}."]
    title = f"{show(image.name)} x{factor}"
    text = page(shown, title=title, truth=large, border=factor, lossless=lossless or None, notes=notes)
    sheet = io.BytesIO()
    contact_sheet(shown, truth=large, border=factor).save(sheet, "PNG", compress_level=3)
    write(target, text.encode("utf-8"))
    write(sheet_file, sheet.getvalue())
    print_result(show(target))
    print_result(show(sheet_file))


def sheet_beside(page: Path, *inputs: Path | None) -> Path:
    """The contact sheet's name: the page's with .png, unless that is a picture being compared."""
    sheet = page.with_suffix(".png")
    taken = {path.resolve() for path in inputs if path is not None}
    return page.with_name(f"{page.stem}_sheet.png") if sheet.resolve() in taken else sheet


def enlarged(low: Pixels, upscalers: dict[str, Upscaler], scale: int, console: Console) -> list[Shown]:
    """The input enlarged by bicubic, then every model's result and the time it took."""
    from hatcli.attribution.comparison import INPUT, Shown
    from hatcli.cli.views.enlarging import through_upscaler
    from hatcli.evaluation.evaluate import bicubic

    shown = [Shown(INPUT, bicubic(scale)(low))]
    with console.bars(len(upscalers)) as bars:
        for label, upscaler in upscalers.items():
            enlarge = through_upscaler(upscaler, label, scale, bars)
            began = time.perf_counter()
            shown.append(Shown(label, enlarge(low), time.perf_counter() - began))
            bars.finished()
            console.say(f"{show(label)}  {shown[-1].seconds:.1f} s")
    return shown
