"""What the shell offers where a model is meant: names and checkpoints; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

CHECKPOINTS = (".safetensors", ".pth", ".pt", ".ckpt")
AUTO = "auto"


def model_names(incomplete: str) -> list[str]:
    """What can follow `-n`: `auto`, installed models, the catalogue's others, checkpoints; after a comma again."""
    from hatcli.models import catalog

    before, comma, beginning = incomplete.rpartition(",")
    installed = [entry.name for entry in catalog.installed()]
    known = [name for name in dict.fromkeys((AUTO, *installed, *catalog.names())) if name.startswith(beginning)]
    return [before + comma + word for word in (*known, *files(beginning))]


def catalog_names(incomplete: str) -> list[str]:
    """The catalogue's names, for commands that look after it."""
    from hatcli.models import catalog

    return [name for name in catalog.names() if name.startswith(incomplete)]


def files(beginning: str) -> list[str]:
    """Checkpoints, and folders that may hold some, whose path begins so."""
    head, _, name = beginning.replace("\\", "/").rpartition("/")
    folder = Path(head + "/") if head or beginning.startswith("/") else Path()
    try:
        there = sorted(path for path in folder.iterdir() if path.name.startswith(name))
        ends = {path: "/" if path.is_dir() else "" for path in there if name or not path.name.startswith(".")}
    except OSError:
        return []
    prefix = beginning[: len(beginning) - len(name)]
    return [prefix + path.name + end for path, end in ends.items() if end or path.suffix.lower() in CHECKPOINTS]
