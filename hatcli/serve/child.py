"""A process of ours that gets requests and gives answers, a JSON object a line; what it dies of is its own."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_CREATION_FLAGS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # on Windows, what a session is elsewhere
_PROGRAM = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
importlib.import_module(sys.argv[2]).serve(json.loads(sys.argv[3]))
"""
LONGEST_LINE = 1 << 20  # bytes


class DiedError(Exception):
    """The process has ended, or was never there."""


class Child:
    """A running process.

    Args:
        command: what is run.
        log: a file for what it has to say beside its answers.
    """

    def __init__(self, command: list[str], *, log: Path | None = None) -> None:
        errors = open(log, "wb") if log is not None else None  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors or subprocess.DEVNULL,
                start_new_session=sys.platform != "win32",  # Ctrl-C of the terminal does not reach it
                creationflags=_CREATION_FLAGS,
            )
        finally:
            if errors is not None:
                errors.close()
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name=f"answers of {self.process.pid}", daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with suppress(OSError, ValueError):
            while line := self.process.stdout.readline(LONGEST_LINE):
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def send(self, **request: Any) -> None:
        """Ask.

        Raises:
            DiedError: nobody is there.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except (OSError, ValueError) as error:
            raise DiedError from error

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next answer; None if there is none for so long.

        Raises:
            DiedError: there will be none any more.
        """
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            return None
        if answer is None:
            self._answers.put(None)
            raise DiedError
        return answer

    def ended(self, seconds: float) -> int | None:
        """How it ended by itself; None if it has not, after so long."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> int:
        """End it at once; how it ended."""
        self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError, ValueError):
                    pipe.close()
        return code

    def end(self, seconds: float) -> int:
        """Let it end by itself, for it is not asked any more; kill it after so long."""
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.kill()


def python(module: str, options: dict[str, Any]) -> list[str]:
    """The command that runs `serve(options)` of a module, with this program's search path and nothing of the folder it
    is started in."""
    return [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path), module, json.dumps(options)]


class Requests:
    """The child's side: requests from stdin, answers to where stdout was."""

    def __init__(self) -> None:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        silence = os.open(os.devnull, os.O_RDWR)
        self._requests: IO[bytes] = open(os.dup(0), "rb")  # noqa: SIM115
        self._answers: IO[bytes] = open(os.dup(1), "wb")  # noqa: SIM115
        self._lock = threading.Lock()
        for number in range(2):  # libraries print there what nobody asked for
            os.dup2(silence, number)

    def next(self) -> dict[str, Any] | None:
        """The next request; None: the parent has gone."""
        line = self._requests.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def answer(self, **fields: Any) -> None:
        """Give an answer; a parent that has gone hears nothing."""
        with self._lock, suppress(OSError):
            self._answers.write(json.dumps(fields).encode() + b"\n")
            self._answers.flush()
