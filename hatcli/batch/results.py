"""Results of earlier runs among the inputs: told by the journals, or by name and size; enlarges and writes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hatcli.batch.journal_files import NAME
from hatcli.batch.naming import Naming
from hatcli.batch.records import Records
from hatcli.errors import HatError
from hatcli.image.decode import PictureInfo

_SLACK = 0.005  # share by which a size may differ from what the name says: `{scale}` has four digits


class EarlierResults:
    """Which of the candidates hat has made from another one, or from a picture in the same folder.

    Args:
        candidates: every file that may become an input.
        naming: how results are named now; results of other names are known by the journals alone.
        look: says what the picture in a file is.
    """

    def __init__(self, candidates: list[Path], naming: Naming, *, look: Callable[[Path], PictureInfo]) -> None:
        self._naming, self._look = naming, look
        self._candidates = {_absolute(path) for path in candidates}
        self._stems: dict[tuple[Path, str], list[Path]] = {}
        for path in candidates:
            for stem in {path.stem, naming.apart_stem(path)}:
                self._stems.setdefault((path.parent, stem), []).append(path)
        self._records: dict[Path, list[Records]] = {}

    def is_one(self, path: Path, *, typed: bool) -> bool:
        """Whether it is such a result; one that was typed by name only if its source is a candidate, too."""
        return self._is_recorded(path, typed=typed) or self._is_named_like_one(path)

    def _is_recorded(self, path: Path, *, typed: bool) -> bool:
        for records in self._records_above(Path(_absolute(path)).parent):
            source = records.source_of(path)
            if source is None:
                continue
            beside = _absolute(path.with_name(Path(source).name))  # the folder may have moved since
            if source in self._candidates or (beside in self._candidates and beside != _absolute(path)):
                return True
            if not typed and Path(source).parent == Path(_absolute(path)).parent and not os.path.lexists(source):
                return records.has_made(path)  # not another picture that has its name by now
        return False

    def _records_above(self, folder: Path) -> list[Records]:
        """The journals in a folder and in those above it, the nearest first; what is no journal is passed over."""
        if folder not in self._records:
            above = [] if folder.parent == folder else self._records_above(folder.parent)
            self._records[folder] = [*_records_in(folder), *above]
        return self._records[folder]

    def _is_named_like_one(self, path: Path) -> bool:
        """Whether name and size are those of a result of another candidate beside it."""
        told = self._naming.source_of(path)
        if told is None:
            return False
        stem, scale = told
        sources = [source for source in self._stems.get((path.parent, stem), []) if source != path]
        return any(self._is_enlarged(source, path, scale) for source in sources)

    def _is_enlarged(self, source: Path, result: Path, scale: float | None) -> bool:
        try:
            small, large = self._look(source), self._look(result)
        except HatError:  # reading will say what is wrong; until then the name must do
            return scale is not None
        factor = large.width / small.width if scale is None else scale
        pairs = ((small.width, large.width), (small.height, large.height))
        return factor > 1 and all(abs(after - before * factor) <= 1 + _SLACK * after for before, after in pairs)


def _records_in(folder: Path) -> list[Records]:
    """The journal of a folder, if there is one to be believed: not somebody else's, as in a folder open to all."""
    try:
        owner = (folder / NAME).lstat().st_uid
        if hasattr(os, "geteuid") and owner not in (os.geteuid(), folder.stat().st_uid):
            return []
        return [Records(folder)]
    except (OSError, HatError):  # none, or a link or a pipe: whoever wants to write there will be told
        return []


def _absolute(path: Path) -> str:
    return str(path.absolute())
