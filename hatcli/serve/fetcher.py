"""The process that downloads a model for the server: PyTorch converts it, and the server imports none."""

from __future__ import annotations

from typing import Any

from hatcli.errors import HatError
from hatcli.models import catalog, download
from hatcli.serve.child import Requests


def serve(options: dict[str, Any]) -> None:
    """Fetch one file of weights and tell how far it is."""
    requests = Requests()
    entry = next(entry for entry in catalog.entries() if entry.id == options["id"])
    try:
        for step in download.fetch(entry):
            requests.answer(event="progress", stage=step.stage, done=step.done, total=step.total)
    except HatError as error:
        requests.answer(event="failed", error=error.message, hint=error.hint)
        return
    requests.answer(event="done")
