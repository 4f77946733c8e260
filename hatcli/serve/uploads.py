"""Pictures on their way in: piece by piece to the disk, under random names, never more than is allowed."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from hatcli.serve.limits import Limits, RefusedError, disk_full, too_large
from hatcli.serve.state import State, new_id

PIECE = 1 << 20  # bytes written at once
DRAINED = 64 << 20  # bytes of a refused body that are read and thrown away, so that its sender hears why
DRAIN_SECONDS = 5.0
MOST_PARTS = 1000
LONGEST_HEAD = 16 << 10  # bytes of a part's headers
_NO_FILE = "give files names, and parameters in the address: /jobs?scale=2"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Upload:
    """A picture that is being received: `id`, what its sender calls it, and how many bytes are here."""

    def __init__(self, state: State, limits: Limits, name: str | None = None) -> None:
        self.id, self.name, self.bytes = new_id(), name, 0
        self.refusal: RefusedError | None = None
        self._limits = limits
        self.path: Path = state.upload(self.id)
        self._pending = bytearray()
        self._file: BinaryIO = open(self.path, "xb")  # noqa: SIM115

    async def add(self, piece: bytes) -> None:
        """Take more of it; beyond the limit, remember that and take nothing."""
        self.bytes += len(piece)
        if self.refusal is None and self.bytes > self._limits.max_bytes:
            self.refusal = too_large(self._limits)
        if self.refusal is None:
            self._pending += piece
            if len(self._pending) >= PIECE:
                await run_in_threadpool(self._write)

    async def finish(self) -> None:
        """All of it is here.

        Raises:
            RefusedError: it was too much, or nothing, or the disk is full.
        """
        if self.refusal is None and self.bytes == 0:
            self.refusal = RefusedError(422, "there is no picture in the request", hint="send its bytes as the body")
        if self.refusal is None:
            await run_in_threadpool(self._write, last=True)
        if self.refusal is not None:
            self.drop()
            raise self.refusal
        self._file.close()

    def drop(self) -> None:
        """Leave nothing of it."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, *, last: bool = False) -> None:
        try:
            self._file.write(self._pending)
            if last:
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.refusal = disk_full()
        self._pending = bytearray()


async def pieces(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """A request's body as it comes.

    Raises:
        RefusedError: it stands still for too long.
        ClientDisconnect: the client has gone.
    """
    stream = request.stream().__aiter__()
    while True:
        try:
            piece = await asyncio.wait_for(stream.__anext__(), limits.upload_patience)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise RefusedError(408, "the upload stood still for too long", hint="send it again") from None
        if piece:
            yield piece


def check_announced(request: Request, state: State, limits: Limits, *, several: bool) -> None:
    """Refuse a body by the size it says it has.

    Raises:
        RefusedError: it is too large, or the disk has no room for it.
    """
    given = request.headers.get("content-length", "0")
    size = int(given) if given.isascii() and given.isdecimal() and len(given) < 20 else 0
    if not several and size > limits.max_bytes:
        raise too_large(limits)
    if size > state.free_bytes():
        raise disk_full()


async def receive_one(request: Request, state: State, limits: Limits) -> Upload:
    """The body as one picture.

    Raises:
        RefusedError: it is refused; nothing of it stays.
        ClientDisconnect: the client has gone; nothing of it stays.
    """
    upload = Upload(state, limits)
    try:
        async for piece in pieces(request, limits):
            await upload.add(piece)
            if upload.refusal is not None:
                break
        await upload.finish()
    except BaseException:
        upload.drop()
        raise
    return upload


async def drain(request: Request) -> None:
    """Read on for a while what was refused: a sender in the middle of sending does not listen."""
    taken = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for piece in request.stream():
                taken += len(piece)
                if taken > DRAINED:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):
        return


class _Parts:
    """What the parser of multipart/form-data finds, in order: begins, bytes and ends of files; `open` is not whole."""

    def __init__(self, state: State, limits: Limits) -> None:
        self._state, self._limits = state, limits
        self.open: Upload | None = None
        self._count = 0
        self._found: list[tuple[str, bytes]] = []
        self._field, self._value, self._headers = b"", b"", dict[bytes, bytes]()
        self._head_bytes = 0

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._head("_field", data[start:end]),
            "on_header_value": lambda data, start, end: self._head("_value", data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._headers_done,
            "on_part_data": lambda data, start, end: self._found.append(("data", data[start:end])),
            "on_part_end": lambda: self._found.append(("end", b"")),
        }

    def _begin(self) -> None:
        self._headers, self._head_bytes = {}, 0

    def _head(self, which: str, piece: bytes) -> None:
        self._head_bytes += len(piece)
        if self._head_bytes > LONGEST_HEAD:
            raise RefusedError(413, "the headers of a part are too long", hint=None)
        setattr(self, which, getattr(self, which) + piece)

    def _header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _headers_done(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"filename" in options:
            self._found.append(("begin", options[b"filename"]))
        else:
            self._found.append(("field", options.get(b"name", b"")))

    async def taken(self) -> AsyncIterator[Upload]:
        """Take over what was found; every file that is whole by it.

        Raises:
            RefusedError: there are too many.
        """
        found, self._found = self._found, []
        for kind, data in found:
            if kind == "begin":
                self._count += 1
                if self._count > MOST_PARTS:
                    raise RefusedError(413, f"there are more than {MOST_PARTS} files in one request", hint=None)
                self.open = Upload(self._state, self._limits, data.decode("utf-8", "replace"))
            elif kind == "field":
                self.open = Upload(self._state, self._limits, data.decode("utf-8", "replace"))
                self.open.refusal = RefusedError(422, "this part is no file", hint=_NO_FILE)
            elif self.open is None:
                continue
            elif kind == "data":
                await self.open.add(data)
            else:
                whole, self.open = self.open, None
                with suppress(RefusedError):  # it is told with the file
                    await whole.finish()
                yield whole


async def receive_several(request: Request, state: State, limits: Limits) -> AsyncIterator[Upload]:
    """The files of a body of multipart/form-data, each as soon as it is here; `refusal` says what is wrong with one.

    Raises:
        RefusedError: the body is no such thing, or holds too many parts.
        ClientDisconnect: the client has gone.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not boundary or len(boundary) > 200:
        raise RefusedError(400, "the request has no boundary between its parts", hint=None)
    parts = _Parts(state, limits)
    parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
    try:
        async for piece in pieces(request, limits):
            _parse(parser, piece)
            async for upload in parts.taken():
                yield upload
        if parts.open is not None:
            raise RefusedError(400, "the request ended in the middle of a file", hint="send it again")
    finally:
        if parts.open is not None:
            parts.open.drop()


def _parse(parser: MultipartParser, piece: bytes) -> None:
    from python_multipart.exceptions import MultipartParseError

    try:
        parser.write(piece)
    except MultipartParseError as error:
        raise RefusedError(400, "the request is no well-formed multipart/form-data", hint=None) from error
