"""Models on their way to the nodes: known by the sha256 of their files, taken from the node's own where it has them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hatcli.atomic import replacing
from hatcli.errors import HatError, WeightsError
from hatcli.models import catalog, opening, receipt, store
from hatcli.models.catalog import Entry
from hatcli.models.opening import Auto, Model
from hatcli.outside import open_plain
from hatcli.upscaling.size import passes_for

_PIECE = 8 << 20  # bytes of weights in a message
_AGAIN = "run the same command again"


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights: where the driver has it, and what it must hold."""

    scale: int
    path: str
    sha256: str

    @property
    def kept(self) -> Path:
        """Where a node keeps it."""
        return store.root() / "cluster" / f"{self.sha256}{Path(self.path).suffix.lower()}"


@dataclass(frozen=True)
class SentModel:
    """A model without its weights."""

    name: str
    task: str | None
    architecture: str
    files: tuple[WeightsFile, ...]


@dataclass(frozen=True)
class Weights:
    """What `-n` means, for machines that may not have it.

    Attributes:
        models: one, or those `auto` may choose.
        entries: of the catalogue, which `auto` chooses from; None: there is nothing to choose.
    """

    models: tuple[SentModel, ...]
    entries: tuple[Entry, ...] | None = None

    @property
    def files(self) -> list[WeightsFile]:
        """Each once."""
        return list({file.sha256: file for model in self.models for file in model.files}.values())


class _SentAuto(Auto):
    """`auto` with the models of another machine."""

    def __init__(self, entries: tuple[Entry, ...], models: Iterable[Model]) -> None:
        self._entries = entries
        self._models = {model.name: model for model in models}


def described(opened: Model | Auto) -> Weights:
    """What a worker needs to open the same."""
    if isinstance(opened, Model):
        return Weights((_sent(opened),))
    entries = tuple(entry for entry in catalog.installed() if entry.rank is not None or _is_sister(entry))
    names = dict.fromkeys(entry.name for entry in entries)
    models = []
    for name in names:
        model = opening.open(name)
        assert isinstance(model, Model), "a name of the catalogue is a model"
        models.append(_sent(model))
    return Weights(tuple(models), entries)


def _is_sister(entry: Entry) -> bool:
    return entry.name in opening.PHOTO_SISTERS.values()


def _sent(model: Model) -> SentModel:
    files = tuple(
        WeightsFile(scale, str(path.absolute()), model.sha256s[scale]) for scale, path in sorted(model.files.items())
    )
    return SentModel(model.name, model.task, model.architecture, files)


def missing(weights: Weights) -> list[WeightsFile]:
    """The files that neither this node's models nor what it kept of earlier runs hold."""
    return [file for file in weights.files if _found(file) is None]


def _found(file: WeightsFile) -> Path | None:
    """Where the very file is on this machine."""
    candidates = [file.kept, Path(file.path)]
    candidates += [path for entry in catalog.installed() if (path := catalog.installed_path(entry)) is not None]
    for path in candidates:
        try:
            if path.is_file() and not path.is_symlink() and receipt.digest(path) == file.sha256:
                return path
        except OSError:
            continue
    return None


def pieces(file: WeightsFile) -> Iterator[bytes]:
    """The content of a file of the driver's, for nodes that lack it.

    Raises:
        WeightsError: it is gone, or not the one any more that the run began with.
    """
    digest, name = hashlib.sha256(), Path(file.path).name
    try:
        with open_plain(file.path) as opened:
            while piece := opened.read(_PIECE):
                digest.update(piece)
                yield piece
    except OSError as error:
        raise WeightsError(f"the weights {name} are gone: {error.strerror or error}", hint=_AGAIN) from None
    if digest.hexdigest() != file.sha256:
        raise WeightsError(f"the weights {name} on the driver's machine have changed", hint=_AGAIN)


def keep(file: WeightsFile, pieces: Iterable[bytes]) -> None:
    """Put a file that came from the driver where it is found again.

    Raises:
        WeightsError: it is not what it should be.
        OutputError: it cannot be written.
    """
    file.kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file.kept) as written:
        for piece in pieces:
            written.write(piece)
    if _found(file) is None:
        file.kept.unlink(missing_ok=True)
        raise WeightsError(f"the weights {Path(file.path).name} came damaged", hint=_AGAIN)


def opened(weights: Weights, *, factor: float | None = None) -> Model | Auto:
    """The same model, or `auto`, on this machine; what a run needs of it is read, and no file can change it any more.

    Args:
        factor: how many times larger pictures become; None: that differs, or is the model's own.

    Raises:
        WeightsError: a file is missing, has changed or cannot be read.
    """
    models = [_opened(model) for model in weights.models]
    if weights.entries is None:
        _read_networks(models[0], factor)
        return models[0]
    auto = _SentAuto(weights.entries, models)
    for model in (auto.usual(factor), auto.sister(factor)):
        if model is not None:
            _read_networks(model, factor)
    return auto


def _read_networks(model: Model, factor: float | None) -> None:
    for scale in set(model if factor is None else passes_for(factor, model)):
        _ = model[scale]


def _opened(model: SentModel) -> Model:
    paths = {}
    for file in model.files:
        path = _found(file)
        if path is None:
            raise WeightsError(f"the weights {Path(file.path).name} are gone", hint=_AGAIN)
        paths[file.scale] = path
    if model.architecture != "HAT":
        (file,) = model.files
        try:
            with receipt.unchanged(paths[file.scale], file.sha256):
                foreign = opening.open(str(paths[file.scale]))
        except receipt.ChangedError as error:
            raise WeightsError(error.message, hint=_AGAIN) from None
        if not isinstance(foreign, Model):
            raise HatError(f"{model.name} is no model")
        return replace(foreign, name=model.name)
    return Model(model.name, paths, task=model.task, hashes={file.scale: file.sha256 for file in model.files})
