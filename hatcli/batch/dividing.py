"""A picture's result in parts: whether it can be made so, a part's samples to a file, and parts to the whole result."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from hatcli.batch.decision import Decision
from hatcli.batch.outcomes import Advanced
from hatcli.batch.pieces import Joint
from hatcli.batch.plan import Job, Plan
from hatcli.batch.reading import Original
from hatcli.errors import HatError, InputError, OutputError
from hatcli.image import encode
from hatcli.image.picture import Picture, Samples
from hatcli.outside import NotPlainError, open_plain
from hatcli.upscaling.parts import Part
from hatcli.upscaling.progress import Progress

_BLOCK = 8 << 20  # bytes of samples that are read at once


def parts_of(original: Original, decision: Decision, plan: Plan, *, most: int) -> tuple[Part, ...]:
    """The parts in which a result can be made; none if it has to be made whole.

    A picture that is no animation and has one page, whose format is written row by row, and which is made in several
    rows of tiles; not one of scene light, whose tones depend on all of it.
    """
    picture = original.picture
    is_scene = picture.light is not None and picture.light.is_scene
    if is_scene or decision.frames > 1 or original.pages is not None or decision.container not in encode.STREAMED:
        return ()
    return decision.upscaler.parts(picture, plan.target, count=most)


def write_part(file: BinaryIO, blocks: Iterable[Samples]) -> None:
    """A part's rows as bare samples, in the order of bytes of this machine."""
    for block in blocks:
        file.write(np.ascontiguousarray(block).data)


def joined(job: Job, joint: Joint, original: Original, decision: Decision) -> Iterator[Advanced | tuple[Samples, int]]:
    """The rows of a result from its parts, a block at a time, with their bytes.

    Raises:
        HatError: a part is not there, or not whole, or was made from another input than the one that is there now.
    """
    if joint.origin != original.stamp.sha256:
        raise InputError(
            f"{job.source.label} was changed while it was enlarged", hint="the same command begins it anew"
        )
    assert job.output is not None, "parts lie beside a file"
    like, size, count = original.picture, decision.size, 0
    for name in joint.names:
        try:
            with open_plain(job.output.parent / name, follow=False) as file:
                for block in _blocks(file, like, size.width, channels=like.pixels.shape[2] + decision.has_alpha):
                    count += len(block)
                    yield block, block.nbytes
                    yield Advanced(job, Progress(count / size.height, 1, 1))
        except (NotPlainError, OSError) as error:
            raise OutputError(f"a part of {job.output.name} cannot be read: {error.strerror}") from error
    if count != size.height:
        raise _unwhole(job)


def _blocks(file: BinaryIO, like: Picture, width: int, *, channels: int) -> Iterator[Samples]:
    row = width * channels * like.pixels.itemsize
    rows = max(1, _BLOCK // row)
    for _ in range(-(-os.fstat(file.fileno()).st_size // (rows * row))):
        content = file.read(rows * row)
        samples: Any = np.frombuffer(content[: len(content) // row * row], like.pixels.dtype)
        yield samples.reshape(-1, width, channels)


def _unwhole(job: Job) -> HatError:
    assert job.output is not None
    return OutputError(f"the parts of {job.output.name} are not all of it", hint="the same command begins it anew")
