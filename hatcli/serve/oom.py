"""Whether the kernel kills processes because memory is short."""

from __future__ import annotations

from pathlib import Path

COUNTERS = Path("/proc/vmstat")  # Linux since 4.13


def kills(counters: Path = COUNTERS) -> int | None:
    """How many processes the kernel has killed for want of memory since it started; None where it does not say."""
    try:
        lines = counters.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    found = [value for name, _, value in (line.partition(" ") for line in lines) if name == "oom_kill"]
    return int(found[0]) if found and found[0].isdecimal() else None
