"""Which checkpoints exist, what is known of each, and which one a name means; fetches and opens nothing."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from hatcli.errors import UsageError, WeightsError
from hatcli.models import store

DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="


@dataclass(frozen=True)
class WebSource:
    """One place a file can be fetched from: a Hub repository at a revision, a web address, or a Google Drive file."""

    repo: str | None = None
    revision: str | None = None
    path: str | None = None
    dataset: bool = False
    url: str | None = None
    drive: str | None = None

    @property
    def address(self) -> str:
        """The public web address, with the Hub at its usual endpoint."""
        if self.repo is not None:
            kind = "datasets/" if self.dataset else ""
            return f"https://huggingface.co/{kind}{self.repo}/resolve/{self.revision}/{self.path}"
        return self.url if self.url is not None else f"{DRIVE}{self.drive}"


@dataclass(frozen=True)
class Score:
    """One published result: Y channel, border of `scale` pixels cropped. `ssim` is None where none was verified."""

    dataset: str
    psnr: float  # dB
    ssim: float | None


@dataclass(frozen=True)
class Entry:
    """One file of weights and everything known about it; None means unknown, never zero.

    Attributes:
        id: the one name of this file, such as `hat-x4`.
        name: what people type, the same for all scales: `hat`.
        variant: HAT-T, HAT-S, HAT or HAT-L.
        task: `bicubic` for clean small pictures, `photo` for JPEGs as cameras and websites make them,
            trained for pixels alone; `real` for photographs with JPEG traces, blur or noise.
        multi_adds: multiply-adds for an input of 64 x 64 pixels.
        commercial: whether the licence allows commercial use.
        filename: the file as it is published.
        size: bytes of that file; enforced.
        size_estimate: bytes computed from the architecture where the true size is unknown; never enforced.
        sha256: of that file. None means that a download cannot be verified.
        aliases: further names of exactly this file.
        bundled: comes with the package and is never downloaded.
        rank: `auto` takes the highest installed; None is never taken.
    """

    id: str
    name: str
    title: str
    variant: str
    scale: int
    task: Literal["bicubic", "photo", "real"]
    purpose: str
    parameters: int | None
    multi_adds: int | None
    scores: tuple[Score, ...]
    scores_source: str | None
    licence: str
    licence_note: str | None
    commercial: bool | None
    author: str
    filename: str
    size: int | None
    size_estimate: int | None
    sha256: str | None
    aliases: tuple[str, ...]
    bundled: bool
    rank: int | None
    sources: tuple[WebSource, ...]

    def __post_init__(self) -> None:
        store.checked_name(self.id)
        store.checked_name(self.filename)


@functools.cache
def _catalog() -> tuple[tuple[Entry, ...], dict[str, str]]:
    text = resources.files("hatcli.models").joinpath("catalog.json").read_text(encoding="utf-8")
    facts = json.loads(text)
    return tuple(_entry(fact) for fact in facts["entries"]), dict(facts["aliases"])


def _entry(fact: dict[str, Any]) -> Entry:
    scores = tuple(Score(dataset, score["psnr"], score["ssim"]) for dataset, score in fact["scores"].items())
    sources = tuple(WebSource(**source) for source in fact["sources"])
    return Entry(**{**fact, "scores": scores, "sources": sources, "aliases": tuple(fact["aliases"])})


def entries() -> tuple[Entry, ...]:
    """Every known file of weights, the bundled ones first."""
    return _catalog()[0]


def names() -> tuple[str, ...]:
    """The names people type, each once, in catalogue order."""
    return tuple(dict.fromkeys(entry.name for entry in entries()))


def resolve(name: str, *, scale: int | None = None) -> Entry:
    """The entry a name means: `hat` with a scale, an id such as `hat-x4`, or the name of a published file.

    A name for several scales gives the smallest native scale that reaches `scale`, else the largest; without `scale`,
    the largest. A name of one file gives that file whatever the scale: compare `entry.scale` with what was wanted.

    Raises:
        UsageError: no model has this name; the hint names similar ones.
    """
    return _nearest(family(name), scale)


def installed_path(entry: Entry) -> Path | None:
    """Where the weights are on this machine, or None.

    Raises:
        WeightsError: something other than a regular file lies where they belong.
    """
    return store.bundled(entry.filename) if entry.bundled else store.installed(entry.id)


def is_installed(entry: Entry) -> bool:
    """Whether the weights are on this machine; what `installed_path` refuses is not installed."""
    try:
        return installed_path(entry) is not None
    except WeightsError:  # no reason to stop `auto` or a list
        return False


def installed() -> tuple[Entry, ...]:
    """Every file of weights that is on this machine."""
    return tuple(entry for entry in entries() if is_installed(entry))


def family(name: str) -> tuple[Entry, ...]:
    """Every file a name stands for, by ascending scale; one for the name of a single file.

    Raises:
        UsageError: no model has this name; the hint names similar ones.
    """
    wanted = _plain(name)
    single = tuple(entry for entry in entries() if wanted in (_plain(entry.id), *map(_plain, entry.aliases)))
    return single or tuple(sorted(_family(name), key=lambda entry: entry.scale))


def best(candidates: Iterable[Entry], factor: float | None = None) -> Entry:
    """Of these the best for clean pictures at the smallest native factor that reaches `factor`; without one, the best.

    Raises:
        WeightsError: there is none.
    """
    ranked = sorted((entry for entry in candidates if entry.rank is not None), key=lambda entry: -(entry.rank or 0))
    if not ranked:
        raise WeightsError("no model is installed", hint="hat download hat")
    return _nearest(ranked, factor)


def _nearest(candidates: Iterable[Entry], scale: float | None) -> Entry:
    """The first candidate at the smallest scale that reaches the wanted one, else at the largest."""
    ascending = sorted(candidates, key=lambda entry: entry.scale)
    reaching = [entry for entry in ascending if scale is not None and entry.scale >= scale]
    return reaching[0] if reaching else next(entry for entry in ascending if entry.scale == ascending[-1].scale)


def _family(name: str) -> tuple[Entry, ...]:
    wanted = _plain(name)
    wanted = _catalog()[1].get(wanted, wanted)
    family = tuple(entry for entry in entries() if entry.name == wanted)
    if not family:
        shown = "".join(letter if letter.isprintable() else "?" for letter in name[:80])
        raise UsageError(f"there is no model named {shown}", hint=_suggestion(wanted))
    return family


def _suggestion(wanted: str) -> str:
    known = [*names(), *_catalog()[1], *(entry.id for entry in entries())]
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else "hat models list shows what there is"


def _plain(name: str) -> str:
    """Spelling that does not matter taken away: case, `_` for `-`, and a published file's ending."""
    lowered = name.strip().lower()
    for ending in (".pth", ".safetensors"):
        lowered = lowered.removesuffix(ending)
    return lowered.replace("_", "-")
