"""`hat upscale`: options to settings, jobs to outcomes, outcomes to lines and an exit code."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command
from hatcli.cli.shared.devices import choose_device, run_settings
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.batch.files import Found, InputFile, Job, Naming
    from hatcli.batch.journal import Journal
    from hatcli.batch.run import Plan
    from hatcli.models.opening import Model
    from hatcli.upscaling.size import Target
    from hatcli.upscaling.upscaler import Upscaler


@command
def upscale(
    inputs: options.Inputs = None,
    more_inputs: options.MoreInputs = None,
    output: options.Output = None,
    recursive: options.Recursive = False,
    suffix: options.Suffix = "_x{scale}",
    name: options.Name = None,
    file_format: options.FileFormat = "same",
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
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

    from hatcli.batch import files
    from hatcli.batch.run import Plan
    from hatcli.batch.writing import sweep
    from hatcli.cli.views.reporting import Reporter
    from hatcli.image.decode import DEFAULT_MAX_PIXELS
    from hatcli.image.encode import EncodeOptions
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
        max_pixels=int(max_megapixels * 1e6) if max_megapixels else DEFAULT_MAX_PIXELS,
        fail_fast=fail_fast,
        frames=frames,
        writers=writers,
    )
    settings = run_settings(tile, overlap=overlap, tta=tta, alpha=alpha, max_memory=max_memory)
    naming = files.Naming(suffix=suffix, name=name, format=plan.format)
    folder = Path(output) if output and output != files.STREAM else None
    found = files.find(named, recursive=recursive, naming=naming, output=folder)
    choice = choose_device("cpu" if cpu else device, "fp32" if fp32 else precision, threads)
    opened = open_model(model, plan.target, found, console, offline=offline)
    naming = files.Naming(suffix=suffix, name=name, format=plan.format, model=opened.name)
    upscaler = Upscaler(opened, choice=choice, settings=settings)
    jobs = plan_jobs(found, output, naming, plan, upscaler.native)
    journals = journals_of(jobs, upscaler, plan, opened)
    refuse_existing(jobs, plan, journals)
    reporter = Reporter(console, as_json=as_json)
    if dry_run:
        reporter.dry_run(jobs, found, upscaler, plan, opened, journals)
        return
    files.check_targets(jobs)
    files.check_room(jobs)
    with ExitStack() as open_files:
        for journal in journals.values():
            open_files.callback(journal.close)
            journal.open()
        sweep({job.output.parent for job in jobs if job.output is not None})
        reporter.run(jobs, found, upscaler, plan, opened, journals)


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


def open_model(name: str, target: Target, found: Found, console: Console, *, offline: bool) -> Model:
    """The model `-n` means, fetched first if it is in the catalogue but not here.

    Raises:
        WeightsError: it is not here and cannot be had.
    """
    from hatcli.cli.shared.fetching import fetch_missing
    from hatcli.models import opening

    if opening.names_file(name):
        return opening.open_file(Path(name))
    factors = wanted_factors(target, found)
    if name != "auto":
        fetch_missing(name, factors, console, offline=offline)
    elif not target.is_size:
        from hatcli.image.quality import jpeg_quality

        qualities = (None if file.path is None else jpeg_quality(file.path) for file in found.files)
        if better := opening.for_photos(qualities, scale=target.scale):
            chosen = opening.open_installed(better)
            chosen.chosen = True
            return chosen
    return opening.open_installed(name, scale=min(16, max(factors)) if factors else None)


def wanted_factors(target: Target, found: Found) -> list[int]:
    """The whole factors the pictures need at least; empty: the model's own."""
    import math

    from hatcli.errors import HatError
    from hatcli.image import decode

    if target.scale is not None:
        return [math.ceil(target.scale)]
    if not target.is_size:
        return []
    factors = set()
    for file in found.files:
        try:
            info = decode.probe(file.path) if file.path is not None else None
        except (HatError, OSError):  # it will be reported when its turn comes
            continue
        if info is not None:
            factors.add(max(2, math.ceil(target.factor(info.width, info.height) or 0)))
    return sorted(factors) or [4]


def plan_jobs(found: Found, output: str | None, naming: Naming, plan: Plan, native: tuple[int, ...]) -> list[Job]:
    """Where each picture's result goes; everything cheap that can go wrong goes wrong here.

    Raises:
        UsageError: outputs that collide, overwrite an input, or one file named for several inputs.
    """
    from hatcli.batch import files

    many = found.from_folder or len(found.files) > 1
    if output == files.STREAM:
        if many:
            raise UsageError("only one picture can go to stdout", hint="name a folder with -o")
        return [files.Job(found.files[0], None)]
    path = Path(output) if output else None
    to_folder = path is not None and (many or path.is_dir() or (output or "").endswith(("/", "\\")))
    if path is not None and to_folder and path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, and several pictures need a folder", hint="name a folder with -o")
    if path is None and any(file.path is None for file in found.files):
        raise UsageError("a picture from stdin needs an output", hint="add -o out.png, or -o - for stdout")
    jobs = []
    for file in found.files:
        place = path if path and not to_folder else _place(file, path, naming, plan, native)
        root = place.parents[len(file.place.parts) - 1] if many else None
        jobs.append(files.Job(file, place, root, _at_least(file, place, plan.target.scale or max(native))))
    files.check_outputs(jobs)
    for job in jobs:
        if job.output is not None and not to_folder and plan.format is None:
            from hatcli.batch.writing import check_ending

            check_ending(job.output)
    return jobs


def journals_of(jobs: list[Job], upscaler: Upscaler, plan: Plan, model: Model) -> dict[Path, Journal]:
    """The journal of each folder that results go to; none for a single named file."""
    from dataclasses import asdict

    from hatcli import __version__
    from hatcli.batch.journal import Journal, stamp_file

    roots = sorted({job.root for job in jobs if job.root is not None})
    if not roots:
        return {}
    settings = asdict(upscaler.settings)
    settings.pop("max_memory")  # like the free memory, it decides how much is done at once
    made_with = {
        "hat": __version__,
        "model": {str(scale): stamp_file(path).sha256 for scale, path in model.files.items()},
        "target": asdict(plan.target),
        "format": plan.format,
        "frames": plan.frames,
        "encoder": asdict(plan.options),
        "upscaler": settings,
        "precision": upscaler.choice.precision,
    }
    return {root: Journal(root, made_with) for root in roots}


def refuse_existing(jobs: list[Job], plan: Plan, journals: dict[Path, Journal]) -> None:
    """Stop, before any work, at outputs that no journal knows and that may neither be replaced nor passed over.

    Raises:
        UsageError: naming the first of them.
    """
    if plan.overwrite or plan.skip_existing:
        return
    existing = [
        job.output
        for job in jobs
        if job.output is not None
        and os.path.lexists(job.output)
        and not (job.root is not None and journals[job.root].knows(job.output))
    ]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]} exists already{more}", hint="add --overwrite or --skip-existing")


def _at_least(file: InputFile, output: Path, factor: float) -> int:
    """Bytes the result takes, guessed low: a fifth of what the pixels' growth says, far less from lossless to lossy."""
    try:
        size = 0 if file.path is None else file.path.stat().st_size
    except OSError:  # it will be reported when its turn comes
        return 0
    lossy = (".jpg", ".jpeg", ".webp", ".avif")
    shrinks = output.suffix.lower() in lossy and file.place.suffix.lower() not in lossy
    return int(size * factor**2 * (0.005 if shrinks else 0.2))


def _place(file: InputFile, folder: Path | None, naming: Naming, plan: Plan, native: tuple[int, ...]) -> Path:
    """The output of a picture in a folder, its tree mirrored, or beside the picture."""
    from hatcli.errors import HatError
    from hatcli.image import decode

    factor, width, height, container = plan.target.scale, 0, 0, "PNG"
    templated = any(field in f"{naming.suffix}{naming.name or ''}" for field in ("{width}", "{height}"))
    ending_known = naming.format is not None or file.place.suffix != ""
    if file.path is not None and (templated or plan.target.is_size or not ending_known):
        try:
            info = decode.probe(file.path)
            factor = plan.target.factor(info.width, info.height)
            width, height = (round(side * (factor or max(native))) for side in (info.width, info.height))
            container = info.format
        except (HatError, OSError):  # it will be reported when its turn comes
            factor = factor or 1.0
    name = naming.file_name(
        file, scale=factor or float(max(native)), width=width, height=height, source_format=container
    )
    parent = folder / file.place.parent if folder is not None else (file.path or Path()).parent
    return parent / name
