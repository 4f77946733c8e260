"""What is settled before the first picture of a run that reads from stores or writes to one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from hatcli.batch.batch import Batch
from hatcli.batch.decoder import Decoder
from hatcli.batch.inputs import STREAM, Found, InputFile
from hatcli.batch.journal import Journal, digest_of
from hatcli.batch.naming import Naming, check_agreed, check_ending
from hatcli.batch.places import address, web
from hatcli.batch.places.address import Address
from hatcli.batch.places.journal import StoreJournal, root_of
from hatcli.batch.places.objects import Stored
from hatcli.batch.places.store import StorePlace
from hatcli.batch.places.stream import JobStream, Page, Pages, Target, in_pages, objects_below
from hatcli.batch.plan import Plan, ways
from hatcli.batch.shards import Shard
from hatcli.batch.stamps import is_there
from hatcli.errors import UsageError
from hatcli.models.opening import Auto, Model
from hatcli.upscaling.upscaler import Upscaler


def settle_stored(
    named: Sequence[str],
    output: str | None,
    naming: Naming,
    plan: Plan,
    opened: Model | Auto,
    upscaler: Upscaler,
    decoder: Decoder,
    *,
    shard: Shard,
    recursive: bool,
    found: Found,
    is_noted: bool,
) -> Batch:
    """What the inputs become, page by page, and the journal of where results go; nothing is written.

    Args:
        found: pictures in folders; told that there are many, if there are.
        is_noted: whether the jobs will be done, and their names are told to the journal.

    Raises:
        UsageError: something named is not there, or cannot be meant.
    """
    if STREAM in named or output == STREAM:
        raise UsageError("stdin and stdout do not go together with URLs", hint="name files, or use curl")
    if not output:
        raise UsageError("pictures from a URL need an output", hint="add -o large/ or -o s3://bucket/large/")
    sources = [_Source(address.parse(name)) for name in named if address.is_url(name)]
    many = found.from_folder or len(found.files) + len(sources) > 1 or any(source.is_folder for source in sources)
    found.from_folder = many
    target, avoid = _target(output, many=many)
    for source in sources:
        source.check_apart(avoid)
    if target.named is not None:
        _check_named(target, plan)
    journals = _journals(target, upscaler, plan, opened, shard)
    pages = chain(
        in_pages(found.files), *(source.pages(recursive=recursive, avoid=avoid, shard=shard) for source in sources)
    )
    journal = journals.get(target.root) if target.root is not None else None
    inputs = digest_of(
        [address.parse(name).label if address.is_url(name) else str(Path(name).absolute()) for name in named]
    )
    stream = JobStream(pages, target, naming, plan, upscaler, shard, journal, inputs, is_noted=is_noted)
    if len(named) > 1:
        stream.apart = set()
    return Batch(stream, found, plan, opened, upscaler, journals, decoder, shard, inputs=inputs)


class _Source:
    """A named URL: one picture, or all below a prefix."""

    def __init__(self, at: Address) -> None:
        self._address = at
        self._single: InputFile | None = None
        self._place: StorePlace | None = None
        if at.scheme in address.WEB:
            name = Path(web.name_of(at))
            self._single = InputFile(None, name, stored=Stored(web.WebPage(at), at.key))
            return
        bucket = StorePlace.at(Address(at.scheme, at.base, "", True, at.base))
        seen = bucket.head(at.key) if at.key and not at.is_folder else None
        if seen is not None:
            name = Path(PurePosixPath(at.key).name)
            self._single = InputFile(None, name, stored=Stored(bucket, at.key, seen))
        else:
            self._place = StorePlace.at(at)

    @property
    def is_folder(self) -> bool:
        return self._single is None

    def check_apart(self, output: StorePlace | None) -> None:
        """Refuse results among the pictures they are made from."""
        place = self._place
        if place is not None and output is not None and (place.base, place.prefix) == (output.base, output.prefix):
            raise UsageError(
                f"results do not go to {output.label}, where the pictures are", hint=f"use -o {output.label}/large/"
            )

    def pages(self, *, recursive: bool, avoid: StorePlace | None, shard: Shard) -> Pages:
        if self._single is not None:
            yield Page(1, [self._single])
            return
        assert self._place is not None, "a source is a picture or a place"
        yield from _not_empty(
            objects_below(self._place, recursive=recursive, avoid=avoid, shard=shard), self._place, recursive=recursive
        )


def _not_empty(pages: Pages, place: StorePlace, *, recursive: bool) -> Pages:
    is_empty = True
    for page in pages:
        is_empty = is_empty and not page.listed
        yield page
    if is_empty:
        raise UsageError(
            f"there is no picture in {place.label}",
            hint=None if recursive else "folders inside folders need --recursive",
        )


def _target(output: str, *, many: bool) -> tuple[Target, StorePlace | None]:
    """Where results go, and the place in a store that no inputs are taken from."""
    if not address.is_url(output):
        path = Path(output)
        if many or path.is_dir() or output.endswith(("/", "\\")):
            return Target(folder=path, root=path if many else None), None
        return Target(folder=path.parent, named=path.name), None
    at = address.parse(output)
    if at.scheme in address.WEB:
        raise UsageError(f"nothing can be written to {at.base}", hint="results go to files, s3://, gs:// or az://")
    if many or at.is_folder:
        place = StorePlace.at(at)
        return Target(place=place, root=root_of(place) if many else None), place
    parent, _, name = at.key.rpartition("/")
    place = StorePlace.at(Address(at.scheme, at.base, parent, True, at.base))
    return Target(place=place, named=name), None


def _check_named(target: Target, plan: Plan) -> None:
    """Refuse one result that has no format, or is there already."""
    assert target.named is not None, "a result that was named"
    if plan.format is None:
        check_ending(Path(target.named))
    else:
        check_agreed(Path(target.named), plan.format)
    result = target.job(InputFile(None, Path(target.named)), "").result
    if isinstance(result, Stored):
        result = Stored(result.holder, result.key, target.place.head(result.key) if target.place else None)
    if result is not None and is_there(result) and not (plan.overwrite or plan.skip_existing):
        raise UsageError(f"{result} exists already", hint="add --overwrite or --skip-existing")


def _journals(
    target: Target, upscaler: Upscaler, plan: Plan, opened: Model | Auto, shard: Shard
) -> dict[Path, Journal]:
    if target.root is None:
        return {}
    settings, weights_for = ways(upscaler, plan, opened)
    if target.place is not None:
        return {target.root: StoreJournal(target.place, settings, weights_for, shard=shard)}
    return {target.root: Journal(target.root, settings, weights_for, shard=shard)}
