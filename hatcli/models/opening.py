"""What `-n` means: a catalogue name, a file or `auto`, to networks; the one way there for every command and Python."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from torch import nn

from hatcli.errors import WeightsError
from hatcli.models import catalog, foreign, receipt
from hatcli.models.catalog import Entry
from hatcli.network import checkpoint

AUTO = "auto"
FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt")
PHOTO_SISTERS = {"hat-t": "hat-t-photo"}  # models for clean pictures that have one for JPEGs beside them
PHOTO_QUALITY = 90  # JPEGs of this quality or less are for the sister


@dataclass(frozen=True, eq=False)
class Model(Mapping[int, nn.Module]):
    """A model's networks by native factor, each read from its file on first use.

    Attributes:
        name: what people call it: a catalogue name or a file's stem.
        files: its weights by native factor.
        task: as in the catalogue, or None where unknown.
        hashes: the sha256 that files must have, where one is known; checked when they are opened.
        architecture: `HAT`, or what spandrel calls another one.
        supports_bf16: whether it may be run in bf16; one that may not stays in float32.
    """

    name: str
    files: Mapping[int, Path]
    task: str | None = None
    hashes: Mapping[int, str] = field(default_factory=dict)
    architecture: str = "HAT"
    supports_bf16: bool = True
    _open: dict[int, nn.Module] = field(default_factory=dict, repr=False)

    def __getitem__(self, scale: int) -> nn.Module:
        if scale not in self._open:
            path = self.files[scale]
            try:
                with receipt.unchanged(path, self.hashes[scale]) if scale in self.hashes else nullcontext():
                    network = checkpoint.load(path)
            except receipt.ChangedError as error:
                raise WeightsError(error.message, hint=_again(self.name, path)) from None
            self._open[scale] = network
        return self._open[scale]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self.files))

    def __len__(self) -> int:
        return len(self.files)

    def suited(self, *, jpeg_quality: int | None, factor: float | None) -> Model:
        """The model for a picture, which is this one whatever the picture; see `Auto.suited`."""
        return self

    @cached_property
    def sha256s(self) -> Mapping[int, str]:
        """Of its files, by native factor: what they must have, or had when this was first asked."""
        return {scale: self.hashes.get(scale) or receipt.digest(path) for scale, path in self.files.items()}

    @cached_property
    def digest(self) -> str:
        """16 hex digits that stand for its files' content."""
        content = "".join(f"{scale}:{self.sha256s[scale]};" for scale in self)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class Auto:
    """`auto`: the best installed model for each picture, by one rule.

    Of the installed models for clean pictures the best one for the factor (see `catalog.best`); and where that is
    HAT-T and the picture is a JPEG of quality `PHOTO_QUALITY` or less, HAT-T's sister for JPEGs: where the sister has
    no network for the factor, her result for a larger one is reduced, which is still better (JPEG of quality 75, 14
    pictures: x2 30.64 dB against 30.15, x3 28.34 against 28.05).

    Raises:
        WeightsError: nothing is installed.
    """

    name = AUTO

    def __init__(self) -> None:
        self._entries = catalog.installed()
        self._models: dict[str, Model] = {}
        catalog.best(self._entries)  # refuses at once

    def usual(self, factor: float | None = None) -> Model:
        """What clean pictures get."""
        return self.suited(jpeg_quality=None, factor=factor)

    def sister(self, factor: float | None = None) -> Model | None:
        """What JPEGs of lower quality get instead, if it is another one."""
        sister = self.suited(jpeg_quality=PHOTO_QUALITY, factor=factor)
        return sister if sister is not self.usual(factor) else None

    def suited(self, *, jpeg_quality: int | None, factor: float | None) -> Model:
        """The model for a picture.

        Args:
            jpeg_quality: of a JPEG, 1 to 100; None for anything else.
            factor: how many times larger it becomes; None: the model's own factor.
        """
        name = catalog.best(self._entries, factor).name
        if jpeg_quality is not None and jpeg_quality <= PHOTO_QUALITY:
            sister = PHOTO_SISTERS.get(name, name)
            name = sister if any(entry.name == sister for entry in self._entries) else name
        if name not in self._models:
            self._models[name] = _of([entry for entry in self._entries if entry.name == name])
        return self._models[name]


def _again(name: str, path: Path) -> str:
    """What to do about a file that has changed."""
    for entry in catalog.installed():
        if entry.name == name and catalog.installed_path(entry) == path:
            return "install hatcli again" if entry.bundled else f"hat models remove {name}, then hat download {name}"
    return "run the same command again"


def open(name: str) -> Model | Auto:
    """What `-n` means.

    Raises:
        UsageError: no model has this name.
        WeightsError: it is not installed, or a file that cannot be read (see `checkpoint.read` and `foreign.load`).
    """
    if name == AUTO:
        return Auto()
    if names_file(name):
        return _in_file(Path(name))
    entries = catalog.family(name)
    installed = [entry for entry in entries if catalog.installed_path(entry) is not None]
    if not installed:
        raise WeightsError(f"{entries[0].name} is not installed", hint=f"hat download {entries[0].name}")
    return _of(installed)


def open_one(name: str, *, factor: float | None, jpeg_quality: int | None = None) -> Model:
    """What `-n` means for one picture, `auto` decided."""
    return open(name).suited(jpeg_quality=jpeg_quality, factor=factor)


def names_file(name: str) -> bool:
    """Whether `-n` names a file rather than a model of the catalogue."""
    return name.lower().endswith(FILE_ENDINGS) or "/" in name or "\\" in name


def _of(entries: list[Entry]) -> Model:
    """The model of these installed files."""
    paths = {entry.scale: catalog.installed_path(entry) for entry in entries}
    noted = {entry.scale: receipt.expected(entry) for entry in entries}
    return Model(
        entries[0].name,
        {scale: path for scale, path in paths.items() if path is not None},
        task=entries[0].task,
        hashes={scale: sha256 for scale, sha256 in noted.items() if sha256 is not None},
    )


def _in_file(path: Path) -> Model:
    """The model in a checkpoint: any HAT, and with spandrel installed many other architectures.

    Its factor is read from its shapes.
    """
    try:
        network = checkpoint.load(path)
    except checkpoint.NotHATError as error:
        if not foreign.is_available():
            raise WeightsError(error.message, hint=foreign.INSTALL_HINT) from None
        return _other_architecture(path)
    scale = network.config.upscale
    return Model(path.stem, {scale: path}, _open={scale: network})


def _other_architecture(path: Path) -> Model:
    network = foreign.load(path)
    return Model(
        path.stem,
        {network.scale: path},
        architecture=network.architecture,
        supports_bf16=network.supports_bfloat16,
        _open={network.scale: network},
    )


def remarks(model: Model, *, scale: float | None, reached: int) -> list[str]:
    """What people should know before a run with this model, a sentence each.

    Args:
        scale: the factor that was asked for, or None: a size in pixels, or the model's own.
        reached: the factor the model's passes reach together for it.
    """
    said = []
    if model.architecture != "HAT":
        said.append(f"{model.name} is a {model.architecture} network, run through spandrel")
    if not model.supports_bf16:
        said.append(f"{model.architecture} does not support bf16 and runs in fp32")
    if scale is not None and reached > scale:
        natives = ", ".join(f"x{native}" for native in model)
        said.append(f"{model.name} has {natives}: x{scale:g} is its x{reached} reduced once")
    return said


def unsuited(model: Model, *, jpeg_quality: int | None) -> str | None:
    """What to try instead for a picture whose traces of JPEG this model would sharpen, or None."""
    if model.task != "bicubic" or jpeg_quality is None or jpeg_quality > PHOTO_QUALITY:
        return None
    instead = "try -n hat-t-photo or real-hat"
    return f"{model.name} was made for clean pictures, and this is a JPEG of quality {jpeg_quality}: {instead}"
