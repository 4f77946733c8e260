"""Where training pictures lie: folders, LR/HR pairs of folders, and .tar archives; finds them, decodes none."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hatcli.errors import InputError, UsageError
from hatcli.evaluation.datasets import is_picture_file, matching_small
from hatcli.image import formats

ARCHIVE = ".tar"


@dataclass(frozen=True)
class Member:
    """A picture inside an archive: where its bytes lie."""

    archive: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """The picture's file.

        Raises:
            InputError: the archive ends before the picture does, or is gone.
        """
        try:
            with open(self.archive, "rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise InputError(f"{self.archive} cannot be read: {error.strerror or error}") from None
        if len(data) < self.size:
            raise InputError(
                f"{self.archive.name} ends inside {self.name}", hint="the archive was cut off; fetch it again"
            )
        return data


@dataclass(frozen=True)
class TrainingPicture:
    """One picture to learn from, and its small version where that is not to be made from it."""

    high: Path | Member
    low: Path | None = None

    @property
    def name(self) -> str:
        """For people: the file's name, or the archive's with the picture's."""
        return self.high.name if isinstance(self.high, Path) else f"{self.high.archive.name}/{self.high.name}"


def find_sources(
    places: list[Path],
    *,
    recursive: bool = False,
    small: Path | None = None,
    scale: int = 4,
    unmatched: list[str] | None = None,
) -> list[TrainingPicture]:
    """Every picture in these folders and archives, by name; archives inside the folders count as shards.

    Args:
        small: a folder of small versions, matched by name (`baby.png` by `baby.png`, `babyx4.png`, `baby_LR.png`).
        unmatched: takes a line for every picture without a small version, instead of an error at the first.

    Raises:
        UsageError: a place is missing, there is no picture, or a picture has no small version.
        InputError: an archive cannot be read.
    """
    sources: list[TrainingPicture] = []
    for place in places:
        for path in files_in(place, recursive=recursive):
            if path.suffix.lower() == ARCHIVE:
                sources += [TrainingPicture(member) for member in members(path)]
            else:
                sources.append(TrainingPicture(path))
    if not sources:
        raise UsageError(
            f"there is no picture in {', '.join(str(place) for place in places)}",
            hint="folders inside folders are looked into with -r"
            if not recursive
            else "name a folder of PNG or JPEG files",
        )
    if small is None:
        return sources
    smalls = [path for path in files_in(small, recursive=recursive) if path.suffix.lower() != ARCHIVE]
    return pair_with_small(sources, smalls, folder=small, scale=scale, unmatched=unmatched)


def files_in(place: Path, *, recursive: bool) -> list[Path]:
    """The pictures and archives of a folder in the order of their names, or the archive itself."""
    if place.is_file() and place.suffix.lower() == ARCHIVE:
        return [place]
    if place.is_file():
        raise UsageError(f"{place} is neither a folder nor a {ARCHIVE} archive", hint="name the folder it lies in")
    if not place.is_dir():
        raise UsageError(f"there is no folder {place}", hint="name a folder of pictures, or a .tar archive")
    found = place.rglob("*") if recursive else place.iterdir()
    return sorted(
        path for path in found if is_picture_file(path) or (path.suffix.lower() == ARCHIVE and path.is_file())
    )


def pair_with_small(
    sources: list[TrainingPicture], smalls: list[Path], *, folder: Path, scale: int, unmatched: list[str] | None
) -> list[TrainingPicture]:
    """The same pictures with their small versions from `folder`."""
    by_stem = {path.stem: path for path in smalls} if len({path.stem for path in smalls}) == len(smalls) else {}
    result = []
    for source in sources:
        if isinstance(source.high, Member):
            raise UsageError(
                "pictures in archives cannot have a folder of small versions",
                hint="unpack the archive, or leave --lr out",
            )
        try:  # the same stem is the usual case; the careful search takes a pass over all names
            found = by_stem.get(source.high.stem) or matching_small(source.high, smalls, scale=scale, folder=folder)
        except UsageError as error:
            if unmatched is None:
                raise
            unmatched.append(error.message)
            continue
        result.append(TrainingPicture(source.high, found))
    return result


def members(archive: Path) -> Iterator[Member]:
    """The pictures of an archive, in the order they lie in it; other files (texts, labels) are passed over.

    Raises:
        InputError: it is no tar archive, or it breaks off.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            for entry in tar:
                name = PurePosixPath(entry.name)
                if entry.isreg() and name.suffix.lower() in formats.SUFFIXES and not name.name.startswith("."):
                    yield Member(archive, entry.name, entry.offset_data, entry.size)
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            f"{archive.name} is not a whole tar archive: {error}",
            hint="make or fetch it again; it must not be compressed",
        ) from None
    except OSError as error:
        raise InputError(
            f"{archive} cannot be read: {error.strerror or error}", hint="check that it is there and may be read"
        ) from None
