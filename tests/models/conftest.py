"""A Hub that stands in for the real one, with an empty store, and a tiny model published there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_hub import REPO, FakeHub, Published, standing_in
from support.tiny_model import PTH


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A running Hub that this process takes for the real one."""
    with standing_in(tmp_path, monkeypatch) as running:
        yield running


@pytest.fixture
def tiny(hub: FakeHub) -> Published:
    """The tiny model's file there; how it is answered can be changed."""
    return hub.publish(REPO, "HAT/tiny.pth", PTH)
