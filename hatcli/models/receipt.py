"""The sha256 an installed file had when it was installed, and whether it still has it; opens no checkpoint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from pathlib import Path
from typing import Literal

from hatcli.models import catalog, store
from hatcli.models.catalog import Entry

Verdict = Literal["intact", "changed", "unknown", "missing"]
_BLOCK = 2**20  # bytes


def sha256(path: Path) -> Generator[int, None, str]:
    """The file's sha256 as 64 hex digits; yields the bytes read so far about every 16 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            if stream.tell() % (16 * _BLOCK) == 0:
                yield stream.tell()
    return digest.hexdigest()


def digest(path: Path) -> str:
    """The file's sha256 in one go."""
    reading = sha256(path)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            return str(end.value)


def write(identifier: str, sha256: str) -> None:
    """Notes the sha256 of the converted weights beside where they will be, as `sha256sum -c` reads it."""
    name = store.weights_path(identifier).name
    store.receipt_path(identifier).write_text(f"{sha256}  {name}\n", encoding="ascii", newline="\n")


def expected(entry: Entry) -> str | None:
    """The sha256 the installed file must have, or None where none was ever noted."""
    if entry.bundled:
        return entry.sha256
    path = store.plain_file(store.receipt_path(entry.id))
    text = path.read_text(encoding="ascii", errors="replace") if path is not None else ""
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
