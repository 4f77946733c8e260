"""Small pictures and a tiny recipe for the training tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hatcli.network.hat import HAT
from hatcli.training.data import AnyPair
from hatcli.training.distributed import Group
from hatcli.training.recipe import Recipe
from hatcli.training.start import start_as_bilinear
from hatcli.training.state import TrainingState

RECIPE = Recipe(
    scale=2,
    steps=12,
    batch=2,
    patch=8,
    warmup=2,
    learning_rate=2e-3,
    embed_dim=16,
    depths=(2, 1),
    num_heads=(2, 2),
    window_size=8,
    num_feat=8,
)
TINY_RECIPE = """
scale = 2
batch = 1
patch = 8
embed_dim = 8
depths = [1]
num_heads = [1]
window_size = 4
num_feat = 6
squeeze_factor = 4
"""


def write_pictures(folder: Path, count: int = 3) -> Path:
    """Blocky pictures of 45 x 40 pixels: 0.png, 1.png, ..."""
    random = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (8, 9, 3), dtype=np.uint8))
        coarse.resize((45, 40), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    return folder


def fresh(
    pairs: Sequence[AnyPair], recipe: Recipe = RECIPE, *, group: Group | None = None, workers: int | None = None
) -> TrainingState:
    """A new run."""
    torch.manual_seed(recipe.seed)
    model = HAT(recipe.network())
    start_as_bilinear(model)
    return TrainingState(model, recipe, pairs, group=group, workers=workers)


def weights_equal(one: HAT, other: HAT) -> None:
    """Bit for bit."""
    for own, others in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(own, others)
