"""`hat upscale`: options to a plan, the plan to a run, the run to a view."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.clusters import joined
from hatcli.cli.shared.console import Bars, Console, command, show
from hatcli.cli.shared.fetching import open_model
from hatcli.cli.shared.film_options import Film
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.option_groups import Talk
from hatcli.cli.shared.program import ARGUMENTS
from hatcli.cli.shared.remote_options import Remote
from hatcli.cli.shared.upscale_options import Cluster, Content, Course, Files, RunningOnSeveral, Size, plan_of

if TYPE_CHECKING:
    from hatcli.batch.batch import Batch
    from hatcli.batch.inputs import Found
    from hatcli.cli.views.runs import View
    from hatcli.cluster.session import Session


@command
@grouped
def upscale(
    context: typer.Context,
    files: Files,
    size: Size,
    *,
    model: options.ModelName = "auto",
    offline: options.Offline = False,
    running: RunningOnSeveral,
    content: Content,
    film: Film,
    course: Course,
    cluster: Cluster,
    remote: Remote,
    talk: Talk,
) -> None:
    """Enlarge pictures and films.

    \b
    hat upscale photo.png --scale 4                  writes photo_x4.png beside it
    hat upscale photo.jpg -o big.webp --width 3840   exactly 3840 pixels wide
    hat upscale holiday/ -r -o large/ --scale 2      a mirrored tree
    hat upscale clip.mp4 -o large.mkv --scale 2      a film, its sound and subtitles copied
    """
    files.check()
    console, shard = course.console(talk, files), course.shard()
    cluster.check(server=remote.server)
    asked = remote.parameters(model, files, size, content, running, course)
    from hatcli.batch.decoder import DecoderProcess

    with ExitStack() as opened:
        decoder = DecoderProcess(max_pixels=content.max_pixels(), options=content.decoding())
        opened.callback(decoder.close)
        decoder.start()  # it gets ready while PyTorch is imported here

        from hatcli.batch.batch import settle, wanted_factors
        from hatcli.batch.places.settle import settle_stored
        from hatcli.cli.views.json_lines import JsonLines
        from hatcli.cli.views.people import People
        from hatcli.cli.views.runs import show_dry_run, show_run
        from hatcli.models.opening import AUTO
        from hatcli.upscaling.upscaler import Upscaler

        films, seeing = film.beside(decoder, max_pixels=content.max_pixels())
        plan, naming = plan_of(files, size, content, course, films), files.naming(film.suffix(files.suffix))
        settings = running.settings(alpha=content.alpha, keep_color=content.keep_color)
        found = files.find(naming, look=seeing.look, is_film=films.is_film)
        session = joined(cluster, running, console, opened)
        film.check_here(found, files, elsewhere=session is not None or bool(remote.server))
        choices = [session.choice(running.asked_precision, here=course.dry_run)] if session else running.choices()
        named = AUTO if remote.server else model  # the server has it, and knows it by name
        factors = [] if named == AUTO else wanted_factors(plan.target, found, seeing.look)
        networks = open_model(named, factors, console, offline=offline)
        upscaler = Upscaler(networks, choice=choices[0], settings=settings)
        if files.has_urls():
            batch = settle_stored(
                files.named,
                files.output,
                naming,
                plan,
                networks,
                upscaler,
                seeing,
                shard=shard,
                recursive=files.recursive,
                found=found,
                is_noted=not course.dry_run,
            )
        else:
            plan = remote.planned(plan, asked)
            batch = settle(
                found, files.output, naming, plan, networks, upscaler, seeing, shard=shard, named=files.named
            )
        tell_found(batch.found, console, idle=[*film.idle(found, files), *content.idle(found, files)])
        lines: list[View] = [JsonLines()] if course.as_json else []
        if remote.server:
            batch = remote.on_server(batch)
        elif len(choices) > 1:
            files.check_several()
            batch = replace(batch, devices=tuple(str(choice.device) for choice in choices))
        if course.dry_run:
            code = show_dry_run(batch, [People(console, Bars(None, 0)), *lines], session)
        else:
            for note in make_ready(batch, opened, files, session):
                console.say(f"note: {show(note)}")
            bars = opened.enter_context(console.bars(len(batch.jobs)))
            views = [People(console, bars), *lines]
            events = remote.events(batch, asked) if remote.server else session.run(batch) if session else None
            code = show_run(batch, views, events) if events else run(batch, views, context)
    if code:
        raise typer.Exit(code)


def make_ready(batch: Batch, opened: ExitStack, files: Files, session: Session | None) -> list[str]:
    """What must hold, and what may go wrong; where several processes will run, each opens its own journals."""
    from hatcli.batch import batch as batches

    if session is not None:
        session.check(batch)
    if len(batch.devices) > 1:
        return batches.check_ready(batch, ignore_free_space=files.ignore_free_space)
    return batches.make_ready(batch, opened, ignore_free_space=files.ignore_free_space)


def run(batch: Batch, views: list[View], context: typer.Context) -> int:
    """Run here, or on several devices, and show it; the exit code."""
    from hatcli.cli.views.runs import show_run

    if not batch.devices:
        return show_run(batch, views)
    from hatcli.cli.shared.device_processes import run_on

    return show_run(batch, views, run_on(batch.devices, batch, context.meta[ARGUMENTS]))


def tell_found(found: Found, console: Console, *, idle: list[str]) -> None:
    """What the search for inputs has to say, and which options mean nothing for them."""
    for remark in (*idle, *found.remarks):
        console.say(f"note: {show(remark)}")
    for detail in found.details:
        console.detail(show(detail))
