"""The folder of the server whose pictures clients may name; a name is found in it by looking, never joined to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatcli.errors import UsageError
from hatcli.image import formats
from hatcli.serve.limits import RefusedError
from hatcli.serve.parameters import shown

MOST_LISTED = 5000  # names of one folder


class Root:
    """A folder; links in it are not followed.

    Raises:
        UsageError: there is none.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"--root {folder} is not a folder", hint="name one that is there")
        self.path = folder.resolve()

    def picture(self, given: str) -> Path:
        """The picture of this name.

        Raises:
            RefusedError: there is no such plain file.
        """
        found = self._found(given)
        if not found.is_file(follow_symlinks=False):
            raise _missing(given)
        return Path(found.path)

    def folder(self, given: str) -> Path:
        """The folder of this name; an empty one is the root itself.

        Raises:
            RefusedError: there is no such folder.
        """
        if not _parts(given):
            return self.path
        found = self._found(given)
        if not found.is_dir(follow_symlinks=False):
            raise _missing(given)
        return Path(found.path)

    def listing(self, given: str) -> dict[str, Any]:
        """What is in a folder: names of folders and of what may be pictures, sorted.

        Raises:
            RefusedError: there is no such folder.
        """
        folders, pictures = [], []
        with os.scandir(self.folder(given)) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.is_symlink():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif Path(entry.name).suffix.lower() in formats.SUFFIXES:
                    pictures.append({"name": entry.name, "bytes": entry.stat(follow_symlinks=False).st_size})
        return {
            "path": "/".join(_parts(given)),
            "folders": sorted(folders)[:MOST_LISTED],
            "pictures": sorted(pictures, key=lambda picture: str(picture["name"]))[:MOST_LISTED],
        }

    def _found(self, given: str) -> os.DirEntry[str]:
        """The entry that a name leads to, looked for folder by folder."""
        parts = _parts(given)
        if not parts:
            raise _missing(given)
        entry = _entry(self.path, parts[0])
        for part in parts[1:]:
            is_way = entry is not None and not entry.is_symlink() and entry.is_dir(follow_symlinks=False)
            entry = _entry(Path(entry.path), part) if entry is not None and is_way else None
        if entry is None or entry.is_symlink():
            raise _missing(given)
        return entry


def _entry(folder: Path, name: str) -> os.DirEntry[str] | None:
    try:
        with os.scandir(folder) as entries:
            return next((entry for entry in entries if entry.name == name and not name.startswith(".")), None)
    except OSError:
        return None


def _parts(given: str) -> list[str]:
    return [part for part in given.replace("\\", "/").split("/") if part]


def _missing(given: str) -> RefusedError:
    return RefusedError(404, f"there is no {shown(given)} below the server's root", hint="links are not followed")
