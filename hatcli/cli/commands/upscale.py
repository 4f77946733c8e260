"""`hat upscale`: options to settings, jobs to outcomes, outcomes to lines and an exit code."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command, show
from hatcli.cli.shared.devices import choose_device, run_settings
from hatcli.cli.shared.fetching import open_model
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.batch.inputs import Found
    from hatcli.batch.jobs import Look
    from hatcli.upscaling.size import Target

MOST_MEGAPIXELS = 1_000_000


@command
def upscale(
    inputs: options.Inputs = None,
    more_inputs: options.MoreInputs = None,
    output: options.Output = None,
    recursive: options.Recursive = False,
    follow_links: options.FollowLinks = False,
    suffix: options.Suffix = "_x{scale}",
    name: options.Name = None,
    file_format: options.FileFormat = "same",
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    ignore_free_space: options.IgnoreFreeSpace = False,
    scale: options.Scale = None,
    width: options.Width = None,
    height: options.Height = None,
    long_edge: options.LongEdge = None,
    short_edge: options.ShortEdge = None,
    megapixels: options.Megapixels = None,
    only_if_smaller: options.OnlyIfSmaller = False,
    model: options.ModelName = "auto",
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
    writers: options.Jobs = 2,
    quality: options.Quality = None,
    lossless: options.Lossless = False,
    compression: options.Compression = None,
    frames: options.Frames = None,
    alpha: options.Alpha = "model",
    keep_color: options.KeepColor = False,
    strip_metadata: options.StripMetadata = False,
    dpi: options.Dpi = "keep",
    max_megapixels: options.MaxPixels = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    fail_fast: options.FailFast = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Enlarge pictures.

    \b
    hat upscale photo.png --scale 4                  writes photo_x4.png beside it
    hat upscale photo.jpg -o big.webp --width 3840   exactly 3840 pixels wide
    hat upscale holiday/ -r -o large/ --scale 2      a mirrored tree
    """
    named = [*(inputs or []), *(more_inputs or [])]
    if not named:
        raise UsageError("no picture was named", hint="hat upscale photo.png --scale 4")
    if as_json and output == "-":
        raise UsageError("--json and the picture cannot both go to stdout", hint="write the picture to a file")
    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing contradict each other", hint="give one of them")

    from hatcli.batch.decoder import DecoderProcess
    from hatcli.image.decode import DEFAULT_MAX_PIXELS

    max_pixels = DEFAULT_MAX_PIXELS if max_megapixels is None else pixels(max_megapixels)
    with ExitStack() as opened:
        decoder = DecoderProcess(max_pixels=max_pixels)
        opened.callback(decoder.close)
        decoder.start()  # it gets ready while PyTorch is imported here

        from hatcli.atomic import sweep
        from hatcli.batch import checks
        from hatcli.batch.inputs import STREAM, find
        from hatcli.batch.jobs import plan_jobs
        from hatcli.batch.naming import Naming
        from hatcli.batch.plan import Plan, journals_of, to_do
        from hatcli.batch.room import check_room
        from hatcli.cli.views.reporting import Reporter
        from hatcli.image.encode import EncodeOptions
        from hatcli.models.opening import AUTO
        from hatcli.upscaling.size import Target
        from hatcli.upscaling.upscaler import Upscaler

        console = Console(quiet=quiet or output == "-", verbose=verbose, progress=not no_progress)
        plan = Plan(
            target=Target(scale, width, height, long_edge, short_edge, megapixels),
            format=format_name(file_format),
            options=EncodeOptions(
                quality=quality,
                lossless=lossless,
                compression=compression,
                strip_metadata=strip_metadata,
                dpi=dots_an_inch(dpi),
            ),
            overwrite=overwrite,
            skip_existing=skip_existing,
            only_if_smaller=only_if_smaller,
            max_pixels=max_pixels,
            fail_fast=fail_fast,
            frames=frames,
            writers=writers,
        )
        settings = run_settings(
            tile, overlap=overlap, tta=tta, alpha=alpha, max_memory=max_memory, keep_color=keep_color
        )
        naming = Naming(suffix=suffix, name=name, format=plan.format)
        folder = Path(output) if output and output != STREAM else None
        found = find(
            named, recursive=recursive, naming=naming, output=folder, follow_links=follow_links, look=decoder.look
        )
        choice = choose_device("cpu" if cpu else device, "fp32" if fp32 else precision, threads)
        factors = [] if model == AUTO else wanted_factors(plan.target, found, decoder.look)
        networks = open_model(model, factors, console, offline=offline)
        upscaler = Upscaler(networks, choice=choice, settings=settings)
        jobs = plan_jobs(found, output, naming, plan, upscaler, look=decoder.look)
        journals = journals_of(jobs, upscaler, plan, networks)
        checks.refuse_existing(jobs, plan, journals)
        tell_found(found, console)
        reporter = Reporter(console, as_json=as_json)
        if dry_run:
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
            ignore=ignore_free_space,
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


def pixels(megapixels: float) -> int:
    """`--max-megapixels` to pixels."""
    if not 0 < megapixels <= MOST_MEGAPIXELS:
        raise UsageError(
            f"--max-megapixels {megapixels:g} is not above 0 and at most {MOST_MEGAPIXELS}", hint="179 is the default"
        )
    return max(1, int(megapixels * 1e6))


def format_name(text: str) -> str | None:
    """`--format` to an encoder's name; None for `same`."""
    from hatcli.image import encode

    if text.lower() == "same":
        return None
    name = encode.format_for(text)
    if name is None:
        raise UsageError(f"there is no format {text!r}", hint="use same, png, jpeg, webp, tiff, avif, bmp or gif")
    return name


def dots_an_inch(text: str) -> float | None:
    """`--dpi` to a number; None for `keep`."""
    if text.lower() == "keep":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 65535:
        raise UsageError(f"--dpi {text} is neither 'keep' nor a resolution", hint="try --dpi 300")
    return value


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
