"""Run models over a set and score every picture; knows no names of models, no tables and no progress bars."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hatcli.errors import WeightsError
from hatcli.evaluation.datasets import Example, Gray, Pixels, SetPicture, load_pair
from hatcli.evaluation.metrics import Scores, mean, score
from hatcli.evaluation.published import BICUBIC
from hatcli.image.picture import from_tensor, to_tensor
from hatcli.image.resample import imresize

if TYPE_CHECKING:
    from torch import Tensor

Enlarge = Callable[[Pixels], Pixels]  # [h, w, C] to [scale * h, scale * w, C], uint8, C of 3 (RGB) or 1 (gray)


@dataclass(frozen=True)
class ScoredPicture:
    """One picture enlarged by one model.

    Attributes:
        pixels: `[H, W, C]` uint8, as large as the truth; what was scored.
        seconds: time the model took, without reading and scoring.
    """

    model: str
    image: str
    pixels: Pixels
    scores: Scores
    seconds: float


def evaluate(
    pairs: Iterable[SetPicture], models: Mapping[str, Enlarge], *, scale: int, gray: Gray = "native"
) -> Iterator[ScoredPicture]:
    """Enlarge and score each picture by bicubic, which is always included, and by every model.

    All get the same 8-bit small picture, and a border of `scale` pixels is ignored in all results.

    Raises:
        InputError: a picture cannot be read, is too small, or the sizes of a pair do not fit.
        WeightsError: a model gives a result of the wrong size or values that are not numbers.
    """
    for pair in pairs:
        yield from compared(load_pair(pair, scale=scale, gray=gray), models, scale=scale)


def compared(example: Example, models: Mapping[str, Enlarge], *, scale: int) -> Iterator[ScoredPicture]:
    """One picture by bicubic and by every model; raises as `evaluate` does."""
    yield scored(BICUBIC, bicubic(scale), example, scale=scale)
    for name, enlarge in models.items():
        yield scored(name, enlarge, example, scale=scale)


def bicubic(scale: int) -> Enlarge:
    """MATLAB's bicubic, rounded to 8 bits after each pass."""
    return lambda low: np.asarray(imresize(low, scale), dtype=np.uint8)


def through_tensors(network: Callable[[Tensor], Tensor]) -> Enlarge:
    """What a function `[3, h, w]` to `[3, scale * h, scale * w]`, RGB in 0..1, makes of 8-bit pixels.

    The result is clamped and rounded to nearest; gray pictures stay gray.
    """

    def enlarge(low: Pixels) -> Pixels:
        values = network(to_tensor(low))
        if not bool(values.isfinite().all()):
            raise WeightsError("the network gives values that are not numbers", hint="use other weights")
        return np.asarray(from_tensor(values, bits=8, gray=low.shape[2] == 1), dtype=np.uint8)

    return enlarge


def scored(model: str, enlarge: Enlarge, example: Example, *, scale: int) -> ScoredPicture:
    """One `ScoredPicture`: the small picture enlarged, timed and compared with the truth."""
    start = time.perf_counter()
    pixels = enlarge(example.low)
    seconds = time.perf_counter() - start
    if pixels.shape != example.truth.shape:
        raise WeightsError(
            f"{model} made {pixels.shape[1]} x {pixels.shape[0]} pixels of {example.name}, "
            f"not {example.truth.shape[1]} x {example.truth.shape[0]}",
            hint=f"use weights for scale {scale}",
        )
    return ScoredPicture(model, example.name, pixels, score(pixels, example.truth, border=scale), seconds)


def means(results: Iterable[ScoredPicture]) -> dict[str, Scores]:
    """The mean scores of each model over its pictures, in order of appearance."""
    grouped: dict[str, list[Scores]] = {}
    for result in results:
        grouped.setdefault(result.model, []).append(result.scores)
    return {model: mean(scores) for model, scores in grouped.items()}
