"""What the tests of films share: a command that enlarges one with a tiny network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import hat

Enlarge = Callable[..., tuple[Path, str]]


@pytest.fixture
def large(tmp_path: Path, weights: Path) -> Enlarge:
    """Enlarges something twice and returns the result's path and what was said."""

    def enlarge(source: Path, name: str, *options: str) -> tuple[Path, str]:
        output = tmp_path / name
        done = hat(source, "-o", output, "-n", weights, "--scale", "2", *options)
        assert done.exit_code == 0, done.stderr
        return output, done.stderr

    return enlarge
