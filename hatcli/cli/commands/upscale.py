"""`hat upscale`: options to a plan, the plan to a run, the run to a view."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command, show
from hatcli.cli.shared.fetching import open_model
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.option_groups import Running, Talk
from hatcli.cli.shared.upscale_options import Content, Course, Files, Size

if TYPE_CHECKING:
    from hatcli.batch.inputs import Found
    from hatcli.batch.jobs import Look
    from hatcli.upscaling.size import Target


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
        decoder = DecoderProcess(max_pixels=content.max_pixels())
        opened.callback(decoder.close)
        decoder.start()  # it gets ready while PyTorch is imported here

        from hatcli.atomic import sweep
        from hatcli.batch import checks
        from hatcli.batch.inputs import find
        from hatcli.batch.jobs import plan_jobs
        from hatcli.batch.plan import Plan, journals_of, to_do
        from hatcli.batch.room import check_room
        from hatcli.cli.views.reporting import Reporter
        from hatcli.models.opening import AUTO
        from hatcli.upscaling.upscaler import Upscaler

        plan = Plan(
            target=size.target(),
            format=files.format(),
            options=content.encoding(),
            overwrite=files.overwrite,
            skip_existing=files.skip_existing,
            only_if_smaller=size.only_if_smaller,
            max_pixels=content.max_pixels(),
            fail_fast=course.fail_fast,
            frames=content.frames,
            writers=course.writers,
        )
        settings = running.settings(alpha=content.alpha, keep_color=content.keep_color)
        naming = files.naming()
        found = find(
            files.named,
            recursive=files.recursive,
            naming=naming,
            output=files.folder,
            follow_links=files.follow_links,
            look=decoder.look,
        )
        choice = running.choice()
        factors = [] if model == AUTO else wanted_factors(plan.target, found, decoder.look)
        networks = open_model(model, factors, console, offline=offline)
        upscaler = Upscaler(networks, choice=choice, settings=settings)
        jobs = plan_jobs(found, files.output, naming, plan, upscaler, look=decoder.look)
        journals = journals_of(jobs, upscaler, plan, networks)
        checks.refuse_existing(jobs, plan, journals)
        tell_found(found, console)
        reporter = Reporter(console, as_json=course.as_json)
        if course.dry_run:
            reporter.dry_run(jobs, found, upscaler, plan, networks, journals, decoder)
            return
        checks.check_targets(jobs)
        notes = check_room(
            to_do(jobs, plan, journals),
            plan,
            look=decoder.look,
            size_of=lambda info: upscaler.suited(
                info.width, info.height, jpeg_quality=info.jpeg_quality, target=plan.target
            ).plan(info.width, info.height, plan.target),
            ignore=files.ignore_free_space,
        )
        for note in notes:
            console.say(f"note: {show(note)}")
        for journal in journals.values():
            opened.callback(journal.close)
            journal.open()
        sweep({job.output.parent for job in jobs if job.output is not None})
        reporter.run(jobs, found, upscaler, plan, networks, journals, decoder)


def tell_found(found: Found, console: Console) -> None:
    """What the search for inputs has to say."""
    for remark in found.remarks:
        console.say(f"note: {show(remark)}")
    for detail in found.details:
        console.detail(show(detail))


def wanted_factors(target: Target, found: Found, look: Look) -> list[int]:
    """The whole factors the pictures need at least; empty: the model's own."""
    import math

    from hatcli.errors import HatError

    if target.scale is not None:
        return [math.ceil(target.scale)]
    if not target.is_size:
        return []
    factors = set()
    for file in found.files:
        try:
            info = look(file.path) if file.path is not None else None
        except (HatError, OSError):  # it will be reported when its turn comes
            continue
        if info is not None:
            factors.add(max(2, math.ceil(target.factor(info.width, info.height) or 0)))
    return sorted(factors) or [4]
