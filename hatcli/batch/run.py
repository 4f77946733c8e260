"""Jobs to outcomes, one picture after the other; a picture that fails is told and the rest goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hatcli.atomic import write_error
from hatcli.batch.files import Job
from hatcli.errors import HatError, InputError, UsageError
from hatcli.image import decode, encode
from hatcli.image.encode import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Progress, Upscaler


@dataclass(frozen=True)
class Plan:
    """What is the same for every picture of a run.

    Attributes:
        target: size of the results.
        format: an encoder's name, or None: by the output's ending.
        options: of the encoder.
        overwrite: whether existing outputs are replaced.
        skip_existing: whether pictures whose output exists are passed over.
        only_if_smaller: whether pictures that reach the target already are passed over.
        max_pixels: the largest input that is opened.
    """

    target: Target
    format: str | None = None
    options: EncodeOptions = field(default_factory=EncodeOptions)
    overwrite: bool = False
    skip_existing: bool = False
    only_if_smaller: bool = False
    max_pixels: int = decode.DEFAULT_MAX_PIXELS


@dataclass(frozen=True)
class Started:
    """A job begins."""

    job: Job


@dataclass(frozen=True)
class Advanced:
    """A job's picture got further."""

    job: Job
    progress: Progress


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: `done`, `failed` or `skipped`.
        error: why it failed.
        reason: why it was skipped.
        width, height: of the result, in pixels; 0 unless done.
        source_width, source_height: of the input, in pixels; 0 if it was not read.
        seconds: from reading to the finished file.
        notes: what was decided on the way, a sentence each.
    """

    job: Job
    status: str
    error: HatError | None = None
    reason: str | None = None
    width: int = 0
    height: int = 0
    source_width: int = 0
    source_height: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


Event = Started | Advanced | Outcome


def run(jobs: list[Job], upscaler: Upscaler, plan: Plan) -> Iterator[Event]:
    """Each job in turn: `Started`, any number of `Advanced`, one `Outcome`."""
    for job in jobs:
        yield Started(job)
        began = time.monotonic()
        try:
            yield from _one(job, upscaler, plan, began)
        except HatError as error:
            yield Outcome(job, "failed", error=error, seconds=time.monotonic() - began)


def _one(job: Job, upscaler: Upscaler, plan: Plan, began: float) -> Iterator[Event]:
    if job.output is not None and job.output.exists() and plan.skip_existing:
        yield Outcome(job, "skipped", reason="its output exists")
        return
    picture = read(job, max_pixels=plan.max_pixels)
    size = upscaler.plan(picture.width, picture.height, plan.target)
    if plan.only_if_smaller and not size.passes:
        yield Outcome(job, "skipped", reason="it is large enough already")
        return
    container = output_format(job, picture, plan.format)
    has_alpha = picture.alpha is not None and upscaler.settings.alpha != "drop"
    notes = encode.check_format(
        container,
        width=size.width,
        height=size.height,
        bits=picture.bits,
        alpha=has_alpha,
        gray=picture.is_gray,
        options=plan.options,
    )
    steps = upscaler.upscale(picture, plan.target)
    while True:
        try:
            yield Advanced(job, next(steps))
        except StopIteration as finished:
            result: Picture = finished.value
            break
    lost = write(result, job, container=container, plan=plan)
    yield Outcome(
        job,
        "done",
        width=result.width,
        height=result.height,
        source_width=picture.width,
        source_height=picture.height,
        seconds=time.monotonic() - began,
        notes=tuple(dict.fromkeys((*picture.notes, *notes, *lost))),
    )


def read(job: Job, *, max_pixels: int) -> Picture:
    """The job's picture, from its file or from stdin."""
    if job.source.path is None:
        return decode.decode(sys.stdin.buffer.read(), name="stdin", max_pixels=max_pixels)
    try:
        return decode.read(job.source.path, max_pixels=max_pixels)
    except OSError as error:
        raise InputError(f"{job.source.path} cannot be read: {error.strerror or error}") from error


def output_format(job: Job, picture: Picture, wanted: str | None) -> str:
    """The encoder for a job: as asked, else by the output's ending, else as the input (PNG if that has no encoder).

    Raises:
        UsageError: the output's ending is no format that can be written.
    """
    if wanted is not None:
        return wanted
    if job.output is None:
        return encode.format_for(picture.format) or "PNG"
    return check_ending(job.output)


def check_ending(output: Path) -> str:
    """The encoder an output's ending means.

    Raises:
        UsageError: it means none.
    """
    known = encode.format_for(output.suffix) if output.suffix else None
    if known is None:
        raise UsageError(
            f"{output.name} has no ending that says its format", hint="end it in .png, .jpg, .webp, .tif or .avif"
        )
    return known


def write(picture: Picture, job: Job, *, container: str, plan: Plan) -> list[str]:
    """The result to its file, atomically, or to stdout; returns what the format could not hold, a sentence each."""
    if job.output is None:
        sys.stdout.buffer.write(encode.encode(picture, format=container, options=plan.options))
        sys.stdout.buffer.flush()
        return []
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(Path(job.output.parent), error) from error
    return encode.write(picture, job.output, format=container, options=plan.options, overwrite=plan.overwrite)
