"""One server for all tests that do not end it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("python_multipart")

from support.serving import Serving


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the server's `state` and `root`."""
    found = tmp_path_factory.mktemp("serve")
    (found / "root").mkdir()
    return found


@pytest.fixture(scope="session")
def server(place: Path) -> Iterator[Serving]:
    """With small limits."""
    limits = ("--max-megabytes", "8", "--max-megapixels", "4", "--root", str(place / "root"))
    with Serving(place / "state", *limits) as running:
        yield running
