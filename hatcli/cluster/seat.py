"""The actor that a worker works in: sent to the nodes by value, so that it speaks where hat is another one, or missing.

Nothing of hat is imported before the driver has compared versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Any

PACKAGES = ("hatcli", "torch", "numpy", "pillow", "opencv-python-headless")
CODE = "hat's code"


def installed() -> dict[str, str]:
    """Versions of what decides on results here, and a digest of hat's own files; what is missing is not in it."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue
    spec = util.find_spec("hatcli")
    if spec is not None and spec.origin is not None:
        folder, digest = Path(spec.origin).parent, hashlib.sha256()
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        found[CODE] = digest.hexdigest()[:12]
    return found


class Seat:
    """One worker on a node."""

    def __init__(self) -> None:
        self._worker: Any = None

    def inquire(self, paths: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
        """What is installed here, and which of the paths cannot be seen from here."""
        return installed(), [path for path in paths if not Path(path).exists()]

    def missing(self, weights: Any) -> list[Any]:
        """The files of weights that are not on this node."""
        from hatcli.cluster.weights import missing

        return missing(weights)

    def keep(self, files: list[tuple[Any, list[Any]]]) -> None:
        """Files of weights from the driver, with references to their pieces."""
        import ray

        from hatcli.cluster.weights import keep

        for file, pieces in files:
            keep(file, (ray.get(piece) for piece in pieces))

    def begin(self, order: Any) -> str:
        """Open the network; returns what it runs on."""
        from hatcli.cluster.worker import Worker

        self._worker = Worker(order)
        return str(self._worker.choice.why)

    def try_out(self, tasks: list[Any], containers: list[str]) -> Any:
        """See `Worker.try_out`."""
        return self._worker.try_out(tasks, containers)

    def work(self, shift: int) -> Iterator[Any]:
        """See `Worker.work`."""
        yield from self._worker.work(shift)

    def feed(self, shift: int, tasks: Any) -> None:
        """See `Worker.feed`."""
        self._worker.feed(shift, tasks)

    def finish(self, shift: int, count: int) -> None:
        """See `Worker.finish`."""
        self._worker.finish(shift, count)

    def stop(self) -> None:
        """See `Worker.stop`."""
        if self._worker is not None:
            self._worker.stop()
