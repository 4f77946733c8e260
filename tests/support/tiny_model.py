"""A tiny random HAT as a published file, its catalogue entry, and whole fetches of it; for tests."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hatcli.errors import HatError
from hatcli.models import catalog, download, receipt, store
from hatcli.models.catalog import Entry, WebSource
from hatcli.models.installing import FetchStep
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT
from hatcli.progress import drive
from support.fake_hub import COMMIT, REPO

TINY = HATConfig(upscale=2, embed_dim=24, depths=(2,), num_heads=(2,), window_size=8, squeeze_factor=8, num_feat=16)


def state_of(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of the tiny network."""
    torch.manual_seed(seed)
    return dict(HAT(TINY).state_dict())


def saved(content: Any) -> bytes:
    """As torch.save writes it."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


NOTHING: list[int | None] = [0] * 20  # bodies that break off before their first byte
PTH = saved({"params": state_of(1), "params_ema": state_of(0)})


def entry_for(content: bytes, *, sources: tuple[WebSource, ...] | None = None, **changes: Any) -> Entry:
    """A catalogue entry for a tiny model, published on the fake Hub under `HAT/tiny.pth`."""
    defaults: dict[str, Any] = {
        "id": "tiny-x2",
        "name": "tiny",
        "scale": 2,
        "filename": "tiny.pth",
        "size": len(content),
        "size_estimate": None,
        "sha256": hashlib.sha256(content).hexdigest(),
        "parameters": None,
        "aliases": (),
        "sources": (WebSource(repo=REPO, revision=COMMIT, path="HAT/tiny.pth"),) if sources is None else sources,
    }
    return replace(catalog.resolve("hat-s", scale=2), **{**defaults, **changes})


def finish(entry: Entry, **options: Any) -> tuple[Path, list[FetchStep]]:
    """A whole fetch: the installed path and everything that was reported on the way."""
    events: list[FetchStep] = []
    return drive(download.fetch(entry, **options), events.append), events


def refused(entry: Entry, **options: Any) -> HatError:
    """The error of a fetch that must fail, after checking that it is one line and left nothing installed."""
    with pytest.raises(HatError) as caught:
        finish(entry, **options)
    assert caught.value.message.isprintable()
    assert (caught.value.hint or "").isprintable()
    left = list(store.root().rglob("*.safetensors")) if store.root().exists() else []
    assert left == []
    return caught.value


def verdict_on(entry: Entry) -> receipt.Verdict:
    """What `hat models verify` would say."""
    return drive(receipt.verify(entry))
