"""The sha256 an installed file had when it was installed, and whether it still has it; opens no checkpoint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from hatcli.atomic import replacing
from hatcli.errors import WeightsError
from hatcli.models import catalog, store
from hatcli.models.catalog import Entry
from hatcli.outside import open_plain, read_bounded
from hatcli.progress import drive

Verdict = Literal["intact", "changed", "unknown", "missing"]
_BLOCK = 2**20  # bytes
_LONGEST = 4096  # bytes of a receipt: one line


def sha256(path: Path) -> Generator[int, None, str]:
    """The file's sha256 as 64 hex digits; yields the bytes read so far about every 16 MiB."""
    digest = hashlib.sha256()
    with open_plain(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            if stream.tell() % (16 * _BLOCK) == 0:
                yield stream.tell()
    return digest.hexdigest()


def digest(path: Path) -> str:
    """The file's sha256 in one go."""
    return drive(sha256(path))


class ChangedError(WeightsError):
    """A file is not, or not any more, the one that it should be."""


@contextmanager
def unchanged(path: Path, sha256: str) -> Iterator[None]:
    """What is read inside is a file with this sha256, from its first byte to its last.

    Raises:
        ChangedError: it has another one, is gone, or somebody has touched it meanwhile.
    """
    before = _state(path)
    try:
        found = digest(path)
    except OSError as error:
        raise ChangedError(f"{path} cannot be read any more: {error.strerror or error}") from None
    if found != sha256:
        raise ChangedError(f"{path} has changed since it was installed")
    try:
        yield
    except WeightsError:
        if _state(path) == before:
            raise
    if _state(path) != before:
        raise ChangedError(f"{path} has changed while it was read")


def _state(path: Path) -> tuple[int, ...]:
    """What tells that a file was replaced or written to."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def write(identifier: str, sha256: str) -> None:
    """Notes the sha256 of the converted weights beside where they will be, as `sha256sum -c` reads it.

    Raises:
        OutputError: it cannot be written, or something else than a plain file lies there, such as a link.
    """
    name = store.weights_path(identifier).name
    with replacing(store.receipt_path(identifier)) as file:
        file.write(f"{sha256}  {name}\n".encode("ascii"))


def expected(entry: Entry) -> str | None:
    """The sha256 the installed file must have, or None where none was ever noted.

    Raises:
        WeightsError: something else than a receipt lies in its place.
    """
    if entry.bundled:
        return entry.sha256
    path = store.receipt_path(entry.id)
    try:
        text = read_bounded(path, most=_LONGEST, follow=False).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror or error}", hint="remove it, then run hat download again"
        ) from None
    match = re.match(r"[0-9a-f]{64}\b", text)
    return match[0] if match else None


def verify(entry: Entry) -> Generator[int, None, Verdict]:
    """Hashes the installed weights again; `unknown` where there is nothing to compare with.

    Raises:
        WeightsError: a link or a folder lies where the weights belong.
    """
    path = catalog.installed_path(entry)
    if path is None:
        return "missing"
    found = yield from sha256(path)
    noted = expected(entry)
    if noted is None:
        return "unknown"
    return "intact" if found == noted else "changed"
