"""How much of the machine a training run leaves to other programs: the process's priority."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil

_THREADS = Path("/proc/self/task")  # Linux, where every thread has a priority of its own
ON_BATTERY = 10  # what a run takes off its own priority when nobody said anything


def on_battery() -> bool:
    """Whether this machine runs on its battery now; False where it has none or does not say."""
    look = getattr(psutil, "sensors_battery", None)  # not there on every system
    battery = look() if look is not None else None
    return battery is not None and battery.power_plugged is False


def lower_priority(nice: int | None) -> int:
    """Let other programs go first, in every thread there is and will be; what was taken off, 0 to 19.

    Args:
        nice: as in nice(1): 0 leaves the priority as it is, 19 takes only what nobody else wants. None: 10 when the
            machine runs on its battery, else 0.
    """
    wanted = nice if nice is not None else ON_BATTERY if on_battery() else 0
    if wanted == 0:
        return 0
    if sys.platform == "win32":
        idle, below = psutil.IDLE_PRIORITY_CLASS, psutil.BELOW_NORMAL_PRIORITY_CLASS
        psutil.Process().nice(idle if wanted > ON_BATTERY else below)
    else:
        os.nice(wanted)
        _lower_other_threads(os.getpriority(os.PRIO_PROCESS, 0))
    return wanted


def _lower_other_threads(level: int) -> None:
    """Those that libraries started while they were imported."""
    for thread in _THREADS.iterdir() if _THREADS.is_dir() else ():
        with suppress(OSError):  # it has ended meanwhile
            if os.getpriority(os.PRIO_PROCESS, int(thread.name)) < level:
                os.setpriority(os.PRIO_PROCESS, int(thread.name), level)
