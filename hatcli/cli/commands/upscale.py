"""`hat upscale`: options to a plan, the plan to a run, the run to a view."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Bars, Console, command, show
from hatcli.cli.shared.fetching import open_model
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.option_groups import Running, Talk
from hatcli.cli.shared.upscale_options import Content, Course, Files, Size, plan_of

if TYPE_CHECKING:
    from hatcli.batch.inputs import Found
    from hatcli.cli.views.runs import View


@command
@grouped
def upscale(
    files: Files,
    size: Size,
    *,
    model: options.ModelName = "auto",
    offline: options.Offline = False,
    running: Running,
    content: Content,
    course: Course,
    talk: Talk,
) -> None:
    """Enlarge pictures.

    \b
    hat upscale photo.png --scale 4                  writes photo_x4.png beside it
    hat upscale photo.jpg -o big.webp --width 3840   exactly 3840 pixels wide
    hat upscale holiday/ -r -o large/ --scale 2      a mirrored tree
    """
    files.check()
    console = course.console(talk, files)

    from hatcli.batch.decoder import DecoderProcess

    with ExitStack() as opened:
        decoder = DecoderProcess(max_pixels=content.max_pixels(), options=content.decoding())
        opened.callback(decoder.close)
        decoder.start()  # it gets ready while PyTorch is imported here

        from hatcli.batch.batch import make_ready, settle, wanted_factors
        from hatcli.cli.views.json_lines import JsonLines
        from hatcli.cli.views.people import People
        from hatcli.cli.views.runs import show_dry_run, show_run
        from hatcli.models.opening import AUTO
        from hatcli.upscaling.upscaler import Upscaler

        plan, naming = plan_of(files, size, content, course), files.naming()
        settings = running.settings(alpha=content.alpha, keep_color=content.keep_color)
        found = files.find(naming, look=decoder.look)
        choice = running.choice()
        factors = [] if model == AUTO else wanted_factors(plan.target, found, decoder.look)
        networks = open_model(model, factors, console, offline=offline)
        upscaler = Upscaler(networks, choice=choice, settings=settings)
        batch = settle(found, files.output, naming, plan, networks, upscaler, decoder)
        tell_found(found, console)
        lines: list[View] = [JsonLines()] if course.as_json else []
        if course.dry_run:
            code = show_dry_run(batch, [People(console, Bars(None, 0)), *lines])
        else:
            for note in make_ready(batch, opened, ignore_free_space=files.ignore_free_space):
                console.say(f"note: {show(note)}")
            bars = opened.enter_context(console.bars(len(batch.jobs)))
            code = show_run(batch, [People(console, bars), *lines])
    if code:
        raise typer.Exit(code)


def tell_found(found: Found, console: Console) -> None:
    """What the search for inputs has to say."""
    for remark in found.remarks:
        console.say(f"note: {show(remark)}")
    for detail in found.details:
        console.detail(show(detail))
