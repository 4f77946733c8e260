"""The server's side of the inspector: questions one at a time, each with its patience, to a process apart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hatcli.serve.child import Child, DiedError, python
from hatcli.serve.limits import RefusedError
from hatcli.serve.parameters import Parameters

PATIENCE = 60.0  # seconds a look may take ...
BYTES_A_SECOND = 100_000  # ... and one more for so many bytes of the file
START = 60.0  # seconds more for a process that has to start


class Inspector:
    """An inspector, started when it is first needed and again after its death."""

    def __init__(self, max_pixels: int, *, start: Callable[[], Child] | None = None) -> None:
        self._max_pixels = max_pixels
        self._start = start or (lambda: Child(python("hatcli.serve.inspector", {})))
        self._child: Child | None = None
        self._turn = threading.Lock()
        self._closed = False

    def look(self, path: Path, name: str, wanted: Parameters) -> dict[str, Any]:
        """What the picture is and becomes: `source_width`, `source_height`, `width`, `height`, `output`.

        Raises:
            RefusedError: it is no picture, too large, or cannot become what is wanted.
        """
        return self._ask(path, do="look", name=name, wanted=wanted.facts())

    def view(self, path: Path, target: Path, *, side: int) -> None:
        """Write a copy for the page.

        Raises:
            RefusedError: the picture cannot be shown.
        """
        self._ask(path, do="view", target=str(target), side=side)

    def crop(self, path: Path, target: Path, *, name: str, x: int, y: int, size: int) -> int:
        """Write a piece of a picture; its bytes.

        Raises:
            RefusedError: the picture cannot be read.
        """
        return int(self._ask(path, do="crop", target=str(target), name=name, x=x, y=y, size=size)["bytes"])

    def close(self) -> None:
        """End the process."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()

    def _ask(self, path: Path, **request: Any) -> dict[str, Any]:
        answer = None
        with self._turn:
            try:
                answer = self._answer(path, request)
            except DiedError:  # perhaps by somebody's hand, or for want of memory: once more in a fresh process
                with suppress(DiedError):
                    answer = self._answer(path, request)
        if answer is None:
            raise RefusedError(
                422, "the picture cannot be read: its decoder crashed or hung", hint="the file is damaged or hostile"
            )
        if "error" in answer:
            status = 415 if answer["kind"] == "picture" and "pixels" not in answer["error"] else 422
            raise RefusedError(status, answer["error"], hint=answer["hint"])
        return answer

    def _answer(self, path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
        """What the process says; None: it hung.

        Raises:
            DiedError: it died over the question.
        """
        if self._closed:
            raise RefusedError(503, "the server is ending", hint=None)
        patience = PATIENCE + path.stat().st_size / BYTES_A_SECOND
        if self._child is None:
            self._child, patience = self._start(), patience + START
        answer = None
        try:
            self._child.send(path=str(path), max_pixels=self._max_pixels, **request)
            answer = self._child.receive(patience)
        finally:
            if answer is None:
                self._child.kill()
                self._child = None
        return answer
