"""A Ray cluster of several nodes on this machine, and runs of hat over it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from hatcli.batch.journal_files import NAME

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
os.environ.update(LOOPBACK)  # before anybody imports Ray, which looks at the first but then
_STORE = 80 << 20  # bytes


class Nodes:
    """A head and further nodes with a slot each; hears nothing from outside this machine."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address
        self.added: list[Any] = []

    def add(self, **environment: str) -> None:
        """One more node, with an environment of its own."""
        self.added.append(self._cluster.add_node(num_cpus=1, object_store_memory=_STORE, env_vars=environment))

    def kill(self) -> None:
        """End one node, and all its processes, hard."""
        self._cluster.remove_node(self.added.pop(0), allow_graceful=False)

    def logs(self) -> list[Path]:
        """What Ray has written of all its processes."""
        return [path for path in Path(self._cluster.head_node.get_logs_dir_path()).rglob("*") if path.is_file()]

    def workers(self) -> list[int]:
        """The processes of workers that have begun, on these nodes and no others of this machine."""
        import psutil

        found = []
        for process in psutil.Process().children(recursive=True):  # of the nodes, which this process has started
            with suppress(psutil.Error):
                if "ray::Seat" in " ".join([process.name(), *process.cmdline()]):
                    found.append(process.pid)
        return found


@contextmanager
def nodes(count: int) -> Iterator[Nodes]:
    """A cluster of so many nodes, the head among them."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    try:
        here = Nodes(cluster)
        for _ in range(count - 1):
            here.add()
        yield here
    finally:
        cluster.shutdown()


def pictures(folder: Path, count: int, *, side: int = 24) -> Path:
    """Noise, each another one."""
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return folder


def start(*words: str | Path, cwd: Path | None = None, log: IO[str] | None = None) -> subprocess.Popen[str]:
    """`hat upscale --json` with these words, in a process and a session of its own.

    Args:
        log: where its events and messages go, if nobody reads them while it runs: a pipe that is full would stop it.
    """
    command = [sys.executable, "-m", "hatcli", "upscale", *map(str, words), "--json"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE if log is None else log,
        stderr=subprocess.PIPE if log is None else log,
        text=True,
        cwd=cwd,
        start_new_session=True,
        env={**os.environ, **LOOPBACK},
    )


def told(process: subprocess.Popen[str], *, timeout: float = 300) -> list[dict[str, Any]]:
    """Its events, after it has ended."""
    output, errors = process.communicate(timeout=timeout)
    assert "Traceback" not in errors, errors
    return [json.loads(line) for line in output.splitlines()]


def until(
    process: subprocess.Popen[str], is_enough: Callable[[], bool], *, patience: float = 180, pause: float = 0.01
) -> None:
    """Wait for something while a run goes on."""
    ends = time.monotonic() + patience
    while not is_enough():
        assert process.poll() is None, "it ended before:\n" + "".join(process.stderr or ())
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(pause)


def end(process: subprocess.Popen[str]) -> None:
    """`kill -9`."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def contents(folder: Path) -> dict[str, bytes]:
    """What is visible in a folder of results."""
    if not folder.exists():
        return {}
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".hat-")}


def times_made(folder: Path) -> dict[str, int]:
    """How often each result was noted in the journal."""
    counts: dict[str, int] = {}
    for journal in folder.glob(f"{NAME}*"):
        for line in journal.read_text().splitlines():
            with suppress(ValueError):
                if name := json.loads(line).get("output"):
                    counts[name] = counts.get(name, 0) + 1
    return counts


def stop(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, as a terminal sends it: to all processes that the run has started as well."""
    os.killpg(process.pid, signal.SIGINT)
