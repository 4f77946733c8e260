"""One picture through the network and on to the writers: whole, row by row, or frame by frame."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.decision import Decision, decide, info_of
from hatcli.batch.dividing import joined, parts_of
from hatcli.batch.enlarged import PictureFrames, PicturePages, PictureRows, Provenance, WholePicture
from hatcli.batch.outcomes import Advanced, Event, Outcome, Writing
from hatcli.batch.pieces import Divisible, Joint, Piece
from hatcli.batch.plan import Job, Plan
from hatcli.batch.reading import Original, picture_bytes
from hatcli.batch.writers import UNWRITTEN, Made, Writers
from hatcli.image import encode
from hatcli.image.picture import Picture, Samples
from hatcli.progress import mapped
from hatcli.upscaling.parts import Part
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

Item = TypeVar("Item")

STREAM_FROM = 256 << 20  # bytes of a result from which its rows go to the file as they are made
UNWRITTEN_PARTS = 128 << 20  # bytes of rows or frames that wait to be written


def enlarge(job: Job, original: Original, upscaler: Upscaler, plan: Plan, writers: Writers) -> Iterator[Event]:
    """Enlarge a picture and hand it to the writers.

    Raises:
        HatError: it cannot be enlarged, or its format cannot hold the result.
    """
    began, picture = time.monotonic(), original.picture
    decision = decide(info_of(original), job, plan, upscaler)
    if decision.skipped:
        yield Outcome(job, "skipped", reason=decision.skipped)
        return
    if isinstance(job.piece, Divisible) and (parts := parts_of(original, decision, plan, most=job.piece.most)):
        yield Outcome(job, "divided", parts=parts)
        return
    provenance = Provenance(job, decision.container, original.stamp, _made_by(decision, picture, plan.target))
    moving = original.animation if decision.frames > 1 else None
    first = picture if moving is None else moving.frames[0]
    notes = (*first.notes, *decision.notes)
    if isinstance(job.piece, Part | Joint) or _is_streamed(original, decision):
        rows = _to_rows(provenance, picture, decision, job.piece)
        strips = _strips(job, original, decision, plan.target)
        yield from _hand_over(strips, rows.rows, Made(rows, decision, picture, notes, began), writers)
    elif moving is not None:
        frames = PictureFrames(provenance, moving, _parts())
        stills = () if moving.still is None else (moving.still,)
        made = _pictures(job, (*stills, *moving.frames), decision.upscaler, plan.target)
        yield from _hand_over(made, frames.frames, Made(frames, decision, picture, notes, began), writers)
    elif original.pages is not None:
        pages = PicturePages(provenance, len(original.pages), _parts())
        made = _pictures(job, original.pages, decision.upscaler, plan.target)
        yield from _hand_over(made, pages.pages, Made(pages, decision, picture, notes, began), writers)
    else:
        result = yield from _whole(job, picture, decision.upscaler, plan.target)
        whole = WholePicture(provenance, result)
        yield from writers.make_room(whole.waiting_bytes)
        writers.add(Made(whole, decision, picture, notes, began))
        yield Writing(job)


def _parts() -> BoundedQueue[Any]:
    return BoundedQueue(most_bytes=UNWRITTEN_PARTS, most_items=1 << 20)


def _is_streamed(original: Original, decision: Decision) -> bool:
    """Whether the rows of a result go to its file as they are made."""
    picture, size = original.picture, decision.size
    if decision.frames > 1 or original.pages is not None or decision.container not in encode.STREAMED:
        return False
    share = size.width * size.height / (picture.width * picture.height)
    return picture_bytes(picture) * share >= STREAM_FROM


def _to_rows(provenance: Provenance, picture: Picture, decision: Decision, piece: Piece | None) -> PictureRows:
    """A result, or a part of one, whose rows are to come."""
    size, is_part = decision.size, isinstance(piece, Part)
    height = piece.bottom - piece.top if isinstance(piece, Part) else size.height
    return PictureRows(provenance, picture, size.width, height, decision.has_alpha, _parts(), is_part)


def _made_by(decision: Decision, picture: Picture, target: Target) -> dict[str, Any]:
    """Which model makes a picture's result, and what decides so."""
    model = decision.upscaler.model
    if model is None:
        return {}
    factor = target.factor(picture.width, picture.height)
    return {"model": model.name, "weights": model.digest, "jpeg_quality": picture.jpeg_quality, "factor": factor}


def _whole(job: Job, picture: Picture, upscaler: Upscaler, target: Target) -> Generator[Advanced, None, Picture]:
    """The whole picture enlarged."""
    return (yield from mapped(upscaler.steps(picture, target), partial(Advanced, job)))


def _pictures(
    job: Job, pictures: tuple[Picture, ...], upscaler: Upscaler, target: Target
) -> Iterator[Advanced | tuple[Picture, int]]:
    """Frame after frame, or page after page, enlarged, with its bytes."""

    def advanced(number: int, progress: Progress) -> Advanced:
        return Advanced(job, replace(progress, done=(number + progress.done) / len(pictures)))

    for number, frame in enumerate(pictures):
        picture = yield from mapped(upscaler.steps(frame, target), partial(advanced, number))
        yield picture, picture_bytes(picture)


def _strips(
    job: Job, original: Original, decision: Decision, target: Target
) -> Iterator[Advanced | tuple[Samples, int]]:
    """The rows of a result, or of a part of one, as they are finished or read from parts, with their bytes."""
    if isinstance(job.piece, Joint):
        yield from joined(job, job.piece, original, decision)
        return
    part = job.piece if isinstance(job.piece, Part) else None
    for event in decision.upscaler.stream(original.picture, target, part=part):
        if isinstance(event, Progress):
            yield Advanced(job, event)
        else:
            yield event.samples, event.samples.nbytes


def _hand_over(
    made: Iterator[Advanced | tuple[Item, int]], parts: BoundedQueue[Item], whole: Made, writers: Writers
) -> Iterator[Event]:
    """A result that is written while it is made, part by part; a failure of either side ends both."""
    yield from writers.make_room(UNWRITTEN)  # a writer that waits for parts must not wait behind other results
    writers.add(whole)
    try:
        for event in made:
            if isinstance(event, Advanced):
                yield event
            elif not parts.put(event[0], size=event[1]):
                return  # the writer has failed, and its outcome says why
        parts.finish()
        yield Writing(whole.result.provenance.job)
        yield from writers.finished(all_of_them=True)
    finally:
        parts.stop()
