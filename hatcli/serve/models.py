"""The catalogue as the page shows it, and downloads of models in a process apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from hatcli.models import catalog
from hatcli.models.catalog import Entry
from hatcli.serve.child import Child, DiedError, python
from hatcli.serve.limits import RefusedError

TELL_EVERY = 0.25  # seconds
TURN = 0.5  # seconds between two looks whether the server ends


def listed() -> list[dict[str, Any]]:
    """Every model: its factors, whether each is here, what it is for, licence, bytes, and which one `auto` takes."""
    best = catalog.best(catalog.installed()).name
    return [_family(catalog.family(name), best) for name in catalog.names()]


def _family(entries: tuple[Entry, ...], best: str) -> dict[str, Any]:
    first = entries[0]
    return {
        "name": first.name,
        "title": first.title,
        "scales": [entry.scale for entry in entries],
        "installed": {str(entry.scale): catalog.is_installed(entry) for entry in entries},
        "about": first.purpose,
        "licence": first.licence,
        "licence_note": first.licence_note,
        "author": first.author,
        "bytes": {str(entry.scale): entry.size or entry.size_estimate for entry in entries},
        "recommended": first.name == best,
    }


class Downloads:
    """Downloads that run, one of a kind; `tell` hears `model` events."""

    def __init__(self, tell: Callable[[str, dict[str, Any]], None]) -> None:
        self._tell = tell
        self._running: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def start(self, name: str, scale: int | None) -> list[dict[str, Any]]:
        """Fetch a model's files, or the one for a factor; what will be told of each.

        Raises:
            RefusedError: there is no such model.
        """
        if name not in catalog.names():
            raise RefusedError(404, "there is no such model", hint="see /api/v1/models")
        entries = [entry for entry in catalog.family(name) if scale in (None, entry.scale)]
        if not entries:
            raise RefusedError(404, f"{name} has no factor {scale}", hint="see /api/v1/models")
        return [self._start(entry) for entry in entries]

    def _start(self, entry: Entry) -> dict[str, Any]:
        if catalog.is_installed(entry):
            return _facts(entry, "installed")
        with self._lock:
            running = self._running.get(entry.id)
            if running is None or not running.is_alive():
                thread = threading.Thread(target=self._fetch, args=(entry,), name=f"fetch {entry.id}", daemon=True)
                self._running[entry.id] = thread
                thread.start()
        return _facts(entry, "waiting")

    def close(self) -> None:
        """End them; what was transferred stays for the next time."""
        self._closing.set()
        with self._lock:
            running = list(self._running.values())
        for thread in running:
            thread.join(5.0)

    def _fetch(self, entry: Entry) -> None:
        child, told = Child(python("hatcli.serve.fetcher", {"id": entry.id})), 0.0
        last = {"event": "failed", "error": "the download ended by itself", "hint": "try it again"}
        try:
            while not self._closing.is_set():
                answer = child.receive(TURN)
                if answer is None:
                    continue
                if answer["event"] != "progress":
                    last = answer
                    break
                if time.monotonic() - told > TELL_EVERY:
                    told = time.monotonic()
                    self._tell("model", _facts(entry, answer["stage"], done=answer["done"], total=answer["total"]))
        except DiedError:
            pass
        finally:
            child.kill()
        if last["event"] == "done":
            self._tell("model", _facts(entry, "installed"))
        else:
            self._tell("model", _facts(entry, "failed", error=last["error"], hint=last["hint"]))


def _facts(entry: Entry, stage: str, **more: Any) -> dict[str, Any]:
    """A `model` event: `stage` is waiting, downloading, verifying, converting, installed or failed."""
    blank = {"done": None, "total": None, "error": None, "hint": None}
    return {"name": entry.name, "scale": entry.scale, "stage": stage, **blank, **more}
