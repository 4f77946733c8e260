"""Files to pictures in a process of their own: a native decoder that crashes or hangs costs a picture, not the run."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from hatcli.errors import HatError, InputError
from hatcli.image import animation, decode
from hatcli.image.animation import Animation
from hatcli.image.picture import Picture

_PATIENCE = 60.0  # seconds any picture may take to decode ...
_BYTES_A_SECOND = 100_000  # ... and a second more for so many bytes of its file
_START = 60.0  # seconds more for a worker that has to start


@dataclass(frozen=True)
class Stamp:
    """What a file was at one time: bytes, nanoseconds of its last change, SHA-256 of its content."""

    size: int
    modified: int
    sha256: str


@dataclass(frozen=True)
class Loaded:
    """A picture, the file it was decoded from, and all frames where they were asked for and there are several."""

    picture: Picture
    stamp: Stamp
    animation: Animation | None = None

    @property
    def bytes(self) -> int:
        """What the samples take in memory."""
        several = () if self.animation is None else self.animation.frames
        return sum(
            picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
            for picture in (self.picture, *several)
        )


def load(path: Path, *, max_pixels: int, all_frames: bool = False) -> Loaded:
    """The picture in a file, and the stamp of the very bytes that were decoded.

    Raises:
        InputError: it cannot be read. Nothing else is raised, whatever a damaged file makes of a decoder.
    """
    try:
        modified = os.stat(path).st_mtime_ns  # noqa: PTH116  (before the bytes: a later change shows as a change)
    except OSError:
        modified = 0  # reading says what is wrong
    data = decode.read_bytes(path, max_pixels=max_pixels)
    return loaded(data, name=str(path), modified=modified, max_pixels=max_pixels, all_frames=all_frames)


def loaded(data: bytes, *, name: str, modified: int, max_pixels: int, all_frames: bool) -> Loaded:
    """The same for bytes that are there already. Where a later frame is damaged, the first one stands for all.

    Raises:
        InputError: there is no picture in them.
    """
    picture = from_bytes(data, name=name, max_pixels=max_pixels)
    frames = None
    if all_frames:
        try:
            frames = animation.read(data, picture, name=name, max_pixels=max_pixels)
        except InputError as error:
            reason = error.message.rpartition(": ")[2]
            picture = replace(picture, notes=(*picture.notes, f"only the first frame can be had: {reason}"))
    return Loaded(picture, stamp_of(data, modified=modified), frames)


def from_bytes(data: bytes, *, name: str, max_pixels: int) -> Picture:
    """The picture in these bytes.

    Raises:
        InputError: there is none.
    """
    try:
        return decode.decode(data, name=name, max_pixels=max_pixels)
    except HatError:
        raise
    except Exception as error:  # a damaged file no check foresaw: it must not end a run over a hundred thousand
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"cannot read {name}: its decoder failed with {reason}") from error


def stamp_of(data: bytes, *, modified: int) -> Stamp:
    """The stamp of a file with this content."""
    return Stamp(len(data), modified, hashlib.sha256(data).hexdigest())


class InProcess:
    """Decodes right here: for one picture, where nothing is lost that another process would save."""

    def load(self, path: Path, *, max_pixels: int, all_frames: bool = False) -> Loaded:
        """See `load`."""
        return load(path, max_pixels=max_pixels, all_frames=all_frames)

    def close(self) -> None:
        """Nothing to let go of."""


class Isolated:
    """Decodes in another process, started when first needed and again after a crash."""

    def __init__(self) -> None:
        self._worker: tuple[SpawnProcess, Connection] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def load(self, path: Path, *, max_pixels: int, all_frames: bool = False) -> Loaded:
        """See `load`.

        Raises:
            InputError: also if the decoder crashed, or did not end.
        """
        fresh = self._worker is None
        process, pipe = self._ready()
        patience = _PATIENCE + _size(path) / _BYTES_A_SECOND + (_START if fresh else 0)
        try:
            pipe.send((path, max_pixels, all_frames))
            if not pipe.poll(patience):
                self._drop()
                raise InputError(f"cannot read {path}: its decoder did not end in {patience:.0f} seconds")
            answer = pipe.recv()
        except (EOFError, OSError):
            process.join(5)
            code = process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"code {code}"
            self._drop()
            raise InputError(
                f"cannot read {path}: its decoder crashed ({how})", hint="the file is damaged or hostile"
            ) from None
        if isinstance(answer, HatError):
            raise answer
        assert isinstance(answer, Loaded)
        return answer

    def _ready(self) -> tuple[SpawnProcess, Connection]:
        with self._lock:
            if self._closed:
                raise InputError("the run has ended")
            if self._worker is None:
                context = multiprocessing.get_context("spawn")
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs,), daemon=True)
                with _without_interrupts():
                    process.start()
                theirs.close()  # so that its end shows as the end of the pipe
                self._worker = process, ours
            return self._worker

    def _drop(self) -> None:
        with self._lock:
            if self._worker is not None:
                process, pipe = self._worker
                process.kill()
                process.join()
                pipe.close()
                self._worker = None

    def close(self) -> None:
        """End the worker, even in the middle of a picture."""
        with self._lock:
            self._closed = True
            if self._worker is not None:
                self._worker[0].kill()
                self._worker[0].join()
                self._worker = None  # its pipe closes when a load that waits on it returns


Decoder = InProcess | Isolated


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C reaches every process of the terminal; one started inside this does not hear it."""
    if sys.platform == "win32":  # there `_serve` alone sees to it
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _serve(pipe: Connection) -> None:
    """The other process: a path comes in, a picture or what is wrong with it goes out; ends with the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # C libraries write there what the picture's error line says already
    with suppress(EOFError, OSError):
        while True:
            path, max_pixels, all_frames = pipe.recv()
            answer: Loaded | HatError
            try:
                answer = load(path, max_pixels=max_pixels, all_frames=all_frames)
            except HatError as error:
                answer = error
            pipe.send(answer)
