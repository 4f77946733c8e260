"""Results to files: in which format, noted in the journal before they take their names; and what dead runs left."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hatcli.atomic import replacing, write_error
from hatcli.batch import dividing
from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.claims import Claim
from hatcli.batch.enlarged import Enlarged, PictureFrames, PicturePages, WholePicture
from hatcli.batch.journal import Journal
from hatcli.batch.places.journal import StoreJournal
from hatcli.batch.places.objects import Stored
from hatcli.batch.places.store import StorePlace
from hatcli.batch.stamps import stamp_open
from hatcli.folder import Folder
from hatcli.image import animation, encode, pages
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples


class UnfinishedError(Exception):
    """The rows of a result ended early: what made them has failed, and says so itself."""


def write(result: Enlarged, *, options: EncodeOptions, overwrite: bool, journal: Journal | None) -> list[str]:
    """The result to its file, atomically, or to stdout; returns what the format could not hold, a sentence each.

    Args:
        overwrite: replace a file that no journal knows, or that was changed since, too.
        journal: where the result is noted, as made from its origin.

    Raises:
        OutputError: the file cannot be written, or the format cannot hold the picture.
        UsageError: a file is there that may not be replaced, maybe since a moment ago.
        UnfinishedError: its rows ended early.
    """
    provenance = result.provenance
    output, source = provenance.job.output, provenance.job.source.origin
    if provenance.job.stored is not None:
        return _to_store(result, provenance.job.stored, options, overwrite=overwrite, journal=journal)
    if output is None:
        return _to_stdout(result, options)

    claim = Claim(output, journal, overwrite)
    claim.check_early()
    with folder_of(output, journal) as folder, replacing(output, replace=claim.may_replace, folder=folder) as file:
        lost = _encode(result, file, options)
        if journal is not None and source is not None:
            file.flush()
            made = stamp_open(file)
            lost = [*lost, *claim.check(made)]
            journal.record(output, source, origin=provenance.origin, made=made, made_by=provenance.made_by)
    return lost


def _to_store(
    result: Enlarged, stored: Stored, options: EncodeOptions, *, overwrite: bool, journal: Journal | None
) -> list[str]:
    """Encoded to a file that nobody sees, then sent; the object says itself what it was made from."""
    provenance, place = result.provenance, stored.holder
    source = provenance.job.source.origin
    assert isinstance(place, StorePlace), "results go to stores"
    may_replace = overwrite or (journal is not None and journal.has_made(stored))
    attributes = {"Content-Type": f"image/{provenance.container.lower()}"}
    if isinstance(journal, StoreJournal) and source is not None:
        attributes |= journal.attributes_for(source, provenance.origin, provenance.made_by)
    try:
        with tempfile.TemporaryFile(prefix="hat-") as file:
            lost = _encode(result, file, options)
            file.flush()
            made = place.put_result(stored.key, file, attributes=attributes, replace=may_replace)
    except OSError as error:
        raise write_error(Path(tempfile.gettempdir()) / stored.name, error) from error
    if journal is not None and source is not None:
        journal.record(stored, source, origin=provenance.origin, made=made, made_by=provenance.made_by)
    return lost


def folder_of(output: Path, journal: Journal | None) -> Folder:
    """The folder of a result, made if missing.

    Raises:
        OutputError: it cannot be made or opened.
    """
    if journal is not None:
        return journal.folder_of(output)
    try:
        return Folder(output.parent, make=True)
    except OSError as error:
        raise write_error(output.parent, error) from error


def _encode(result: Enlarged, file: BinaryIO, options: EncodeOptions) -> list[str]:
    container = result.provenance.container
    if isinstance(result, WholePicture):
        return encode.write_into(file, result.picture, format=container, options=options)
    if isinstance(result, PictureFrames):
        expected = len(result.like.frames) + (result.like.still is not None)
        frames = _all_pictures(result.frames, expected)
        return animation.write_into(file, frames, result.like, format=container, options=options)
    if isinstance(result, PicturePages):
        every = _all_pictures(result.pages, result.count)
        return pages.write_into(file, every, count=result.count, options=options)
    rows = _all_rows(result.rows, height=result.height)
    if result.is_part:
        dividing.write_part(file, rows)
        return []
    return encode.write_rows_into(
        file,
        rows,
        result.like,
        width=result.width,
        height=result.height,
        alpha=result.has_alpha,
        format=container,
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


def _all_pictures(pictures: BoundedQueue[Picture], expected: int) -> Iterator[Picture]:
    """The frames or pages, and an error if they were not all."""
    count = 0
    for picture in pictures:
        count += 1
        yield picture
    if count != expected:
        raise UnfinishedError


def _to_stdout(result: Enlarged, options: EncodeOptions) -> list[str]:
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
