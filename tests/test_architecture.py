"""The house: who may import whom, what stays light, and what only the command line knows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hatcli

PACKAGE = Path(hatcli.__file__).parent
FLOORS = {
    "errors": 0,
    "progress": 0,
    "atomic": 0,
    "folder": 0,
    "outside": 0,
    "network": 1,
    "engine": 2,
    "image": 3,
    "models": 3,
    "upscaling": 4,
    "batch": 5,
    "evaluation": 5,
    "attribution": 5,
    "training": 5,
    "api": 6,
    "serve": 6,
    "cluster": 6,
    "video": 6,
    "cli": 7,
}
SIDEWAYS = {  # on the same floor, allowed: the importer and the imported
    ("atomic", "errors"),
    ("atomic", "folder"),
    ("atomic", "outside"),
    ("folder", "errors"),
    ("folder", "outside"),
    ("outside", "errors"),
    ("attribution", "evaluation"),
    ("training", "evaluation"),
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "weights" not in path.parts)


def imports(path: Path) -> set[str]:
    """Every module a file imports, at any level, type checking included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_upward(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    room = parts[0]
    if room in ("__init__", "__main__"):
        return
    for module in imports(path):
        names = module.split(".")
        if names[0] != "hatcli" or len(names) < 2 or names[1] not in FLOORS or names[1] == room:
            continue
        upward = FLOORS[names[1]] > FLOORS[room]
        sideways = FLOORS[names[1]] == FLOORS[room] and (room, names[1]) not in SIDEWAYS
        assert not upward, f"{room} imports {module}"
        assert not sideways, f"{room} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_knows_typer_and_rich(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] != "cli":
        assert not {name.split(".")[0] for name in imports(path)} & {"typer", "rich", "click"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_room_has_its_floor(path: Path) -> None:
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert room in FLOORS or room in ("__init__", "__main__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_generators_result_is_taken_in_one_place(path: Path) -> None:
    if path != PACKAGE / "progress.py":
        caught = [
            node.type for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ExceptHandler)
        ]
        assert not any(isinstance(kind, ast.Name) and kind.id == "StopIteration" for kind in caught), (
            "use drive or mapped"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def modules_after(code: str) -> set[str]:
    printed = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(printed.stdout.split())


def test_importing_the_package_or_the_command_line_imports_no_torch() -> None:
    heavy = {"torch", "numpy", "cv2", "PIL", "huggingface_hub"}
    assert not modules_after("import hatcli") & heavy
    assert not modules_after("import hatcli.cli") & heavy


def test_help_needs_no_torch() -> None:
    run = "from unittest.mock import patch; import hatcli.__main__ as m"
    call = "sys.argv = ['hat', '--help']\ntry:\n m.main()\nexcept SystemExit: pass"
    printed = subprocess.run(
        [sys.executable, "-c", f"import sys; {run}\n{call}\nprint('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.rstrip().endswith("False")


def test_public_names_are_importable() -> None:
    assert all(getattr(hatcli, name) is not None for name in hatcli.__all__)
    with pytest.raises(AttributeError):
        _ = hatcli.nothing


LONGER = {"models": 250, "train": 155}  # lines; the first is five commands in one file
COMMANDS = sorted((PACKAGE / "cli" / "commands").glob("*.py"))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_no_command_imports_another_and_each_is_short(path: Path) -> None:
    assert not [name for name in imports(path) if name.startswith("hatcli.cli.commands")]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGER.get(path.stem, 150)


@pytest.mark.parametrize("path", [path for path in FILES if "cli" in path.parts], ids=lambda path: path.stem)
def test_shared_parts_and_views_know_no_command(path: Path) -> None:
    if path.parent.name in ("shared", "views"):
        assert not [name for name in imports(path) if name.startswith("hatcli.cli.commands")]
