"""The C library's own options for memory: for the whole process, set once, from one place."""

from __future__ import annotations

import ctypes
import functools
import os
import sys

OPTIONS = {  # option (malloc.h) to bytes; larger blocks, whole feature maps, still go back to the kernel at once
    -3: 64 << 20,  # M_MMAP_THRESHOLD
    -1: 256 << 20,  # M_TRIM_THRESHOLD
    -2: 16 << 20,  # M_TOP_PAD
}


@functools.cache
def keep_freed_memory() -> None:
    """Let the C library keep what one band frees for the next (glibc, man 3 mallopt; elsewhere nothing happens).

    Otherwise it goes back to the kernel thousands of times, which hands it out again page by page, zeroed, under a lock
    that all threads of the process share. Whoever has set this through the environment keeps that setting.
    """
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in OPTIONS.items():
            mallopt(option, value)
