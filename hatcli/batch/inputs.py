"""What the user named to pictures: files, folders, globs, lists; each once, what is passed over counted."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hatcli.batch.naming import Naming
from hatcli.errors import UsageError
from hatcli.image import decode

STREAM = "-"  # stdin as an input, stdout as an output


@dataclass(frozen=True)
class InputFile:
    """A picture to enlarge; `place` is its path below the folder it was found in. None as path: stdin."""

    path: Path | None
    place: Path

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return "stdin" if self.path is None else str(self.path)


@dataclass
class Found:
    """What a search for inputs gave.

    Attributes:
        files: pictures, in order.
        passed_over: files in folders that are no pictures, are hidden, or are results of an earlier run.
        from_folder: whether a folder, a glob or a list was among the inputs.
        unreadable: what the system said about folders that could not be listed.
    """

    files: list[InputFile] = field(default_factory=list)
    passed_over: int = 0
    from_folder: bool = False
    unreadable: list[OSError] = field(default_factory=list)


def find(inputs: list[str], *, recursive: bool, naming: Naming, output: Path | None = None) -> Found:
    """The pictures that the inputs name: each once, in the order given, folders sorted.

    Args:
        inputs: files, folders, globs, `@list.txt`, or `-`.
        recursive: whether folders inside folders are searched.
        naming: to leave out results of an earlier run.
        output: the output folder; left out when it lies inside an input folder.

    Raises:
        UsageError: something named is not there.
    """
    found = Found()
    seen: set[str] = set()
    beside = lru_cache(maxsize=8)(_stems)
    for given in _expanded(inputs, found):
        if given == STREAM:
            if any(file.path is None for file in found.files):
                raise UsageError("stdin can be one input only", hint="name - once")
            found.files.append(InputFile(None, Path("stdin")))
            continue
        path = Path(given)
        if os.path.isdir(path):  # noqa: PTH112  (a name that no file can have is no error here)
            found.from_folder = True
            candidates = _walk(path, recursive=recursive, avoid=output, unreadable=found.unreadable)
        elif os.path.exists(path):  # noqa: PTH110
            candidates = iter([(path, Path(path.name))])
        else:
            raise UsageError(f"there is no file {path}", hint="check the spelling; quote names with spaces")
        for file, place in candidates:
            identity = os.path.realpath(file)
            if identity in seen:
                continue
            if path.is_dir() and (naming.own_result(file, beside) or decode.sniff(file) is None):
                found.passed_over += 1
                continue
            seen.add(identity)
            found.files.append(InputFile(file, place))
    if not found.files:
        where = ", ".join(inputs)
        raise UsageError(
            f"there is no picture in {where}", hint=None if recursive else "folders inside folders need --recursive"
        )
    return found


def _stems(folder: Path) -> frozenset[str]:
    """The names of a folder's files without their endings."""
    return frozenset(Path(name).stem for name in os.listdir(folder))  # noqa: PTH208


def _expanded(inputs: list[str], found: Found) -> Iterator[str]:
    """Lists and globs to plain names; a name that exists is never taken for a pattern."""
    for given in inputs:
        if given.startswith("@") and not os.path.exists(given):  # noqa: PTH110
            found.from_folder = True
            yield from _listed(Path(given[1:]))
        elif given != STREAM and glob.has_magic(given) and not os.path.exists(given):  # noqa: PTH110
            found.from_folder = True
            matches = sorted(glob.glob(given, recursive=True))  # noqa: PTH207  (absolute patterns too)
            if not matches:
                raise UsageError(f"nothing matches {given}")
            yield from matches
        else:
            yield given


def _listed(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise UsageError(f"the list {path} cannot be read: {error.strerror or error}") from None
    yield from (line for line in lines if line.strip())


def _walk(
    folder: Path, *, recursive: bool, avoid: Path | None, unreadable: list[OSError]
) -> Iterator[tuple[Path, Path]]:
    """Files below a folder with their place in it; hidden ones are left out, links to folders are followed once."""
    visited: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=unreadable.append):
        identity = os.path.realpath(parent)
        if identity in visited or (
            avoid is not None and identity == os.path.realpath(avoid) != os.path.realpath(folder)
        ):
            folders.clear()
            continue
        visited.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path, path.relative_to(folder)
