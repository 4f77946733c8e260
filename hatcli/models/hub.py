"""What the Hub's own client knows best: endpoint, token, cache, whether to stay offline; fetches nothing."""

from __future__ import annotations

import os
from pathlib import Path

from hatcli.models.catalog import Entry, WebSource


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` forbids the network."""
    _without_telemetry()
    from huggingface_hub import constants

    return constants.is_offline_mode()


def cached_copies(entry: Entry) -> list[Path]:
    """Copies of a published file in the client's cache that do not lead out of it."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = []
    home = Path(constants.HF_HUB_CACHE).resolve()
    for source in entry.sources:
        if source.repo is None or source.path is None:
            continue
        kind = "dataset" if source.dataset else None
        path = try_to_load_from_cache(source.repo, source.path, revision=source.revision, repo_type=kind)
        if isinstance(path, str) and Path(path).resolve().is_relative_to(home):
            found.append(Path(path))
    return found


def address(source: WebSource) -> str:
    """Where a source is asked; a repository of the Hub at `HF_ENDPOINT` if that is set."""
    if source.repo is None or source.path is None:
        return source.address
    from huggingface_hub import hf_hub_url

    kind = "dataset" if source.dataset else None
    return hf_hub_url(source.repo, source.path, revision=source.revision, repo_type=kind)


def token_for(source: WebSource) -> str | None:
    """The user's token, for repositories of the Hub alone."""
    if source.repo is None:
        return None
    from huggingface_hub import constants, get_token

    return None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()


def _without_telemetry() -> None:
    """Must come before the first import of huggingface_hub, which reads its settings then."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
