"""Recipes: every packaged one is what it claims, every mistake in a file is named, nothing impossible is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatcli.errors import UsageError
from hatcli.training.reading import parse, read_recipe
from hatcli.training.recipe import Recipe
from hatcli.training.recipes import packaged_names


@pytest.mark.parametrize("name", packaged_names())
def test_every_packaged_recipe_is_whole(name: str) -> None:
    file = read_recipe(name)
    recipe = file.recipe(steps=file.values.get("steps", 10))
    assert file.about.endswith(".")
    assert "\n" not in file.about
    assert recipe.network().upscale == recipe.scale
    assert name.startswith(recipe.preset)


def test_the_papers_recipes_have_the_papers_numbers() -> None:
    for name in ("hat-scratch", "hat-s-scratch"):
        recipe = read_recipe(name).recipe()
        assert (recipe.scale, recipe.steps, recipe.learning_rate) == (2, 500_000, 2e-4)
        assert [share * 500 for share in recipe.milestones] == [250, 400, 450, 475]
    for name in ("hat-x4-from-x2", "hat-s-x4-from-x2"):
        recipe = read_recipe(name).recipe()
        assert (recipe.scale, recipe.steps, recipe.learning_rate) == (4, 250_000, 1e-4)
        assert recipe.fresh == ("upsample",)
        assert recipe.needs_start
    for name in ("hat-pretrain", "hat-l-pretrain"):
        recipe = read_recipe(name).recipe()
        assert (recipe.steps, recipe.learning_rate, recipe.needs_start) == (800_000, 2e-4, False)
        assert [share * 800 for share in recipe.milestones] == [300, 500, 650, 700, 750]
    for name in ("hat-finetune", "hat-l-finetune"):
        recipe = read_recipe(name).recipe()
        assert (recipe.steps, recipe.learning_rate, recipe.needs_start) == (250_000, 1e-5, True)
        assert [share * 250 for share in recipe.milestones] == [125, 200, 225, 240]
    for name in packaged_names():
        if not name.startswith("hat-t"):
            recipe = read_recipe(name).recipe()
            assert (recipe.batch, recipe.patch, recipe.ema, recipe.betas) == (32, 64, 0.999, (0.9, 0.99))
            assert (recipe.decay, recipe.warmup, recipe.schedule) == (0.5, 0, "multistep")


@pytest.mark.parametrize("minutes", [float("nan"), float("inf")])
def test_a_time_budget_that_is_no_number_is_refused(minutes: float) -> None:
    with pytest.raises(UsageError, match="minutes are no time budget"):
        read_recipe("hat-t").recipe(minutes=minutes)


def test_changes_win_over_the_file_and_none_changes_nothing() -> None:
    recipe = read_recipe("hat-t").recipe(steps=5, batch=3, patch=None, cab=False)
    assert (recipe.steps, recipe.batch, recipe.patch) == (5, 3, 32)
    assert recipe.network().cab is False


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("learning_rat = 1.0", "there is no key 'learning_rat'", "did you mean learning_rate?"),
        ("zzzzzz = 1", "there is no key 'zzzzzz'", "known keys: preset,"),
        ("batch = 'eight'", "batch is 'eight', not a whole number", None),
        ("batch = true", "batch is True, not a whole number", None),
        ("batch = 2.5", "batch is 2.5, not a whole number", None),
        ("cab = 1", "cab is 1, not true or false", None),
        ("milestones = 0.5", "milestones is not a list", None),
        ("depths = [1, 'a']", "a value in mine.toml: depths is 'a'", None),
        ("[network]\npreset = 'hat'", "there is no key 'network'", None),
        ("batch = ", "mine.toml is not TOML", None),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_recipe(str(tmp_path / "mine.toml"))
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    if hint is not None:
        assert hint in str(caught.value.hint)


def test_an_unknown_recipe_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_recipe("hat-t-foto")
    assert caught.value.hint == "did you mean hat-t-photo?"
    with pytest.raises(UsageError, match="there is no file"):
        read_recipe(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"about = '\xe4'")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_recipe(str(tmp_path / "latin.toml"))


def test_whole_numbers_serve_as_numbers() -> None:
    assert parse("learning_rate = 1\nsteps = 1", name="x").recipe().learning_rate == 1.0


@pytest.mark.parametrize(
    "values",
    [
        {"minutes": 0, "steps": 0},
        {"batch": 0},
        {"patch": 4},
        {"scale": 5},
        {"schedule": "linear"},
        {"schedule": "multistep"},
        {"milestones": (0.9, 0.5)},
        {"milestones": (250_000,)},
        {"degradation": "fog"},
        {"precision": "fp16"},
        {"preset": "hat-xxl"},
        {"learning_rate": 0.0},
        {"ema": 1.0},
        {"betas": (0.9,)},
        {"drop_path": 1.0},
        {"overlap_ratio": 0.4},
        {"embed_dim": 50},
        {"depths": (2, 2), "num_heads": (2,)},
    ],
)
def test_recipes_that_cannot_run_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Recipe(**{"steps": 1, **values})  # type: ignore[arg-type]


def test_ablations_change_the_network_and_nothing_else() -> None:
    recipe = Recipe(steps=1, conv_scale=0.1, overlap_ratio=0.25, compress_ratio=6, window_size=16, ocab=False)
    network = recipe.network()
    assert (network.conv_scale, network.overlap_ratio, network.compress_ratio) == (0.1, 0.25, 6)
    assert (network.window_size, network.ocab, network.embed_dim) == (16, False, 48)
    assert Recipe(steps=1, depths=(1, 1, 1)).network().num_heads == (4, 4, 4)
