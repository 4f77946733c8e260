"""Freed memory is kept where the C library can, and whoever says otherwise in the environment is heard."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest
import torch

from hatcli.engine import malloc, opened


class FakeLibrary:
    def __init__(self) -> None:
        self.options: dict[int, int] = {}

    def mallopt(self, option: int, value: int) -> int:
        self.options[option] = value
        return 1


@pytest.mark.parametrize("setting", [None, "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_the_c_library_keeps_freed_memory_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    library = FakeLibrary()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]:
        monkeypatch.delenv(name)
    if setting:
        monkeypatch.setenv(setting, "1")
    malloc.keep_freed_memory.__wrapped__()
    assert library.options == ({} if setting else malloc.OPTIONS)


@pytest.mark.parametrize("system", ["darwin", "win32", "linux"])
def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())  # no mallopt, as in musl
    monkeypatch.setattr(sys, "platform", system)
    malloc.keep_freed_memory.__wrapped__()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own options")
def test_glibc_takes_the_options() -> None:
    program = f"import ctypes; print([ctypes.CDLL(None).mallopt(*o) for o in {list(malloc.OPTIONS.items())}])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[1, 1, 1]"


def test_opening_a_network_on_a_cpu_is_what_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    monkeypatch.setattr(malloc, "keep_freed_memory", lambda: called.append(True))
    opened(torch.nn.Identity(), scale=1, device=torch.device("cpu"), dtype=torch.float32)
    assert called == [True]
