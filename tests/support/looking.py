"""What the tests of commands that look at models share: noise as a picture, a refusal's two lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def noise(path: Path, shape: tuple[int, ...], kind: Any = np.uint8) -> Path:
    peak = np.iinfo(kind).max + 1
    Image.fromarray(np.random.default_rng(0).integers(0, peak, shape).astype(kind)).save(path)
    return path


def refused(answer: Any, code: int, said: str) -> None:
    """One line on what happened, one hint at most, and the right exit code."""
    assert answer.exit_code == code, answer.output
    lines = [line for line in answer.stderr.splitlines() if not line.startswith("hint: ")]
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert said in lines[-1]
