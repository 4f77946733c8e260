"""What `-n` lists where several models are wanted: names told apart, `all`, files whose names hold commas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from hatcli.errors import UsageError

Named = TypeVar("Named")
AUTO, BICUBIC, ALL = "auto", "bicubic", "all"


def listed(given: list[str] | None, *, default: Sequence[str]) -> list[str]:
    """Names of `-n`, each once, `all` as every installed model; an existing file's name may hold commas."""
    texts = given if given is not None else default
    parts = [part for text in texts for part in ([text] if Path(text).is_file() else text.split(","))]
    names = [part.strip() for part in parts if part.strip()]
    if not names:
        raise UsageError("no model was named", hint="try -n hat-t, or -n all")
    return list(dict.fromkeys(name for part in names for name in meant(part)))


def meant(name: str) -> list[str]:
    """What one word of `-n` stands for."""
    if name.lower() == BICUBIC:
        return [BICUBIC]
    return installed() if name.lower() == ALL else [name]


def installed() -> list[str]:
    """Every installed model of the catalogue, in its order."""
    from hatcli.models import catalog

    return list(dict.fromkeys(entry.name for entry in catalog.installed()))


def wants_all(given: list[str] | None) -> bool:
    """Whether `all` is among the names: then nothing is fetched for what is installed in part."""
    return any(word.strip().lower() == ALL for text in given or [] for word in text.split(","))


def told_apart(named: Sequence[tuple[str, Named]]) -> list[tuple[str, Named]]:
    """The same with names that differ: a second one gets `-2`."""
    seen: set[str] = set()
    result = []
    for name, value in named:
        number, label = 1, name
        while label in seen:
            number += 1
            label = f"{name}-{number}"
        seen.add(label)
        result.append((label, value))
    return result
