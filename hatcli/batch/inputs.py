"""What the user named to pictures: files, folders, globs, lists; each once, and what is passed over is told."""

from __future__ import annotations

import codecs
import errno
import glob
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hatcli.batch.naming import Naming
from hatcli.batch.places.objects import Stored
from hatcli.batch.results import EarlierResults
from hatcli.errors import UsageError
from hatcli.image import decode, formats
from hatcli.image.decode import PictureInfo
from hatcli.outside import NotPlainError, kind_of, read_bounded

STREAM = "-"  # stdin as an input, stdout as an output
_LONGEST_LIST = 1 << 30  # bytes of an @list
_MOST_DETAILS = 1000  # files passed over that are named with -v
_PICTURE_SUFFIXES = frozenset(formats.SUFFIXES) | {".hdr", ".dds", ".icns", ".dcm"}


@dataclass(frozen=True)
class InputFile:
    """A picture to enlarge.

    Attributes:
        path: None: stdin, or an object.
        relative: its path below the folder it was found in; its name where it was named itself.
        linked: whether a link to a folder was followed to it, so that its folder is not written to.
        stored: an object, instead of a file.
    """

    path: Path | None
    relative: Path
    linked: bool = False
    stored: Stored | None = None

    @property
    def origin(self) -> Path | Stored | None:
        """The file or the object; None: stdin."""
        return self.path if self.stored is None else self.stored

    @property
    def bytes(self) -> int:
        """How large the file, or object, is; 0 where that cannot be told without asking its store."""
        if self.stored is not None:
            return 0 if self.stored.seen is None else self.stored.seen.size
        try:
            return 0 if self.path is None else os.stat(self.path).st_size  # noqa: PTH116
        except OSError:  # it will be reported when its turn comes
            return 0

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return "stdin" if self.origin is None else str(self.origin)


@dataclass
class Found:
    """What a search for inputs gave.

    Attributes:
        files: pictures, in order.
        passed_over: files that are no pictures, links to pictures that were found themselves, or results of earlier
            runs; hidden files in folders are not even counted.
        from_folder: whether a folder, a glob or a list was among the inputs.
        unreadable: what the system said about folders that could not be listed, and pictures that are no plain files.
        remarks: sentences that everybody should hear.
        details: what was passed over and why, for those who ask.
    """

    files: list[InputFile] = field(default_factory=list)
    passed_over: int = 0
    from_folder: bool = False
    unreadable: list[OSError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def pass_over(self, path: Path, why: str) -> None:
        """Count a file that is not enlarged."""
        self.passed_over += 1
        if len(self.details) < _MOST_DETAILS:
            self.details.append(f"passed over {path}: {why}")


@dataclass(frozen=True)
class _Candidate:
    """Something that may become an input; `typed`: its very name was."""

    file: InputFile
    typed: bool

    @property
    def path(self) -> Path:
        assert self.file.path is not None, "stdin is no file"
        return self.file.path


def find(
    inputs: list[str],
    *,
    recursive: bool,
    naming: Naming,
    output: Path | None = None,
    follow_links: bool = False,
    look: Callable[[Path], PictureInfo] = decode.probe,
    is_film: Callable[[Path], bool] = lambda path: False,
) -> Found:
    """The pictures that the inputs name: each once, in the order given, folders sorted.

    Args:
        inputs: files, folders, globs, `@list.txt`, or `-`.
        recursive: whether folders inside folders are searched.
        naming: to leave out results of an earlier run.
        output: the output folder; left out when it lies inside an input folder.
        follow_links: whether links to folders inside the named ones are followed.
        look: says what the picture in a file is.
        is_film: says whether a file's name is that of a film.

    Raises:
        UsageError: something named is not there.
    """
    found = Found()
    search = _Search(found, recursive=recursive, output=output, follow_links=follow_links, is_film=is_film)
    candidates = [candidate for given in search.expanded(inputs) for candidate in search.candidates(given)]
    paths = [candidate.path for candidate in candidates if candidate.file.path is not None]
    results, kept, own = EarlierResults(paths, naming, look=look), [], 0
    for candidate in candidates:
        if candidate.file.path is not None and results.is_one(candidate.path, typed=candidate.typed):
            found.pass_over(candidate.path, "it is the result of an earlier run")
            own += 1
        else:
            kept.append(candidate.file)
    if own:
        found.remarks.append(f"{own} result{'s' if own > 1 else ''} of an earlier run not enlarged again")
    found.files = _each_once(kept, found)
    if search.linked:
        found.remarks.append(
            f"links to folders are not followed without --follow-links: {search.linked[0]}{_more(search.linked)}"
        )
    if not found.files and not found.unreadable:
        where = ", ".join(inputs)
        raise UsageError(
            f"there is no picture in {where}", hint=None if recursive else "folders inside folders need --recursive"
        )
    return found


def _each_once(files: list[InputFile], found: Found) -> list[InputFile]:
    """Each file once, by its own name rather than by that of a link to it, which is told."""
    kept: dict[str, InputFile] = {}
    doubled = []
    for file in files:
        identity = STREAM if file.path is None else os.path.realpath(file.path)
        before = kept.get(identity)
        if before is None or before.path is None or file.path is None:
            kept[identity] = file
            continue
        if os.path.abspath(before.path) == os.path.abspath(file.path):  # noqa: PTH100  (links are not to be resolved)
            continue
        if before.path.is_symlink() and not file.path.is_symlink():
            del kept[identity]
            kept[identity] = file
            before, file = file, before
        assert file.path is not None
        found.pass_over(file.path, f"it is the same file as {before.path}")
        doubled.append(f"{file.path} is the same file as {before.path}")
    if doubled:
        found.remarks.append(f"{doubled[0]}, which is enlarged once{_more(doubled)}")
    return list(kept.values())


def _more(told: list[str]) -> str:
    return f" (and {len(told) - 1} more)" if len(told) > 1 else ""


class _Search:
    """From what was typed to candidates; `linked` are the links to folders that were not followed."""

    def __init__(
        self,
        found: Found,
        *,
        recursive: bool,
        output: Path | None,
        follow_links: bool,
        is_film: Callable[[Path], bool],
    ) -> None:
        self.linked: list[str] = []
        self._found, self._recursive, self._follow_links = found, recursive, follow_links
        self._avoid = None if output is None else os.path.realpath(output)
        self._is_film = is_film
        self._stdin = False
        self._behind: set[str] = set()  # matches that a link to a folder led to

    def expanded(self, inputs: list[str]) -> Iterator[tuple[str, bool]]:
        """Lists and globs to plain names, and whether each was typed; a name that exists is never a pattern."""
        for given in inputs:
            if given == STREAM or os.path.exists(given):  # noqa: PTH110  (a name that no file can have is no error here)
                yield given, True
            elif given.startswith("@"):
                self._found.from_folder = True
                yield from ((line, True) for line in _listed(Path(given[1:])))
            elif glob.has_magic(given):
                self._found.from_folder = True
                yield from ((match, False) for match in self._matches(given))
            else:
                yield given, True

    def _matches(self, pattern: str) -> list[str]:
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  (absolute patterns too)
        if not matches:
            raise UsageError(
                f"nothing matches {pattern}", hint="put the pattern in quotes, and check its folder with ls"
            )
        behind = {match for match in matches if self._is_behind_link(pattern, match)}
        self._behind |= behind
        return [match for match in matches if self._follow_links or match not in behind]

    def _is_behind_link(self, pattern: str, match: str) -> bool:
        """Whether a link to a folder was passed where the pattern had a wildcard."""
        named = len(Path(pattern.partition("*")[0].partition("?")[0].partition("[")[0] + "x").parts) - 1
        parts = Path(match).parts
        behind = [Path(*parts[:count]) for count in range(named + 1, len(parts)) if _is_link(Path(*parts[:count]))]
        if not self._follow_links:
            self.linked += [str(link) for link in behind[:1] if str(link) not in self.linked]
        return bool(behind)

    def candidates(self, given: tuple[str, bool]) -> Iterator[_Candidate]:
        """What one name stands for: itself, or the pictures in that folder."""
        name, typed = given
        path = Path(name)
        if name == STREAM:
            if self._stdin:
                raise UsageError("stdin can be one input only", hint="name - once")
            self._stdin = True
            yield _Candidate(InputFile(None, Path("stdin")), typed)
        elif os.path.isdir(path):  # noqa: PTH112
            self._found.from_folder = True
            for file in self._walk(path):
                yield from self._if_picture(file)
        elif typed and not os.path.exists(path):  # noqa: PTH110
            raise _missing(name)
        elif typed:
            yield _Candidate(InputFile(path, Path(path.name)), typed)
        else:
            yield from self._if_picture(InputFile(path, Path(path.name), linked=name in self._behind))

    def _if_picture(self, file: InputFile) -> Iterator[_Candidate]:
        """The file if there is a picture in it, or should be by its name: reading it will say what is wrong."""
        path = file.path
        assert path is not None, "stdin is in no folder"
        named_so = path.suffix.lower() in _PICTURE_SUFFIXES or self._is_film(path)
        try:
            kind = kind_of(path.stat())
        except OSError:  # a link to nothing
            kind = None
        if kind is not None and named_so:
            self._found.unreadable.append(NotPlainError(errno.EINVAL, f"it is {kind}, not a picture", str(path)))
        elif kind is None and (named_so or decode.sniff(path) is not None):
            yield _Candidate(file, typed=False)
        else:
            self._found.pass_over(path, "it is no picture")

    def _walk(self, folder: Path) -> Iterator[InputFile]:
        """Files below a folder; hidden ones are left out, folders are entered once."""
        visited: set[str] = set()
        behind = {str(folder)} & self._behind
        for parent, folders, names in os.walk(folder, followlinks=True, onerror=self._found.unreadable.append):
            identity = os.path.realpath(parent)
            if identity in visited or (identity == self._avoid != os.path.realpath(folder)):
                folders.clear()
                continue
            visited.add(identity)
            self._choose_folders(parent, folders, behind)
            for name in sorted(names):
                path = Path(parent, name)
                if not name.startswith("."):
                    yield InputFile(path, path.relative_to(folder), linked=parent in behind)

    def _choose_folders(self, parent: str, folders: list[str], behind: set[str]) -> None:
        """Leave in `folders` those to enter, and note in `behind` the paths that lead through a link."""
        if not self._recursive:
            folders.clear()
            return
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if _is_link(Path(parent, name))]
        if self._follow_links:
            inside = folders if parent in behind else links
            behind.update(os.path.join(parent, name) for name in inside)  # noqa: PTH118  (as os.walk joins)
        else:
            self.linked += [os.path.join(parent, name) for name in links]  # noqa: PTH118
            folders[:] = [name for name in folders if name not in links]


def _is_link(folder: Path) -> bool:
    try:
        return kind_of(folder.lstat()) == "a link"
    except OSError:
        return False


def _listed(path: Path) -> Iterator[str]:
    """The names in a list, one a line: UTF-8, or UTF-16 as PowerShell writes it."""
    try:
        content = read_bounded(path, most=_LONGEST_LIST, pipes=True)
    except OSError as error:
        raise UsageError(
            f"the list {path} cannot be read: {error.strerror or error}",
            hint="a list is a text file with one picture a line",
        ) from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", "replace")
    else:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    yield from (line for given in text.split("\n") if (line := given.removesuffix("\r")).strip())


def _missing(name: str) -> UsageError:
    """What to say of a name that nothing has."""
    if re.match(r"[a-z][a-z0-9+.-]*://", name, flags=re.IGNORECASE):
        return UsageError(
            f"{name} is a URL, and pictures are read from files", hint=f"fetch it first: curl -LO '{name}'"
        )
    return UsageError(f"there is no file {Path(name)}", hint="check the spelling; quote names with spaces")
