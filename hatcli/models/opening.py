"""What `-n` means to networks: a catalogue name, a file, or `auto`; each native factor is loaded when first used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hatcli.errors import WeightsError
from hatcli.models import catalog
from hatcli.models.catalog import Entry
from hatcli.network import checkpoint
from hatcli.network.hat import HAT

FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt")


class Model(Mapping[int, HAT]):
    """A model's networks by native factor, each read from its file on first use.

    Attributes:
        name: what people call it: a catalogue name or a file's stem.
        task: `bicubic`, `real`, or None where unknown.
        chosen: whether `auto` chose it.
    """

    def __init__(self, name: str, files: Mapping[int, Path], *, task: str | None, chosen: bool = False) -> None:
        self.name, self.task, self.chosen = name, task, chosen
        self.files = dict(sorted(files.items()))
        self._open: dict[int, HAT] = {}

    def __getitem__(self, scale: int) -> HAT:
        if scale not in self._open:
            self._open[scale] = checkpoint.load(self.files[scale])
        return self._open[scale]

    def __iter__(self) -> Iterator[int]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def names_file(name: str) -> bool:
    """Whether `-n` names a file rather than a model of the catalogue."""
    return name.lower().endswith(FILE_ENDINGS) or "/" in name or "\\" in name


def open_file(path: Path) -> Model:
    """The model in a checkpoint of any HAT; its factor is read from its shapes.

    Raises:
        WeightsError: see `checkpoint.read`.
    """
    network = checkpoint.load(path)
    model = Model(path.stem, {network.config.upscale: path}, task=None)
    model._open[network.config.upscale] = network
    return model


def family(name: str, *, scale: int | None) -> tuple[Entry, ...]:
    """The entries a name stands for, one a native factor: of a published file, just that one.

    Raises:
        UsageError: no model has this name.
        WeightsError: `auto`, and nothing is installed.
    """
    if name == "auto":
        best = catalog.best_installed(scale)
        return tuple(entry for entry in catalog.entries() if entry.name == best.name and catalog.is_installed(entry))
    if scale is not None and len(catalog.native_scales(name)) == 1:
        return (catalog.resolve(name, scale=scale),)
    return tuple(catalog.resolve(name, scale=native) for native in catalog.native_scales(name))


def open_installed(name: str, *, scale: int | None = None) -> Model:
    """The model a name stands for, with those of its factors that are installed.

    Raises:
        UsageError: no model has this name.
        WeightsError: none of its files is installed.
    """
    entries = family(name, scale=scale)
    paths = {entry.scale: catalog.installed_path(entry) for entry in entries}
    files = {native: path for native, path in paths.items() if path is not None}
    if not files:
        raise WeightsError(f"{entries[0].name} is not installed", hint=f"hat download {entries[0].name}")
    return Model(entries[0].name, files, task=entries[0].task, chosen=name == "auto")
