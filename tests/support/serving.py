"""A `hat serve` that really listens, as a process of its own, and a client that says exactly what it is told to."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds for anything that must happen


class Answer:
    """What a server said."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Serving:
    """A server on a state folder; leaving the block ends it."""

    def __init__(self, state: Path, *arguments: str, limit: Callable[[], None] | None = None) -> None:
        command = [sys.executable, "-m", "hatcli", "serve", "--no-browser", "--json", "--device", "cpu"]
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--state", str(state), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
            preexec_fn=limit,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1].decode())
        self.said = json.loads(line)
        self.token = str(self.said["token"])
        self.port = int(self.said["url"].rpartition(":")[2])

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.end()

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        family = self.family()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        psutil.wait_procs(family, timeout=PATIENCE)
        return code

    def family(self) -> list[psutil.Process]:
        """Its child processes, and theirs."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[psutil.Process]:
        """The processes that hold networks."""
        found = []
        for process in self.family():
            try:
                if "hatcli.serve.worker" in process.cmdline():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def ask(
        self,
        method: str,
        address: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        timeout: float = PATIENCE,
        **query: Any,
    ) -> Answer:
        """A request as a program makes it; a header given as an empty text is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        known = {"Authorization": f"Bearer {self.token}", "X-Hat": "1", **(headers or {})}
        target = f"{address}?{urlencode(query)}" if query else address
        try:
            connection.request(method, target, body, {name: value for name, value in known.items() if value})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def submit(self, content: bytes, **query: Any) -> Answer:
        return self.ask("POST", "/api/v1/jobs", content, **{"scale": 2, "name": "a.png", **query})

    def job(self, id: str) -> Any:
        return self.ask("GET", f"/api/v1/jobs/{id}").json

    def jobs(self) -> dict[str, Any]:
        return {job["id"]: job for job in self.ask("GET", "/api/v1/jobs").json["jobs"]}

    def wait(self, id: str, *states: str) -> Any:
        """A job as soon as it is in one of these states."""
        return until(
            lambda: job if (job := self.job(id))["state"] in (states or ("done",)) else None, lambda: self.job(id)
        )

    def memory(self) -> int:
        """Bytes of the server itself, without its children."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


def until(found: Callable[[], Any], why: Callable[[], Any] = lambda: "nothing") -> Any:
    """What is found as soon as it is."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError(f"it did not happen: {why()}")


def png(width: int = 12, height: int = 9, seed: int = 0) -> bytes:
    """A small picture of noise."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height of a picture that must be whole."""
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.size
