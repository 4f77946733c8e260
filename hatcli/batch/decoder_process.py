"""The process apart in which pictures are decoded: requests come in on stdin, answers go out where stdout was.

It imports no PyTorch, hears no Ctrl-C, prints nothing, and ends with the pipe it is asked through.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hatcli.batch import reading
from hatcli.batch.reading import Original
from hatcli.errors import HatError, InputError
from hatcli.image import decode
from hatcli.image.decode import PictureInfo
from hatcli.image.options import DecodeOptions

_LENGTHS = struct.Struct(">QI")  # bytes of the pickled part, and how many buffers follow it
_LENGTH = struct.Struct(">Q")
_AFTERWARDS = 30  # seconds after its time is over, for a process whose parent is not there to end it


@dataclass(frozen=True)
class Request:
    """What to do with a file, or with bytes that were read already.

    Attributes:
        name: what the picture is called in error lines.
        look: only say what it is; the pixels are not decoded.
        data: the content, or None: read the file of that name.
        patience: seconds it may take.
        options: what the user has decided about how files are read.
    """

    name: str
    max_pixels: int
    look: bool = False
    all_frames: bool = False
    data: bytes | None = None
    patience: float = 60.0
    options: DecodeOptions | None = None


Answer = Original | PictureInfo | HatError


def serve() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence = os.open(os.devnull, os.O_RDWR)
    with open(os.dup(0), "rb") as requests, open(os.dup(1), "wb") as answers:
        for number in range(3):  # C libraries write there what the picture's error line says already
            os.dup2(silence, number)
        while True:
            try:
                request = receive(requests)
            except EOFError:
                return
            _end_after(request.patience + _AFTERWARDS)
            result = answer(request)
            _end_after(0)
            send(answers, result)


def _end_after(seconds: float) -> None:
    """Let the system end this process then; 0: never."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def answer(request: Request) -> Answer:
    """The picture, what it is, or what is wrong with it."""
    try:
        if request.look:
            return decode.probe(Path(request.name), max_pixels=request.max_pixels, options=request.options)
        how: dict[str, Any] = {
            "max_pixels": request.max_pixels, "all_frames": request.all_frames, "options": request.options
        }  # fmt: skip
        if request.data is None:
            return reading.read(Path(request.name), **how)
        return reading.from_bytes(request.data, name=request.name, **how)
    except HatError as error:
        return error
    except MemoryError:
        return InputError(f"cannot read {request.name}: decoding it needs more memory than there is")
    except Exception as error:  # a damaged file no check foresaw: it must not end a run over a hundred thousand
        return reading.odd_failure(request.name, error)


def send(file: IO[bytes], message: Any) -> None:
    """Write a message; arrays in it go out from where they lie."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    file.write(_LENGTHS.pack(len(body), len(buffers)))
    file.write(body)
    for buffer in buffers:
        with buffer.raw() as content:
            file.write(_LENGTH.pack(content.nbytes))
            file.write(content)
    file.flush()


def receive(file: IO[bytes]) -> Any:
    """Read a message; arrays in it lie in memory of their own.

    Raises:
        EOFError: the other side has ended.
    """
    length, count = _LENGTHS.unpack(_exactly(file, _LENGTHS.size))
    body = _exactly(file, length)
    buffers = [_exactly(file, _LENGTH.unpack(_exactly(file, _LENGTH.size))[0]) for _ in range(count)]
    return pickle.loads(body, buffers=buffers)


def _exactly(file: IO[bytes], size: int) -> bytearray:
    content = bytearray(size)
    view, done = memoryview(content), 0
    while done < size:
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count
    return content
