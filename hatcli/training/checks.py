"""Reading a whole training set before a run: what is unreadable, too small or mismatched, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hatcli.errors import InputError
from hatcli.training.data import load_pair
from hatcli.training.sources import TrainingPicture


@dataclass(frozen=True)
class Finding:
    """One picture: what is wrong with it, or None, and its size in megapixels (0 where it cannot be used)."""

    name: str
    problem: str | None
    megapixels: float


def check(sources: list[TrainingPicture], *, scale: int, smallest: int) -> Iterator[Finding]:
    """Read every picture as training would; one finding each, in order."""
    for source in sources:
        try:
            pair = load_pair(source, scale=scale, smallest=smallest)
        except InputError as error:
            yield Finding(source.name, error.message, 0.0)
        else:
            yield Finding(source.name, None, pair.high.shape[0] * pair.high.shape[1] / 1e6)
