"""What the user named to jobs: files, folders, globs, lists; mirrored trees; collisions refused before work starts."""

from __future__ import annotations

import glob
import os
import re
import secrets
import shutil
import string
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hatcli.atomic import PREFIX, SUFFIX, write_error
from hatcli.errors import OutputError, UsageError
from hatcli.image import decode, encode

STREAM = "-"  # stdin as an input, stdout as an output
LONGEST_NAME = 255  # bytes of one file name, on every common file system
FIELDS = ("stem", "scale", "model", "width", "height")


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


@dataclass(frozen=True)
class Naming:
    """How outputs are named.

    Attributes:
        suffix: appended to the stem, with `{scale}` and the other fields filled in.
        name: a template for the whole stem instead, such as `{stem}_{model}_x{scale}`.
        format: an encoder's name, or None: as the input.
        model: fills `{model}`.
    """

    suffix: str = "_x{scale}"
    name: str | None = None
    format: str | None = None
    model: str = ""

    def __post_init__(self) -> None:
        for template in (self.suffix, self.name or ""):
            if "/" in template or "\\" in template or "\0" in template:
                raise UsageError(f"{template!r} names a folder, not a file", hint="folders go into --output")
            try:
                named = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
                if not named <= set(FIELDS):
                    raise ValueError
                template.format(**dict.fromkeys(FIELDS, ""))
            except ValueError:
                fields = " ".join(f"{{{name}}}" for name in FIELDS)
                raise UsageError(f"{template!r} is not a name template", hint=f"fields: {fields}") from None

    def file_name(self, source: InputFile, *, scale: float, width: int, height: int, source_format: str) -> str:
        """The output's file name; a stem that would be too long is cut."""
        fields = {"scale": f"{scale:.4g}", "model": self.model, "width": width, "height": height}
        stem = source.place.stem if source.place.suffix else source.place.name
        ending = self.ending(source.place.suffix, source_format)
        template = self.name if self.name is not None else f"{{stem}}{self.suffix}"
        while len(os.fsencode(name := template.format(stem=stem, **fields) + ending)) > LONGEST_NAME and len(stem) > 1:
            stem = stem[:-1]
        return name

    def ending(self, suffix: str, source_format: str) -> str:
        """The file ending: of the wanted format, else the input's own if that can be written, else its content's."""
        if self.format is not None:
            return encode.ending_for(self.format)
        if suffix and encode.format_for(suffix) is not None:
            return suffix
        return encode.ending_for(source_format if encode.format_for(source_format) else "PNG")

    def own_result(self, path: Path, beside: Callable[[Path], frozenset[str]]) -> bool:
        """Whether a file looks like this naming's result for another file in its folder, whose stems `beside` knows."""
        if self.name is not None or "{" not in self.suffix:
            return False
        pattern = re.escape(self.suffix).replace(r"\{scale\}", r"\d+(\.\d+)?")
        pattern = re.sub(r"\\\{\w+\\\}", ".+?", pattern)
        match = re.fullmatch(f"(?P<stem>.+?){pattern}", path.stem, flags=re.DOTALL)
        return match is not None and match["stem"] in beside(path.parent)


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


@dataclass(frozen=True)
class Job:
    """One picture to enlarge and where the result goes; None as output: stdout.

    Attributes:
        root: the folder whose journal the result belongs to, or None: to no journal.
        at_least: bytes the result takes on the disk, guessed low; 0 where nothing is known.
    """

    source: InputFile
    output: Path | None
    root: Path | None = None
    at_least: int = 0


def check_outputs(jobs: list[Job]) -> None:
    """Refuse, before any work, outputs that would overwrite an input or each other, or that are folders.

    Raises:
        UsageError: naming the first such pair.
    """
    inputs = {os.path.realpath(job.source.path): job.source for job in jobs if job.source.path is not None}
    same_file = {}  # by device and number, which hard links share
    for name, source in inputs.items():
        with suppress(OSError):  # it will be reported when its turn comes
            status = os.stat(name)  # noqa: PTH116
            same_file[status.st_dev, status.st_ino] = source
    outputs: dict[str, Job] = {}
    for job in jobs:
        if job.output is None:
            continue
        identity = os.path.realpath(job.output)
        clash = inputs.get(identity)
        with suppress(OSError):  # it does not exist, which is how it should be
            status = os.stat(job.output)  # noqa: PTH116
            clash = clash or same_file.get((status.st_dev, status.st_ino))
        if clash is not None:
            raise UsageError(
                f"the output {job.output} is the input {clash.label}", hint="choose another name with -o or --suffix"
            )
        if os.path.isdir(job.output):  # noqa: PTH112
            raise UsageError(f"the output {job.output} is a folder", hint="choose another name with -o or --suffix")
        folded = os.path.normcase(identity)
        if folded in outputs:
            raise UsageError(
                f"{outputs[folded].source.label} and {job.source.label} would both become {job.output}",
                hint="use --name, --suffix or another --format to tell them apart",
            )
        outputs[folded] = job


def check_targets(jobs: list[Job]) -> None:
    """Refuse, before any work, folders that results could not be written to.

    Raises:
        OutputError: such a folder is not one, is read-only, or does not exist and cannot be made.
    """
    for folder in {job.output.parent for job in jobs if job.output is not None}:
        existing = _existing(folder)
        probe = existing / f"{PREFIX}{secrets.token_hex(6)}{SUFFIX}"
        try:
            with open(probe, "xb"):
                pass
        except OSError as error:
            raise write_error(folder / "results", error) from error
        probe.unlink()


def check_room(jobs: list[Job]) -> None:
    """Refuse, before any work, more than the disks can hold, by a guess that is rather too low than too high.

    Raises:
        OutputError: the results surely do not fit.
    """
    needed: dict[int, int] = {}
    places: dict[int, Path] = {}
    for job in jobs:
        if job.output is not None and job.at_least:
            folder = _existing(job.output.parent)
            disk = folder.stat().st_dev
            needed[disk] = needed.get(disk, 0) + job.at_least
            places[disk] = folder
    for disk, size in needed.items():
        free = shutil.disk_usage(places[disk]).free
        if size > free:
            raise OutputError(
                f"the results need at least {size / 1e9:.1f} GB, and {places[disk]} has {free / 1e9:.1f} GB left",
                hint="free some space, or write elsewhere with -o",
            )


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))  # noqa: PTH110
