"""Results on their way out: one as an attachment, many as a zip that is nowhere but on the wire."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import BinaryIO
from urllib.parse import quote

from starlette.responses import FileResponse

from hatcli.outside import open_plain

PIECE = 1 << 20  # bytes
OWN_POLICY = {"content-security-policy": "default-src 'none'; sandbox"}
_TYPES = {
    ".png": "image/png", ".apng": "image/png",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".jpe": "image/jpeg", ".jfif": "image/jpeg", ".mpo": "image/jpeg",
    ".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff", ".avif": "image/avif", ".gif": "image/gif",
    ".bmp": "image/bmp", ".dib": "image/bmp",
}  # fmt: skip


def disposition(name: str) -> str:
    """The header that saves an answer under a name: plain ASCII for old clients, and the name itself, escaped."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._- ") else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def attachment(path: Path, name: str) -> FileResponse:
    """A result to be saved, never shown: its type is ours, whatever it is called. Parts of it can be had (Range)."""
    kind = _TYPES.get(PurePath(name).suffix.lower(), "application/octet-stream")
    return FileResponse(path, media_type=kind, headers={"content-disposition": disposition(name), **OWN_POLICY})


def inline(path: Path) -> FileResponse:
    """A small picture that we made."""
    return FileResponse(path, media_type="image/webp", headers={**OWN_POLICY, "cache-control": "private, no-cache"})


class _Wire(io.RawIOBase):
    """A file that cannot seek and keeps only what was written last."""

    def __init__(self) -> None:
        self.written = bytearray()
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        self.written += piece
        self._at += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        """What was written since it was last asked."""
        taken = bytes(self.written)
        self.written.clear()
        return taken


def zipped(files: list[tuple[Path, str]]) -> Iterator[bytes]:
    """A zip of these files under these names, piece by piece; pictures are stored, for they do not get smaller."""
    wire = _Wire()
    with zipfile.ZipFile(wire, "w", zipfile.ZIP_STORED) as archive:
        for path, name in _apart(files):
            try:
                file = open_plain(path)
            except OSError:  # removed meanwhile
                continue
            with file:
                yield from _member(archive, file, name, wire)
    yield wire.take()


def _member(archive: zipfile.ZipFile, file: BinaryIO, name: str, wire: _Wire) -> Iterator[bytes]:
    info = zipfile.ZipInfo(name, date_time=time.localtime()[:6])
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=True) as member:
        while piece := file.read(PIECE):
            member.write(piece)
            yield wire.take()


def _apart(files: list[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    """The files with names that differ, whether letters are large or small."""
    taken: set[str] = set()
    for path, name in files:
        stem, ending = PurePath(name).stem, PurePath(name).suffix
        fresh, number = name, 1
        while fresh.lower() in taken:
            number += 1
            fresh = f"{stem} ({number}){ending}"
        taken.add(fresh.lower())
        yield path, fresh
