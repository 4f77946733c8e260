"""Memory of a long training run: it does not grow."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from support.training_data import fresh, write_pictures

from hatcli.training.data import load_pairs, picture_files
from hatcli.training.loop import Pace, train
from hatcli.training.recipe import Recipe

pytestmark = pytest.mark.stress
RECIPE = Recipe(
    scale=2, steps=10_000, batch=1, patch=8, embed_dim=8, depths=(1,), num_heads=(1,), window_size=4, num_feat=6,
    squeeze_factor=4,
)  # fmt: skip


def test_memory_does_not_grow_over_ten_thousand_steps(tmp_path: Path, share: float) -> None:
    pairs = list(load_pairs(picture_files(write_pictures(tmp_path / "pictures")), scale=2, smallest=8))
    last = max(2000, round(10_000 * share))
    taken: dict[int, int] = {}
    pace = Pace(save_steps=500, validate_minutes=0.2)
    for progress in train(fresh(pairs, RECIPE), pairs, state_file=tmp_path / "state", pace=pace):
        if progress.step in (1000, last):
            taken[progress.step] = psutil.Process().memory_info().rss
        if progress.step == last:
            break
    print({step: f"{size / 1e6:.1f} MB" for step, size in taken.items()})  # noqa: T201 - the figures are asked for
    assert taken[last] - taken[1000] < 16e6
