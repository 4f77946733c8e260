"""Jobs over stores, made page by page while they are listed: work begins at once, and memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hatcli.batch.inputs import InputFile
from hatcli.batch.journal import Journal
from hatcli.batch.naming import Naming
from hatcli.batch.places.objects import Stored
from hatcli.batch.places.store import HIDDEN, PAGE, StorePlace
from hatcli.batch.plan import Job, Plan
from hatcli.batch.shards import WHOLE, Shard
from hatcli.errors import HatError, UsageError
from hatcli.image import decode, formats
from hatcli.image.decode import PictureInfo
from hatcli.upscaling.upscaler import Upscaler

_ENDINGS = tuple(formats.SUFFIXES)


@dataclass(frozen=True)
class Page:
    """Some pictures, in order: how many were listed, and those of them that belong to a part, or all."""

    listed: int
    files: list[InputFile]


Pages = Iterator[Page]


@dataclass(frozen=True)
class Target:
    """Where results go: below a prefix of a store, or below a folder; `named`: one result, called so.

    Attributes:
        root: the journal's, or None: in none.
    """

    place: StorePlace | None = None
    folder: Path | None = None
    named: str | None = None
    root: Path | None = None

    def job(self, file: InputFile, name: str) -> Job:
        """The job that makes a result of this name."""
        relative = PurePosixPath(self.named) if self.named is not None else file.relative.parent / name
        if self.place is not None:
            key = self.place.key_of(PurePosixPath(relative).as_posix())
            return Job(file, None, self.root, stored=Stored(self.place, key))
        assert self.folder is not None, "results go somewhere"
        return Job(file, self.folder / relative, self.root)


@dataclass
class JobStream:
    """The jobs of a part of the pictures, in pages; how many there are is known in the end.

    Attributes:
        found: pictures so far, in all parts.
        inputs: a digest of what was named.
        apart: hashes of the results so far, where pictures of several places could become the same; None: they cannot.
    """

    pages: Pages
    target: Target
    naming: Naming
    plan: Plan
    upscaler: Upscaler
    shard: Shard
    journal: Journal | None
    inputs: str
    is_noted: bool = True
    apart: set[int] | None = None
    found: int = 0
    made: int = 0

    def __len__(self) -> int:
        """How many there are so far."""
        return self.made

    def __iter__(self) -> Iterator[Job]:
        """Each job.

        Raises:
            UsageError: two pictures would become the same result.
        """
        for page in self.pages:
            self.found += page.listed
            mine = [file for file in page.files if self.shard.is_whole or self.shard.holds(file.relative)]
            jobs = [self._job(file) for file in mine]
            self.made += len(jobs)
            if self.journal is not None and self.is_noted:
                self.journal.expect([job.result for job in jobs if job.result is not None], inputs=self.inputs)
            yield from jobs
        if self.journal is not None and self.is_noted:
            self.journal.found(self.found, pictures=self.made, inputs=self.inputs)

    def _job(self, file: InputFile) -> Job:
        job = self.target.job(file, "" if self.target.named is not None else self._name(file))
        if self.apart is not None:
            number = hash(str(job.result))
            if number in self.apart:
                raise UsageError(
                    f"{file.label} and another picture would both become {job.result}",
                    hint="give each its own run and -o",
                )
            self.apart.add(number)
        return job

    def _name(self, file: InputFile) -> str:
        """What a result is called, told from its picture's name alone, or from its first bytes where they decide.

        A picture whose ending changes keeps it in the name, so that no two pictures ever share a result.
        """
        target, suited = self.plan.target, self.upscaler
        factor, width, height, container = target.scale, 0, 0, "PNG"
        templated = any(field in self.naming.template for field in ("{width}", "{height}", "{model}"))
        if templated or target.is_size:
            try:
                info = look(file, max_pixels=self.plan.max_pixels)
                suited = suited.suited(info.width, info.height, jpeg_quality=info.jpeg_quality, target=target)
                factor = target.factor(info.width, info.height)
                width, height = (round(side * (factor or max(suited.native))) for side in (info.width, info.height))
                container = info.format
            except HatError:  # it will be reported when its turn comes
                factor = factor or 1.0
        scale = factor or float(max(suited.native))
        naming = replace(self.naming, model="" if suited.model is None else suited.model.name)
        suffix = file.relative.suffix
        changes = naming.ending(suffix, container).lower() != suffix.lower()
        return naming.file_name(
            file.relative, scale=scale, width=width, height=height, source_format=container, apart=changes
        )


def look(file: InputFile, *, max_pixels: int) -> PictureInfo:
    """What a picture is, from the first bytes of an object where these suffice.

    Raises:
        InputError: it cannot be read.
    """
    if file.stored is None:
        assert file.path is not None, "stdin is no input here"
        return decode.probe(file.path, max_pixels=max_pixels)
    head = file.stored.holder.read_head(file.stored.key)
    try:
        return decode.describe(head, name=file.label, max_pixels=max_pixels)
    except HatError:
        whole, _ = file.stored.holder.read(file.stored.key, most=decode.most_bytes(max_pixels))
        return decode.describe(whole, name=file.label, max_pixels=max_pixels)


def objects_below(place: StorePlace, *, recursive: bool, avoid: StorePlace | None, shard: Shard = WHOLE) -> Pages:
    """The pictures below a prefix, by their names; hidden ones, and those below `avoid`, are left out.

    Whoever has a small part of a million names waits for them all: what is told of the others is text alone.
    """
    apart = avoid.prefix if avoid is not None and avoid.base == place.base else None
    listed = 0

    def is_wanted(key: str) -> bool:
        nonlocal listed
        relative = place.relative(key)
        is_deep = not recursive and "/" in relative
        if is_deep or not _is_picture(key, relative) or (apart is not None and _is_below(key, apart)):
            return False
        listed += 1
        return shard.is_whole or shard.holds(relative)

    for page in place.pages(is_wanted=is_wanted):
        files = [InputFile(None, Path(place.relative(stored.key)), stored=stored) for stored in page]
        yield Page(listed, files)
        listed = 0


def in_pages(files: list[InputFile]) -> Pages:
    """Files that were found already."""
    for start in range(0, len(files), PAGE):
        page = files[start : start + PAGE]
        yield Page(len(page), page)


def _is_below(key: str, prefix: str) -> bool:
    return not prefix or key.startswith(f"{prefix}/")


def _is_picture(key: str, relative: str) -> bool:
    """Whether a name is that of a picture, and one that a folder can have, too."""
    if not relative.lower().endswith(_ENDINGS) or relative.startswith(".") or "/." in relative:
        return False
    inside = f"/{key}/"
    return not any(odd in inside for odd in _ODD)


_ODD = ("//", "/./", "/../", "\\", "\0", f"/{HIDDEN}/")
