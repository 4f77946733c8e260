"""A published file to installed weights: verified by sha256, converted, then in place; knows no network."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hatcli.errors import WeightsError
from hatcli.models import receipt, store
from hatcli.models.catalog import Entry
from hatcli.models.transfer import saving
from hatcli.progress import mapped


@dataclass(frozen=True)
class FetchStep:
    """How far the fetching of a file is; `source` is who delivers, or the file being read."""

    stage: Literal["waiting", "downloading", "verifying", "converting"]
    done: int  # bytes
    total: int | None  # bytes; None while unknown
    source: str


def put_in_place(entry: Entry, file: Path, *, origin: str) -> Iterator[FetchStep]:
    """Verifies a published file, converts it, and puts it in place in one step at the very end.

    Args:
        origin: where it is from, for the metadata.

    Raises:
        WeightsError: it is not the published file, or no HAT for the factor it should be for.
        OutputError: it cannot be written.
    """
    try:
        genuine = yield from is_published(entry, file)
    except OSError as error:
        raise WeightsError(
            f"{file} cannot be read: {error.strerror or error}", hint="check that it is there and may be read"
        ) from None
    if not genuine:
        raise WeightsError(
            f"{file} is not the published {entry.filename}: its sha256 differs",
            hint="fetch it again, or use it as a file of your own: -n FILE",
        )
    yield FetchStep("converting", 0, None, file.name)
    workshop = store.workshop_path(entry.id)
    shutil.rmtree(workshop, ignore_errors=True)  # of a process that was killed here
    try:
        with saving(workshop):
            workshop.mkdir()
        fresh = workshop / store.weights_path(entry.id).name
        convert(entry, file, fresh, origin=origin)
        digest = receipt.digest(fresh)
        with saving(store.weights_path(entry.id)):
            receipt.write(entry.id, digest)
            fresh.replace(store.weights_path(entry.id))
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def convert(entry: Entry, file: Path, fresh: Path, *, origin: str) -> None:
    """A fetched checkpoint to safetensors with its configuration and where it came from."""
    from hatcli.network import checkpoint

    opened = checkpoint.read(file)
    if opened.config.upscale != entry.scale:
        raise WeightsError(
            f"{file.name} is a HAT for x{opened.config.upscale}, not for x{entry.scale}",
            hint="use it as a file of your own: -n FILE",
        )
    metadata = {
        "model": entry.id,
        "source": origin,
        "source_sha256": receipt.digest(file),
        "licence": entry.licence,
        "author": entry.author,
    }
    checkpoint.write(fresh, config=opened.config, state=opened.state, metadata=metadata)


def is_published(entry: Entry, file: Path) -> Generator[FetchStep, None, bool]:
    """Whether the file has the published sha256; True if none is known."""
    total = file.stat().st_size
    if entry.sha256 is None:
        return True
    found = yield from mapped(receipt.sha256(file), lambda done: FetchStep("verifying", done, total, file.name))
    return found == entry.sha256
