"""What `-n` means to networks: a catalogue name, a file, or `auto`; each native factor is loaded when first used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from torch import nn

from hatcli.errors import WeightsError
from hatcli.models import catalog, zoo
from hatcli.models.catalog import Entry
from hatcli.network import checkpoint

FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt")
PHOTO_MODEL, PHOTO_SCALE, PHOTO_QUALITY = "hat-t-photo", 4, 90
JPEG_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif")


class Model(Mapping[int, nn.Module]):
    """A model's networks by native factor, each read from its file on first use.

    Attributes:
        name: what people call it: a catalogue name or a file's stem.
        task: `bicubic`, `real`, or None where unknown.
        chosen: whether `auto` chose it.
        architecture: `HAT`, or what spandrel calls another one.
        supports_bf16: whether it may be run in bf16; one that may not stays in float32.
    """

    architecture = "HAT"
    supports_bf16 = True

    def __init__(self, name: str, files: Mapping[int, Path], *, task: str | None, chosen: bool = False) -> None:
        self.name, self.task, self.chosen = name, task, chosen
        self.files = dict(sorted(files.items()))
        self._open: dict[int, nn.Module] = {}

    def __getitem__(self, scale: int) -> nn.Module:
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
    """The model in a checkpoint: any HAT, and with spandrel installed many other architectures.

    Its factor is read from its shapes.

    Raises:
        WeightsError: see `checkpoint.read` and `zoo.load`.
    """
    try:
        network = checkpoint.load(path)
    except checkpoint.NotHATError as error:
        if not zoo.is_available():
            raise WeightsError(error.message, hint=zoo.INSTALL_HINT) from None
        return _foreign(path)
    return _opened(path, network.config.upscale, network)


def _foreign(path: Path) -> Model:
    network = zoo.load(path)
    model = _opened(path, network.scale, network)
    model.architecture, model.supports_bf16 = network.architecture, network.supports_bfloat16
    return model


def _opened(path: Path, scale: int, network: nn.Module) -> Model:
    model = Model(path.stem, {scale: path}, task=None)
    model._open[scale] = network
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


def for_photos(qualities: Iterable[int | None], *, scale: float | None) -> str | None:
    """The model `auto` takes instead of HAT-T for these pictures, or None: HAT-T's sister for JPEGs, if each of them is
    a JPEG whose own table says quality 90 or less, and the factor is one it was made for.

    Args:
        qualities: of the pictures, 1 to 100; None is no JPEG. Only read as far as it matters.
        scale: the factor that was asked for, or None: the model's own.
    """
    if catalog.best_installed().name != "hat-t" or not (scale is None or PHOTO_SCALE / 2 < scale <= PHOTO_SCALE):
        return None
    if any(quality is None or quality > PHOTO_QUALITY for quality in qualities):
        return None
    return PHOTO_MODEL


def remarks(model: Model, *, scale: float | None, reached: int, sources: Iterable[Path | None]) -> list[str]:
    """What people should know before a run with this model, a sentence each.

    Args:
        scale: the factor that was asked for, or None: a size in pixels, or the model's own.
        reached: the factor the model's passes reach together for it.
        sources: the pictures; None is stdin.
    """
    said = []
    if model.architecture != "HAT":
        said.append(f"{model.name} is a {model.architecture} network, run through spandrel")
    if not model.supports_bf16:
        said.append(f"{model.architecture} does not support bf16 and runs in fp32")
    if scale is not None and reached > scale:
        natives = ", ".join(f"x{native}" for native in model)
        said.append(f"{model.name} has {natives}: x{scale:g} is its x{reached} reduced once")
    if model.task == "photo" and model.chosen:
        why = f"every picture is a JPEG of quality {PHOTO_QUALITY} or less"
        said.append(f"{why}: {model.name} was chosen; -n hat-t for clean ones")
    if model.task == "bicubic":
        jpegs = (path for path in sources if path is not None and path.suffix.lower() in JPEG_ENDINGS)
        if (jpeg := next(jpegs, None)) is not None:
            said.append(
                f"{jpeg.name} is a JPEG and {model.name} was made for clean pictures: try -n hat-t-photo or real-hat"
            )
    return said
