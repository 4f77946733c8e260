"""Where each picture's result goes: a named file, a mirrored tree, or beside its picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hatcli.batch import checks, streams
from hatcli.batch.inputs import STREAM, Found, InputFile
from hatcli.batch.naming import Naming, check_ending
from hatcli.batch.plan import Job, Plan
from hatcli.errors import HatError, UsageError
from hatcli.image.decode import PictureInfo
from hatcli.upscaling.upscaler import Upscaler

Look = Callable[[Path], PictureInfo]


def plan_jobs(
    found: Found, output: str | None, naming: Naming, plan: Plan, upscaler: Upscaler, *, look: Look
) -> list[Job]:
    """Where each picture's result goes; everything cheap that can go wrong goes wrong here.

    Args:
        look: says what the picture in a file is, where its name or its result's size need it.

    Raises:
        UsageError: outputs that collide, overwrite an input, or one file named for several inputs.
    """
    many = found.from_folder or len(found.files) > 1
    if output == STREAM:
        if many:
            raise UsageError("only one picture can go to stdout", hint="name a folder with -o")
        return [Job(found.files[0], None)]
    path = Path(output) if output else None
    to_folder = path is not None and (many or path.is_dir() or (output or "").endswith(("/", "\\")))
    if path is not None and to_folder and path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, and several pictures need a folder", hint="name a folder with -o")
    if path is None and any(file.path is None or (not many and streams.is_stream(file.path)) for file in found.files):
        raise UsageError("a picture from stdin or a pipe needs an output", hint="add -o out.png, or -o - for stdout")
    jobs = []
    for file in found.files:
        place = path if path and not to_folder else _place(file, path, naming, plan, upscaler, look)
        root = place.parents[len(file.place.parts) - 1] if many else None
        jobs.append(Job(file, place, root, _at_least(file, place, plan.target.scale or max(upscaler.native))))
    checks.check_outputs(jobs)
    for job in jobs:
        if job.output is not None and not to_folder and plan.format is None:
            check_ending(job.output)
    return jobs


def _at_least(file: InputFile, output: Path, factor: float) -> int:
    """Bytes the result takes, guessed low: a fifth of what the pixels' growth says, far less from lossless to lossy."""
    try:
        size = 0 if file.path is None else file.path.stat().st_size
    except OSError:  # it will be reported when its turn comes
        return 0
    lossy = (".jpg", ".jpeg", ".webp", ".avif")
    shrinks = output.suffix.lower() in lossy and file.place.suffix.lower() not in lossy
    return int(size * factor**2 * (0.005 if shrinks else 0.2))


def _place(file: InputFile, folder: Path | None, naming: Naming, plan: Plan, upscaler: Upscaler, look: Look) -> Path:
    """The output of a picture in a folder, its tree mirrored, or beside the picture."""
    factor, width, height, container, native = plan.target.scale, 0, 0, "PNG", upscaler.native
    templated = any(field in f"{naming.suffix}{naming.name or ''}" for field in ("{width}", "{height}", "{model}"))
    naming = replace(naming, model="" if upscaler.model is None else upscaler.model.name)
    ending_known = naming.format is not None or file.place.suffix != ""
    if file.path is not None and (templated or plan.target.is_size or not ending_known):
        try:
            info = look(file.path)
            suited = upscaler.suited(info.width, info.height, jpeg_quality=info.jpeg_quality, target=plan.target)
            naming = replace(naming, model="" if suited.model is None else suited.model.name)
            factor, native = plan.target.factor(info.width, info.height), suited.native
            width, height = (round(side * (factor or max(native))) for side in (info.width, info.height))
            container = info.format
        except (HatError, OSError):  # it will be reported when its turn comes
            factor = factor or 1.0
    name = naming.file_name(
        file.place, scale=factor or float(max(native)), width=width, height=height, source_format=container
    )
    parent = folder / file.place.parent if folder is not None else (file.path or Path()).parent
    return parent / name
