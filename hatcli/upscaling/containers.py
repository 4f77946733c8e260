"""How much memory a Linux container leaves free: the control groups this process is in, of either version.

A group's use counts the page cache of every file its processes have read. What of it nobody has looked at for a while
(`inactive_file`) the kernel gives back when it is asked for, so it is free as far as a plan is concerned. Limits hold
for a group and everything below it: the tightest of all groups above a process is what it can take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOUNTED = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Accounts:
    """How a version of control groups names the numbers that matter."""

    limit: str
    used: str
    inactive: str


UNIFIED = Accounts(limit="memory.max", used="memory.current", inactive="inactive_file")
LEGACY = Accounts(limit="memory.limit_in_bytes", used="memory.usage_in_bytes", inactive="total_inactive_file")


def free_memory(mounted: Path = MOUNTED, membership: Path = MEMBERSHIP) -> int | None:
    """Bytes that can be taken before the tightest limit is met; None where there is none.

    Args:
        mounted: where the control groups' file systems are.
        membership: the file that says which groups this process is in (man 7 cgroups).
    """
    left = [bytes_left(folder, accounts) for folder, accounts in groups(mounted, membership)]
    return min((count for count in left if count is not None), default=None)


def groups(mounted: Path, membership: Path) -> Iterator[tuple[Path, Accounts]]:
    """Every group above this process that can be seen from here, the innermost first."""
    try:
        lines = membership.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            roots, accounts = [mounted / "memory"], LEGACY
        elif number == "0" and not controllers:
            roots, accounts = [mounted, mounted / "unified"], UNIFIED
        else:
            continue
        inner = PurePosixPath(path).relative_to("/") if path.startswith("/") else PurePosixPath(path)
        if ".." in inner.parts:  # a group outside what this container may see
            inner = PurePosixPath()
        for root in roots:
            for part in (inner, *inner.parents):  # those that a container's own mount hides do not exist
                yield root / part, accounts


def bytes_left(group: Path, accounts: Accounts) -> int | None:
    """What one group leaves free; None without a limit."""
    limit, used = _number(group / accounts.limit), _number(group / accounts.used)
    return None if limit is None or used is None else max(limit - used + _inactive(group, accounts), 0)


def _inactive(group: Path, accounts: Accounts) -> int:
    """Bytes of page cache that the kernel can take back at once."""
    try:
        lines = (group / "memory.stat").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    found = dict(line.split()[:2] for line in lines if len(line.split()) == 2)
    count = found.get(accounts.inactive, "0")
    return int(count) if count.isdecimal() else 0


def _number(file: Path) -> int | None:
    """The number a file holds; None for `max`, or where there is no such file."""
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
