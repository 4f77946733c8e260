"""What one run of an evaluation scores: sets of pictures at their scales, and where results are saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hatcli.atomic import write_error
from hatcli.errors import UsageError
from hatcli.evaluation import card
from hatcli.evaluation.datasets import Example, Gray, SetPicture, check_pairs, find_pairs, load_pair, set_name
from hatcli.evaluation.evaluate import Enlarge, ScoredPicture, compared
from hatcli.evaluation.published import BICUBIC
from hatcli.image import encode
from hatcli.image.picture import Picture
from hatcli.network.config import UPSCALES


@dataclass(frozen=True)
class Benchmark:
    """One set at one scale.

    Attributes:
        dataset: the set's name in tables.
        pictures: name to a function that makes the picture ready.
    """

    dataset: str
    scale: int
    pictures: Mapping[str, Callable[[Gray], Example]]

    @property
    def is_card(self) -> bool:
        """Whether it is the drawn test card."""
        return self.dataset == card.NAME

    def score(self, models: Mapping[str, Enlarge], *, gray: Gray) -> Iterator[ScoredPicture]:
        """Every picture by bicubic and by every model."""
        for load in self.pictures.values():
            yield from compared(load(gray), models, scale=self.scale)


def parse_scales(text: str) -> list[int]:
    """`2,3,4` or `x2,x3` to numbers, each once; UsageError for what is none of them."""
    parts = [part.strip().lower().strip("x") for part in text.split(",") if part.strip()]
    if not parts or any(not part.isdecimal() or int(part) not in UPSCALES or int(part) < 2 for part in parts):
        raise UsageError(f"--scale {text} is not a scale the papers use", hint="try --scale 4, or --scale 2,3,4")
    return list(dict.fromkeys(map(int, parts)))


def find_benchmarks(
    folders: Sequence[Path], small_folders: Sequence[Path], *, scales: Sequence[int]
) -> list[Benchmark]:
    """Every set at every scale, its pictures checked by their headers.

    Args:
        small_folders: for each folder that of its small pictures, or none at all.

    Raises:
        UsageError: there are not as many of one as of the other; see `find_pairs`.
        InputError: see `check_pairs`.
    """
    if small_folders and len(small_folders) != len(folders):
        raise UsageError(
            f"{len(folders)} folders of large pictures, but {len(small_folders)} with --lr",
            hint="give --lr once for each",
        )
    found: list[Benchmark] = []
    names: list[str] = []
    for number, folder in enumerate(folders):
        name = set_name(folder)
        names.append(name if name not in (*names, card.NAME) else f"{name}-{number + 1}")
        for scale in scales:
            pairs = find_pairs(folder, scale=scale, small_folder=small_folders[number] if small_folders else None)
            check_pairs(pairs, scale=scale)
            loads = {pair.name: partial(_loaded, pair, scale) for pair in pairs}
            found.append(Benchmark(names[number], scale, loads))
    return found


def _loaded(pair: SetPicture, scale: int, gray: Gray) -> Example:
    return load_pair(pair, scale=scale, gray=gray)


def card_benchmarks(scales: Sequence[int]) -> list[Benchmark]:
    """The drawn test card at every scale."""
    return [Benchmark(card.NAME, scale, {card.NAME: partial(_drawn, scale)}) for scale in scales]


def _drawn(scale: int, gray: Gray) -> Example:
    return card.example(scale)


@dataclass(frozen=True)
class ResultFolder:
    """Where the pictures that were scored are kept as PNG: set/scale/model/picture."""

    folder: Path

    def path(self, benchmark: Benchmark, model: str, image: str) -> Path:
        return self.folder / benchmark.dataset / f"x{benchmark.scale}" / model / f"{image}.png"

    def refuse_existing(self, planned: Sequence[tuple[Benchmark, Sequence[str]]]) -> None:
        """Say before the work that files would be replaced.

        Args:
            planned: each set with the models that are run on it besides bicubic.

        Raises:
            UsageError: some of the files exist.
        """
        paths = [
            self.path(benchmark, model, image)
            for benchmark, models in planned
            for model in (BICUBIC, *models)
            for image in benchmark.pictures
        ]
        existing = [path for path in paths if path.exists()]
        if existing:
            more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
            raise UsageError(f"{existing[0]} exists already{more}", hint="add --overwrite, or save elsewhere")

    def save(self, benchmark: Benchmark, result: ScoredPicture) -> None:
        """One result as PNG."""
        path = self.path(benchmark, result.model, result.image)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(path.parent, error) from error
        encode.write(Picture(result.pixels), path, overwrite=True)
