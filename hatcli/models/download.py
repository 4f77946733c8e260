"""How weights get here: fetched or copied, checked by sha256 before anything opens them, converted once, then in place.

The Hub client's own download keeps nothing of a broken transfer, repeats itself for 23 seconds against a dead network
and compares sizes only. So it is asked for what it knows best (endpoint, token, cache, proxies, the shared HTTP client)
and the bytes are fetched here.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from pathlib import Path

from hatcli.errors import OutputError, WeightsError
from hatcli.models import catalog, hub, store, transfer
from hatcli.models.catalog import Entry
from hatcli.models.installing import FetchStep, is_published, put_in_place
from hatcli.models.transfer import SourceError, Wanted, saving

POLL = 0.2  # seconds between two looks at a model that another process is fetching
SPARE = 32 * 2**20  # bytes that stay free beside what is written
TYPICAL = 170 * 2**20  # bytes, where neither size nor estimate is known


def fetch(entry: Entry, *, offline: bool = False, allow_unverified: bool = False) -> Generator[FetchStep, None, Path]:
    """Brings a model here unless it is, yields while it works, and returns the path of the installed weights.

    Nothing is visible under that path before it is complete, verified and converted. Closing the generator or
    Ctrl-C stops at once; what was transferred stays, and the next call goes on from there.

    Args:
        offline: never touch the network; a copy in the Hub's cache is still used. `HF_HUB_OFFLINE=1` means the same.
        allow_unverified: accept a file whose sha256 is not known. A known sha256 is enforced all the same.

    Raises:
        WeightsError: missing, unreachable, unverifiable or wrong; nothing was installed.
        OutputError: no space, or the folder cannot be written.
    """
    if (path := catalog.installed_path(entry)) is not None:
        return path
    if entry.bundled:
        raise WeightsError(f"{entry.filename} is missing from this installation", hint="install hatcli again")
    _refuse_unknown_hash(entry, allow_unverified)
    if offline or hub.is_offline():
        cached = hub.cached_copies(entry)
        if not cached:
            raise WeightsError(
                f"{entry.id} is not installed, and offline nothing is fetched", hint=_air_gap_hint(entry)
            )
        yield from _locked(entry, put_in_place(entry, cached[0], origin=cached[0].name))
    else:
        yield from _locked(entry, _fetch(entry))
    return _now_installed(entry)


def install(entry: Entry, file: Path, *, allow_unverified: bool = False) -> Generator[FetchStep, None, Path]:
    """Installs a model from a copy of its published file, such as one carried to a machine without internet.

    Raises:
        WeightsError: the file is not the published one, or is no HAT.
        OutputError: no space, or the folder cannot be written.
    """
    if (path := catalog.installed_path(entry)) is not None:
        return path
    _refuse_unknown_hash(entry, allow_unverified)
    yield from _locked(entry, put_in_place(entry, file, origin=file.name))
    return _now_installed(entry)


def expected_bytes(entry: Entry) -> int | None:
    """What a download will transfer: the published size, else the estimate, else None."""
    return entry.size if entry.size is not None else entry.size_estimate


def kept_bytes(entry: Entry) -> int:
    """Bytes that an interrupted transfer has left to go on from."""
    part = _part(entry)
    return part.stat().st_size if store.plain_file(part) is not None else 0


def remove(entry: Entry) -> int:
    """Deletes the installed weights, their receipt and what a broken transfer left; returns the bytes freed.

    Raises:
        WeightsError: the weights came with the package.
        OutputError: they cannot be deleted.
    """
    if entry.bundled:
        raise WeightsError(f"{entry.id} comes with hat and cannot be removed", hint="it goes when hat is uninstalled")
    freed = 0
    for path in (store.weights_path(entry.id), store.receipt_path(entry.id), _part(entry)):
        with saving(path):
            if path.is_symlink() or path.is_file():
                freed += path.lstat().st_size
                path.unlink()
    return freed


def _fetch(entry: Entry) -> Iterator[FetchStep]:
    """From the Hub's cache, else from the first source that delivers the right bytes."""
    for cached in hub.cached_copies(entry):
        try:
            yield from put_in_place(entry, cached, origin=cached.name)
            return
        except WeightsError:  # a damaged cache is no reason to fail while the network is there
            continue
    _check_space(entry)
    failures: list[str] = []
    unreachable: set[str] = set()
    for source in entry.sources:
        address = hub.address(source)
        name = transfer.host(address)
        if name in unreachable:
            continue
        try:
            yield from _from_source(entry, address, token=hub.token_for(source))
        except SourceError as error:
            failures.append(f"{name} {error}")
            if error.unreachable:
                unreachable.add(name)
            continue
        try:
            yield from put_in_place(entry, _part(entry), origin=source.address)
        except WeightsError:  # the right file, yet no HAT: of no use to a next attempt
            _discard(_part(entry))
            raise
        _discard(_part(entry))
        return
    raise _nobody_delivered(entry, failures, dead=len(failures) == len(unreachable))


def _from_source(entry: Entry, address: str, *, token: str | None) -> Iterator[FetchStep]:
    """Transfers until the partial file is the published one by its sha256, else throws it away."""
    part = _part(entry)
    wanted = Wanted(address, token, entry.size, entry.sha256, _most_bytes(entry))
    name = transfer.host(address)
    if entry.sha256 is None:  # nothing could tell that two halves do not belong together
        _discard(part)
    continued = kept_bytes(entry) > 0
    for _ in range(2 if continued else 1):  # a kept beginning may be what is wrong: once more from the start
        for done, total in transfer.receive(wanted, part):
            yield FetchStep("downloading", done, total, name)
        if (yield from is_published(entry, part)):
            return
        _discard(part)
    raise SourceError("delivers a file with another sha256")


def _most_bytes(entry: Entry) -> int:
    """The most that a file of unknown size can have: training's states hold the weights several times."""
    return transfer.LARGEST if entry.size_estimate is None else 4 * entry.size_estimate + SPARE


def _locked(entry: Entry, work: Iterator[FetchStep]) -> Iterator[FetchStep]:
    """Does the work while no other process does the same; not at all if another one has done it meanwhile."""
    from filelock import FileLock, Timeout

    for folder in ("models", "partial", "locks"):
        with saving(store.root() / folder):
            (store.root() / folder).mkdir(parents=True, exist_ok=True)
    store.plain_file(store.lock_path(entry.id))  # a link would be followed
    lock = FileLock(store.lock_path(entry.id), thread_local=False)
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            yield FetchStep("waiting", kept_bytes(entry), expected_bytes(entry), "another hat is fetching it")
            time.sleep(POLL)
        except (OSError, NotImplementedError) as error:
            raise OutputError(f"cannot lock {lock.lock_file}: {error}", hint="set HAT_HOME to a local disk") from None
    try:
        if catalog.installed_path(entry) is None:
            yield from work
    finally:
        lock.release()


def _check_space(entry: Entry) -> None:
    """Refuses before the transfer what the disk cannot hold: the rest of the file, and its conversion."""
    download = expected_bytes(entry) or TYPICAL
    converted = 4 * entry.parameters if entry.parameters is not None else download
    needed = max(download - kept_bytes(entry), 0) + converted + SPARE
    free = transfer.free_bytes(store.root())
    if free < needed:
        raise OutputError(
            f"{entry.id} needs {needed / 1e6:.0f} MB in {store.root()}, where {free / 1e6:.0f} MB are free",
            hint="free some space or set HAT_HOME to a folder on another disk",
        )


def _nobody_delivered(entry: Entry, failures: list[str], *, dead: bool) -> WeightsError:
    kept = kept_bytes(entry)
    told = "; ".join(failures[:3]) + (f"; and {len(failures) - 3} more" if len(failures) > 3 else "")
    if not failures:
        return WeightsError(
            f"{entry.id} has no source to download from",
            hint=f"fetch {entry.filename} elsewhere and use it as a file: -n {entry.filename}",
        )
    if kept:
        hint = f"{kept / 1e6:.1f} MB are kept: run the same command again to go on from there"
    elif dead:
        hint = "check the network and the proxy settings (HTTPS_PROXY), or --offline with a copied model folder"
    else:
        hint = f"try again later, or fetch {entry.filename} elsewhere and use it as a file: -n {entry.filename}"
    return WeightsError(f"{entry.id} could not be downloaded: {told}", hint=hint)


def _refuse_unknown_hash(entry: Entry, allow_unverified: bool) -> None:
    if entry.sha256 is None and not allow_unverified:
        raise WeightsError(
            f"the sha256 of {entry.id} is not known, so what arrives cannot be verified",
            hint=f"hat download {entry.id} --allow-unverified",
        )


def _now_installed(entry: Entry) -> Path:
    path = catalog.installed_path(entry)
    if path is None:
        raise WeightsError(f"{entry.id} was removed while it was being installed", hint=f"hat download {entry.id}")
    return path


def _air_gap_hint(entry: Entry) -> str:
    target = store.weights_path(entry.id)
    return f"online, run: hat download {entry.id}; then copy {target.name} from there to {target.parent}"


def _part(entry: Entry) -> Path:
    return store.partial_path(entry.sha256 or entry.id)


def _discard(part: Path) -> None:
    with saving(part):
        part.unlink(missing_ok=True)
