"""What enlarging one picture means, decided once: the run and the dry run ask the same, so that neither can lie."""

from __future__ import annotations

from dataclasses import dataclass

from hatcli.batch.naming import check_ending
from hatcli.batch.plan import Job, Plan
from hatcli.batch.reading import Original
from hatcli.errors import OutputError
from hatcli.image import animation, encode, formats, pages
from hatcli.image.decode import PictureInfo
from hatcli.models.opening import unsuited
from hatcli.upscaling.size import SizePlan
from hatcli.upscaling.upscaler import Upscaler


@dataclass(frozen=True)
class Decision:
    """How one picture is enlarged.

    Attributes:
        upscaler: of the model that suits the picture.
        size: passes and final size.
        container: the encoder's name.
        frames: how many pictures of the file are enlarged: all of an animation, the wanted pages of a TIFF, else one.
        has_alpha: whether the result has transparency.
        notes: what is decided or lost, a sentence each.
        skipped: why nothing is done, or None.
        advice: what would suit such a picture better, or None.
    """

    upscaler: Upscaler
    size: SizePlan
    container: str
    frames: int = 1
    has_alpha: bool = False
    notes: tuple[str, ...] = ()
    skipped: str | None = None
    advice: str | None = None

    @property
    def model(self) -> str | None:
        """The model's name, where it has one."""
        return None if self.upscaler.model is None else self.upscaler.model.name


def decide(info: PictureInfo, job: Job, plan: Plan, upscaler: Upscaler) -> Decision:
    """How the picture of a job is enlarged, told from what it is.

    Raises:
        UsageError: the target is out of reach, or the output's ending is no format.
        OutputError: the format cannot hold the result.
    """
    suited = upscaler.suited(info.width, info.height, jpeg_quality=info.jpeg_quality, target=plan.target)
    size = suited.plan(info.width, info.height, plan.target)
    container = container_of(job, info, plan)
    if info.pages > 1 and container != pages.FORMAT:
        raise OutputError(
            f"{formats.title(container)} holds one page, not {info.pages}",
            hint="write them as TIFF: --format tiff, or take one: --pages first",
        )
    if plan.only_if_smaller and not size.passes:
        return Decision(suited, size, container, skipped="it is large enough already")
    has_alpha = info.alpha and suited.settings.alpha != "drop"
    lost = encode.check_format(
        container,
        width=size.width,
        height=size.height,
        bits=info.bits,
        alpha=has_alpha,
        gray=info.channels == 1,
        options=plan.options,
        light=info.light,
    )
    moves = container in animation.FORMATS and info.format in animation.FORMATS  # pages of a TIFF do not
    wanted = plan.frames == "all" or (plan.frames is None and container == info.format)
    return Decision(
        upscaler=suited,
        size=size,
        container=container,
        frames=info.frames if moves and wanted else info.pages,
        has_alpha=has_alpha,
        notes=(*suited.notes(info.width, info.height, info.bits, plan.target), *lost),
        advice=None if suited.model is None else unsuited(suited.model, jpeg_quality=info.jpeg_quality),
    )


def container_of(job: Job, info: PictureInfo, plan: Plan) -> str:
    """The encoder for a job: as asked, else by the output's ending, else as the input (PNG if that has no encoder).

    Raises:
        UsageError: the output's ending is no format that can be written.
    """
    if plan.format is not None:
        return plan.format
    result = job.result
    return check_ending(result) if result is not None else encode.format_for(info.format) or "PNG"


def info_of(original: Original) -> PictureInfo:
    """What a decoded picture is, in the same words as a look at its file."""
    picture, moving = original.picture, original.animation
    return PictureInfo(
        width=picture.width,
        height=picture.height,
        bits=picture.bits,
        channels=1 if picture.is_gray else 3,
        alpha=picture.alpha is not None,
        format=picture.format,
        frames=1 if moving is None else len(moving.frames) + (moving.still is not None),
        jpeg_quality=picture.jpeg_quality,
        light=picture.light,
        pages=len(original.pages or (picture,)),
    )
