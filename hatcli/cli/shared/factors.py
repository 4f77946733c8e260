"""Whole factors as people write them: 4, x4 or 4x."""

from __future__ import annotations

from hatcli.cli.shared.upscale_options import factor
from hatcli.errors import UsageError


def whole_factor(text: str, *, least: int, most: int = 16) -> int:
    """`--scale` to a whole number from `least` to `most`.

    Raises:
        UsageError: it is none.
    """
    value = factor(text)
    if value != int(value) or not least <= value <= most:
        raise UsageError(f"--scale {text} is not a whole factor from {least} to {most}", hint="try --scale 4")
    return int(value)
