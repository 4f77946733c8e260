"""Looks at pictures in a process apart, which may die or hang."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from hatcli.serve import inspection
from hatcli.serve.child import Child
from hatcli.serve.inspection import Inspector
from hatcli.serve.limits import RefusedError
from hatcli.serve.parameters import Parameters

ANSWERS = 'import sys\nfor line in sys.stdin: print(\'{"output": "a.png"}\', flush=True)'
DIES = "import sys; sys.stdin.readline(); sys.exit(9)"
HANGS = "import sys, time; sys.stdin.readline(); time.sleep(1000)"


def looked(path: Path, *programs: str) -> tuple[dict[str, object] | RefusedError, int]:
    """What a look gives where the processes are these, one after the other; and how many there were."""
    path.write_bytes(b"x")
    started: list[Child] = []

    def start() -> Child:
        started.append(Child([sys.executable, "-c", programs[len(started)]]))
        return started[-1]

    inspector = Inspector(1000, start=start)
    try:
        return inspector.look(path, "a.png", Parameters(scale=2.0)), len(started)
    except RefusedError as error:
        return error, len(started)
    finally:
        inspector.close()


def test_a_look_whose_process_was_killed_is_taken_once_more(tmp_path: Path) -> None:
    assert looked(tmp_path / "a.png", DIES, ANSWERS) == ({"output": "a.png"}, 2)


def test_a_picture_at_which_two_processes_die_is_refused(tmp_path: Path) -> None:
    found, count = looked(tmp_path / "a.png", DIES, DIES, ANSWERS)
    assert isinstance(found, RefusedError)
    assert found.status == 422
    assert found.hint
    assert count == 2


def test_a_picture_at_which_a_process_hangs_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "PATIENCE", 0.2)
    monkeypatch.setattr(inspection, "START", 0.2)
    found, count = looked(tmp_path / "a.png", HANGS, ANSWERS)
    assert isinstance(found, RefusedError)
    assert found.status == 422
    assert count == 1
