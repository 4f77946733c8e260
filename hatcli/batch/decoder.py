"""Decoding in a process apart: a native decoder that crashes, hangs or eats the memory costs a picture, not the run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from hatcli.batch import decoder_process
from hatcli.batch.decoder_process import Answer, Request, receive, send
from hatcli.batch.reading import Original
from hatcli.batch.streams import is_stream
from hatcli.errors import HatError, InputError
from hatcli.image.decode import DEFAULT_MAX_PIXELS, PictureInfo
from hatcli.image.options import DecodeOptions

_PATIENCE = 60.0  # seconds any picture may take to decode ...
_BYTES_A_SECOND = 100_000  # ... and a second more for so many bytes of its file
_START = 60.0  # seconds more for a process that has to start
_TURN = 0.5  # seconds between two looks at the clock, so that a run that was stopped for hours loses but one
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from hatcli.batch.decoder_process import serve
serve()
"""
_CREATION_FLAGS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # on Windows, what a session is elsewhere


class Decoder(Protocol):
    """Whoever decodes pictures for a run."""

    def look(self, path: Path) -> PictureInfo:
        """What the picture in a file is, from its header; a second look costs nothing.

        Raises:
            InputError: it cannot be read.
        """

    def load(self, source: Path | bytes, *, name: str, all_frames: bool = False) -> Original:
        """The picture in a file, or in bytes that were read already; `name` is for error lines.

        Raises:
            InputError: it cannot be read. Nothing else is raised, whatever a damaged file makes of a decoder.
        """

    def close(self) -> None:
        """Let go of everything, even in the middle of a picture."""


class _Looks:
    """What was seen at each path, errors too, so that no file is looked at twice; and how files are read."""

    def __init__(self, *, max_pixels: int = DEFAULT_MAX_PIXELS, options: DecodeOptions | None = None) -> None:
        self._max_pixels, self._options = max_pixels, options
        self._seen: dict[Path, PictureInfo | HatError] = {}

    def look(self, path: Path) -> PictureInfo:
        """See `Decoder.look`."""
        if is_stream(path):
            raise InputError(f"{path} is a pipe: what it holds is known when it is read")
        if path not in self._seen:
            seen = self._look(path)
            assert not isinstance(seen, Original)
            self._seen[path] = seen
        seen = self._seen[path]
        if isinstance(seen, HatError):
            raise seen
        return seen

    def _look(self, path: Path) -> Answer:
        raise NotImplementedError

    def _look_request(self, path: Path) -> Request:
        return Request(str(path), self._max_pixels, look=True, options=self._options)

    def _load_request(self, source: Path | bytes, name: str, all_frames: bool) -> Request:
        data, name = (source, name) if isinstance(source, bytes) else (None, str(source))
        return Request(name, self._max_pixels, all_frames=all_frames, data=data, options=self._options)


class DecoderHere(_Looks):
    """Decodes in this very process; for tests and for whoever trusts the files."""

    def _look(self, path: Path) -> Answer:
        return decoder_process.answer(self._look_request(path))

    def load(self, source: Path | bytes, *, name: str, all_frames: bool = False) -> Original:
        """See `Decoder.load`."""
        return _picture(decoder_process.answer(self._load_request(source, name, all_frames)))

    def close(self) -> None:
        """Nothing to let go of."""


class DecoderProcess(_Looks):
    """Decodes in another process, started when first needed and again after a crash.

    A picture at which it dies gets a second chance in a fresh process: what killed the first may have been the system,
    short of memory, or somebody's hand.
    """

    def __init__(self, *, max_pixels: int = DEFAULT_MAX_PIXELS, options: DecodeOptions | None = None) -> None:
        super().__init__(max_pixels=max_pixels, options=options)
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()  # around the process
        self._turn = threading.Lock()  # around a question and its answer

    def _look(self, path: Path) -> Answer:
        return self._ask(self._look_request(path), size=_size(path))

    def load(self, source: Path | bytes, *, name: str, all_frames: bool = False) -> Original:
        """See `Decoder.load`."""
        size = len(source) if isinstance(source, bytes) else _size(source)
        return _picture(self._ask(self._load_request(source, name, all_frames), size=size))

    def start(self) -> None:
        """Start the process already, so that it is there when it is needed."""
        self._ready()

    def _ask(self, request: Request, *, size: int) -> Answer:
        request = replace(request, patience=_PATIENCE + size / _BYTES_A_SECOND)
        with self._turn:
            codes = []
            for _ in range(2):
                answer = self._ask_once(request)
                if not isinstance(answer, int):
                    return answer
                codes.append(answer)
        return _died(request.name, codes)

    def _ask_once(self, request: Request) -> Answer | int:
        """The answer, or the exit code of a process that died over the question."""
        process, is_fresh = self._ready()
        assert process.stdin is not None
        assert process.stdout is not None
        patience = request.patience + (_START if is_fresh else 0)
        with _ended_after(patience, process) as is_late:
            try:
                send(process.stdin, request)
                answer: Answer = receive(process.stdout)
                return answer
            except (EOFError, OSError):
                code = _exit_code(process)
            except BaseException:
                process.kill()  # in the middle of an answer; the next question needs a fresh one
                process.wait()
                raise
            finally:
                if process.poll() is not None:
                    self._forget(process)
        if self._closed:
            return InputError("the run has ended")
        if is_late.is_set():
            return InputError(f"cannot read {request.name}: its decoder did not end in {patience:.0f} seconds")
        return code

    def _ready(self) -> tuple[subprocess.Popen[bytes], bool]:
        with self._lock:
            if self._closed:
                raise InputError("the run has ended")
            if self._process is not None:
                return self._process, False
            self._process = _started()
            return self._process, True

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if self._process is process:
                self._process = None
        _end(process)

    def close(self) -> None:
        """See `Decoder.close`."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            with self._turn:  # whoever waits for an answer gets the end of the pipe
                _end(process)


def _picture(answer: Answer) -> Original:
    if isinstance(answer, HatError):
        raise answer
    assert isinstance(answer, Original)
    return answer


def _started() -> subprocess.Popen[bytes]:
    """A process of its own session, or group: Ctrl-C and Ctrl-Z of the terminal do not reach it."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path)],  # -P: nothing of the folder it is run in
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=sys.platform != "win32",
        creationflags=_CREATION_FLAGS,
    )


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    """How a process that has closed its pipe ended."""
    try:
        return process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what it did not take any more
                pipe.close()


@contextmanager
def _ended_after(seconds: float, process: subprocess.Popen[bytes]) -> Iterator[threading.Event]:
    """Kill the process after so many seconds inside; the event says that it was done."""
    inside, is_late = threading.Event(), threading.Event()

    def watch() -> None:
        left = seconds
        while left > 0:
            if inside.wait(min(_TURN, left)):
                return
            left -= _TURN
        is_late.set()
        process.kill()

    watcher = threading.Thread(target=watch, name="decoder clock", daemon=True)
    watcher.start()
    try:
        yield is_late
    finally:
        inside.set()


def _died(name: str, codes: list[int]) -> InputError:
    """What two deaths over one picture mean."""
    code = codes[-1]
    if sys.platform != "win32" and all(code == -signal.SIGKILL for code in codes):
        return InputError(
            f"cannot read {name}: its decoder was killed twice, perhaps for want of memory",
            hint="close other programs, or lower --max-megapixels",
        )
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return InputError(f"cannot read {name}: its decoder crashed twice ({how})", hint="the file is damaged or hostile")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
