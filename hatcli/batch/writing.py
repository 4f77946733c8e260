"""Results to files: in which format, noted in the journal before they take their names; and what dead runs left."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hatcli.atomic import PREFIX, SUFFIX, replacing, write_error
from hatcli.batch.files import Job
from hatcli.batch.journal import Journal, stamp_file
from hatcli.batch.reading import Stamp
from hatcli.errors import UsageError
from hatcli.image import encode
from hatcli.image.encode import EncodeOptions
from hatcli.image.picture import Picture

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


def write(
    picture: Picture,
    job: Job,
    *,
    container: str,
    options: EncodeOptions,
    overwrite: bool,
    journal: Journal | None,
    origin: Stamp,
) -> list[str]:
    """The result to its file, atomically, or to stdout; returns what the format could not hold, a sentence each.

    Args:
        overwrite: replace a file that no journal knows, too.
        journal: where the result is noted, as made from `origin`.

    Raises:
        OutputError: the file cannot be written, or the format cannot hold the picture.
        UsageError: a file is there that was not when the run began.
    """
    output = job.output
    if output is None:
        return _to_stdout(picture, container=container, options=options)
    if os.path.lexists(output) and not (overwrite or (journal is not None and journal.knows(output))):
        raise UsageError(f"{output} is there already", hint="add --overwrite to replace it")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(output.parent, error) from error
    with replacing(output) as file:
        _hold(file)
        lost = encode.write_into(file, picture, format=container, options=options)
        if journal is not None and job.source.path is not None:
            file.flush()
            journal.record(output, job.source.path, origin=origin, made=stamp_file(Path(file.name)))
    return lost


def _to_stdout(picture: Picture, *, container: str, options: EncodeOptions) -> list[str]:
    encoded = encode.encode(picture, format=container, options=options)
    try:
        sys.stdout.buffer.write(encoded)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader has enough: no failure of ours
        raise
    except OSError as error:
        raise write_error(Path("stdout"), error) from error
    return []


def sweep(folders: set[Path]) -> int:
    """Remove what killed runs left in these folders: temporary files that nobody holds. Returns how many."""
    removed = 0
    for folder in folders:
        for path in folder.glob(f"{PREFIX}*{SUFFIX}") if folder.is_dir() else ():
            with suppress(OSError):  # gone meanwhile, or not ours to remove
                if time.time() - path.stat().st_mtime > _TOO_YOUNG and not _is_held(path):
                    path.unlink()
                    removed += 1
    return removed


def _hold(file: BinaryIO) -> None:
    """Mark a temporary file as somebody's; on Windows an open file cannot be removed anyway."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):  # a file system without locks; then nothing is ever swept there, see `_is_held`
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_held(path: Path) -> bool:
    if sys.platform == "win32":
        return False
    import fcntl

    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
