"""Results to files: in which format, noted in the journal before they take their names; and what dead runs left."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from hatcli.atomic import replacing, write_error
from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.journal import Journal, stamp_open
from hatcli.batch.naming import check_ending
from hatcli.batch.plan import Job
from hatcli.batch.reading import Stamp
from hatcli.errors import UsageError
from hatcli.folder import Folder
from hatcli.image import animation, encode
from hatcli.image.animation import Animation
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples

_TOO_YOUNG = 2.0  # seconds; a file just opened may not have its lock yet


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


@dataclass(frozen=True)
class Result:
    """An enlarged picture that has to be written: whole, or its rows as they are made.

    Attributes:
        picture: the whole result; or the picture it is made from, which tells depth, profile and metadata.
        width, height: of the result, in pixels.
        origin: the stamp of the input's bytes.
        strips: where the rows come from if they come one by one, alpha as the last channel if `has_alpha`.
        animation: what the frames were enlarged from, if there are several.
        frames: where the enlarged frames come from.
        made_by: the model, for the journal.
    """

    job: Job
    picture: Picture
    container: str
    width: int
    height: int
    origin: Stamp
    strips: BoundedQueue[Samples] | None = None
    has_alpha: bool = False
    animation: Animation | None = None
    frames: BoundedQueue[Picture] | None = None
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> BoundedQueue[Samples] | BoundedQueue[Picture] | None:
        """Where rows or frames come from."""
        return self.frames if self.strips is None else self.strips

    @property
    def waiting_bytes(self) -> int:
        """What it takes in memory until it is written."""
        alpha = self.picture.alpha
        return 0 if self.parts is not None else self.picture.pixels.nbytes + (0 if alpha is None else alpha.nbytes)


class UnfinishedError(Exception):
    """The rows of a result ended early: what made them has failed, and says so itself."""


def write(result: Result, *, options: EncodeOptions, overwrite: bool, journal: Journal | None) -> list[str]:
    """The result to its file, atomically, or to stdout; returns what the format could not hold, a sentence each.

    Args:
        overwrite: replace a file that no journal knows, or that was changed since, too.
        journal: where the result is noted, as made from its origin.

    Raises:
        OutputError: the file cannot be written, or the format cannot hold the picture.
        UsageError: a file is there that may not be replaced, maybe since a moment ago.
        UnfinishedError: its rows ended early.
    """
    output = result.job.output
    if output is None:
        return _to_stdout(result, options)

    def may_replace() -> bool:
        return overwrite or (journal is not None and journal.has_made(output))

    if os.path.lexists(output) and not may_replace():
        raise UsageError(f"{output} is there already", hint="add --overwrite to replace it")
    with _folder(output, journal) as folder, replacing(output, replace=may_replace, folder=folder) as file:
        lost = _encode(result, file, options)
        if journal is not None and result.job.source.path is not None:
            file.flush()
            made = stamp_open(file)
            journal.record(output, result.job.source.path, origin=result.origin, made=made, made_by=result.made_by)
    return lost


def _folder(output: Path, journal: Journal | None) -> Folder:
    """The folder of a result, made if missing."""
    if journal is not None:
        return journal.folder_of(output)
    try:
        return Folder(output.parent, make=True)
    except OSError as error:
        raise write_error(output.parent, error) from error


def _encode(result: Result, file: BinaryIO, options: EncodeOptions) -> list[str]:
    if result.frames is not None and result.animation is not None:
        frames = _all_frames(result.frames, result.animation)
        return animation.write_into(file, frames, result.animation, format=result.container, options=options)
    if result.strips is None:
        return encode.write_into(file, result.picture, format=result.container, options=options)
    return encode.write_rows_into(
        file,
        _all_rows(result.strips, height=result.height),
        result.picture,
        width=result.width,
        height=result.height,
        alpha=result.has_alpha,
        format=result.container,
        options=options,
    )


def _all_rows(strips: BoundedQueue[Samples], *, height: int) -> Iterator[Samples]:
    """The strips, and an error if they were not all."""
    count = 0
    for strip in strips:
        count += len(strip)
        yield strip
    if count != height:
        raise UnfinishedError


def _all_frames(frames: BoundedQueue[Picture], like: Animation) -> Iterator[Picture]:
    """The frames, and an error if they were not all."""
    count = 0
    for frame in frames:
        count += 1
        yield frame
    if count != len(like.frames) + (like.still is not None):
        raise UnfinishedError


def _to_stdout(result: Result, options: EncodeOptions) -> list[str]:
    file = io.BytesIO()
    lost = _encode(result, file, options)
    try:
        sys.stdout.buffer.write(file.getbuffer())
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader has enough: no failure of ours
        raise
    except OSError as error:
        raise write_error(Path("stdout"), error) from error
    return lost
