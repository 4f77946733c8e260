"""To a Ray cluster and back: one that runs already, or one of this machine's own; tells nobody that it is used."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

from hatcli.errors import UsageError

AUTO, LOCAL = "auto", "local"
_STORE = 128 << 20  # bytes of shared memory for Ray's objects: weights on their way; pictures never go through it
_PATIENCE = 10.0  # seconds
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_SCHEDULER_EVENTS": "0",
}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # Ray's way to say: this machine only, nothing outside hears


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Inside, this process is connected to a cluster.

    Args:
        address: `auto`: the cluster that runs on this machine, else one of its own; `local`: one of its own; or
            `host:port` of a head node.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    if util.find_spec("ray") is None:
        raise UsageError("--ray needs Ray, which is not installed", hint="pip install 'hatcli[cluster]'")
    if "://" in address:
        raise UsageError(f"--ray {address} is not an address of a head node", hint="such as 10.0.0.1:6379, or auto")
    running = _running(address)
    if running not in (None, AUTO):
        _refuse_nobody(address)
    os.environ.update(_QUIET if running else {**_QUIET, **_LOOPBACK})
    import ray
    from ray._private import worker

    worker.print_to_stdstream = _say_nothing  # it would write of dead nodes to stdout, where results go
    handlers = _handlers()
    try:
        ray.init(**_options(running))
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        ray.shutdown()
        reason = " ".join(str(error).split())[:200]
        hint = "is it running, with the same Ray and Python? `--ray local` starts one here"
        raise UsageError(f"no Ray cluster at {address}: {reason}", hint=hint) from error
    finally:
        _restore(handlers)
    try:
        yield
    finally:
        ray.shutdown()
        _restore(handlers)


def _refuse_nobody(address: str) -> None:
    """Refuse an address where nobody listens: Ray would wait for it, and say so at length."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE):
            return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "write host:port of a head node that runs; `--ray local` starts one here"
        raise UsageError(f"no Ray cluster at {address}: {reason}", hint=hint) from error


def _running(address: str) -> str | None:
    """The address of a cluster that is to be there; None: one of its own."""
    if address == LOCAL:
        return None
    if address != AUTO:
        return address
    noted = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster")
    return AUTO if os.environ.get("RAY_ADDRESS") or noted.exists() else None


def _options(running: str | None) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": True}
    if running is not None:
        return {"address": running, **quiet}
    return {"address": LOCAL, "include_dashboard": False, "object_store_memory": _STORE, **quiet}


def _handlers() -> dict[int, Any]:
    """Who hears signals now: Ray puts itself in their place."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return {number: signal.getsignal(number) for number in numbers}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler and handler is not None:
            signal.signal(number, handler)


def _say_nothing(*message: object, **options: object) -> None:
    """Instead of printing: what matters of it, hat says itself."""
