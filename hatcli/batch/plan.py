"""What is to be done, before any of it: where each picture's result goes, what is finished, which journals know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hatcli import __version__
from hatcli.batch.films import Films
from hatcli.batch.inputs import InputFile
from hatcli.batch.journal import NO_WEIGHTS, Journal
from hatcli.batch.pieces import Piece
from hatcli.batch.places.objects import Stored
from hatcli.batch.shards import WHOLE, Shard
from hatcli.batch.stamps import is_there
from hatcli.errors import UsageError
from hatcli.image import decode
from hatcli.image.options import DecodeOptions, EncodeOptions
from hatcli.models.opening import Auto, Model
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

FINISHED = "it is finished already"


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
        fail_fast: whether the first failure ends the run.
        frames: `first`, `all` (where the format can hold them), or None: all where the output keeps the input's format.
        decoding: how inputs are read.
        films: who enlarges films; None: nobody does.
        writers: threads that encode and write while the next picture is enlarged.
        asked: of a server that enlarges the pictures; None: they are enlarged here.
    """

    target: Target
    format: str | None = None
    options: EncodeOptions = field(default_factory=EncodeOptions)
    overwrite: bool = False
    skip_existing: bool = False
    only_if_smaller: bool = False
    max_pixels: int = decode.DEFAULT_MAX_PIXELS
    fail_fast: bool = False
    frames: str | None = None
    writers: int = 2
    decoding: DecodeOptions = field(default_factory=DecodeOptions)
    films: Films | None = field(default=None, compare=False)
    asked: Mapping[str, Any] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.frames not in (None, "first", "all"):
            raise UsageError(f"there is no --frames {self.frames}", hint="use first or all")

    def has_film(self, job: Job) -> bool:
        """Whether a job is a film's, or becomes one."""
        return self.films is not None and job.source.path is not None and self.films.takes(job.source.path, job.output)


@dataclass(frozen=True)
class Job:
    """One picture to enlarge and where the result goes; None as output: stdout, or an object.

    Attributes:
        root: the folder whose journal the result belongs to, or None: to no journal.
        stored: the object that the result becomes, instead of a file.
        piece: what of it is to be made, or from what; None: all of it, here.
    """

    source: InputFile
    output: Path | None
    root: Path | None = None
    stored: Stored | None = None
    piece: Piece | None = None

    @property
    def result(self) -> Path | Stored | None:
        """The file or the object that it becomes; None: stdout."""
        return self.output if self.stored is None else self.stored


def journals_of(
    jobs: list[Job], upscaler: Upscaler, plan: Plan, opened: Model | Auto, shard: Shard = WHOLE
) -> dict[Path, Journal]:
    """The journal of each folder that results go to; none for a single named file."""
    roots = sorted({job.root for job in jobs if job.root is not None})
    if not roots:
        return {}
    made_with, weights_for = ways(upscaler, plan, opened)
    return {root: Journal(root, made_with, weights_for, shard=shard) for root in roots}


def ways(
    upscaler: Upscaler, plan: Plan, opened: Model | Auto
) -> tuple[dict[str, Any], Callable[[int | None, float | None], str]]:
    """What decides what results look like, for a journal: settings, and the digest of the weights a picture gets."""
    settings = asdict(upscaler.settings)
    settings.pop("max_memory")  # like the free memory, it decides how much is done at once
    made_with = {
        "hat": __version__,
        "target": asdict(plan.target),
        "format": plan.format,
        "frames": plan.frames,
        "encoder": asdict(plan.options),
        "upscaler": settings,
        "precision": upscaler.choice.precision,
    }
    if plan.decoding != DecodeOptions():  # else older journals would not be believed any more
        made_with["decoding"] = asdict(plan.decoding)
    if plan.films is not None and plan.films.settings:
        made_with["films"] = plan.films.settings
    if plan.asked is not None:
        made_with["server"] = dict(plan.asked)

    def weights_for(jpeg_quality: int | None, factor: float | None) -> str:
        if plan.asked is not None:  # nobody knows them but the server
            return NO_WEIGHTS
        return opened.suited(jpeg_quality=jpeg_quality, factor=factor).digest

    return made_with, weights_for


def reason_to_skip(job: Job, plan: Plan, journals: dict[Path, Journal]) -> str | None:
    """Why nothing has to be done, or None."""
    result, source = job.result, job.source.origin
    if result is None:
        return None
    journal = journals.get(job.root) if job.root is not None else None
    if journal is not None and source is not None:
        if journal.is_finished(result, source):
            return FINISHED
        if not plan.overwrite and journal.was_changed(result, source):
            return "its result was changed since; --overwrite makes it again"
    return "its output exists" if plan.skip_existing and is_there(result) else None


def to_do(jobs: list[Job], plan: Plan, journals: dict[Path, Journal]) -> list[Job]:
    """The jobs that are neither finished nor passed over."""
    return [job for job in jobs if reason_to_skip(job, plan, journals) is None]
