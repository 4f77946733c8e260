"""Training: patches that match, a start that enlarges, a run that learns, resumes bit for bit and survives bad data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hatcli.cli import app
from hatcli.errors import InputError, UsageError, WeightsError
from hatcli.network import checkpoint
from hatcli.network.config import preset
from hatcli.network.hat import HAT
from hatcli.training.data import Pair, PatchSampler, load_pairs, picture_files
from hatcli.training.loop import TrainingProgress, TrainingState, mean_psnr, train
from hatcli.training.recipe import Recipe
from hatcli.training.start import start_as_bilinear, start_from

RECIPE = Recipe(preset="hat-t", scale=2, steps=12, batch=2, patch=8, warmup=2, validate_minutes=0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(5)
    for number in range(3):
        coarse = Image.fromarray(random.integers(0, 256, (8, 9, 3), dtype=np.uint8))
        coarse.resize((45, 40), Image.Resampling.NEAREST).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.fixture
def pairs(folder: Path) -> list[Pair]:
    return list(load_pairs(picture_files(folder), scale=2, smallest=8))


def fresh(pairs: list[Pair], recipe: Recipe = RECIPE) -> TrainingState:
    torch.manual_seed(recipe.seed)
    model = HAT(preset(recipe.preset, upscale=recipe.scale))
    start_as_bilinear(model)
    return TrainingState(model, recipe, pairs)


def test_patches_of_both_resolutions_show_the_same_place(pairs: list[Pair]) -> None:
    low, high = PatchSampler(pairs, batch=16, patch=8, seed=1).next()
    assert low.shape == (16, 3, 8, 8)
    assert high.shape == (16, 3, 16, 16)
    reduced = torch.nn.functional.interpolate(high, scale_factor=0.5, mode="bicubic", antialias=True)
    assert (reduced - low)[..., 2:-2, 2:-2].abs().mean() < 0.02


def test_the_start_enlarges_bilinearly(pairs: list[Pair]) -> None:
    for scale in (2, 3, 4):
        model = HAT(preset("hat-t", upscale=scale))
        start_as_bilinear(model)
        low = torch.from_numpy(pairs[0].low).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            difference = model(low) - torch.nn.functional.interpolate(low, scale_factor=scale, mode="bilinear")
        assert difference[..., 8:-8, 8:-8].abs().mean() < 0.06


def test_a_run_learns(pairs: list[Pair], tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, steps=60, batch=4, validate_minutes=60.0)
    state = fresh(pairs, recipe)
    before = mean_psnr(state.model.eval(), pairs)
    steps = list(train(state, pairs, state_file=tmp_path / "state"))
    assert steps[-1].psnr is not None
    assert steps[-1].psnr > before + 0.3
    assert [step.step for step in steps] == list(range(1, 61))
    assert steps[-1].done == 1


def test_a_run_that_was_stopped_goes_on_bit_for_bit(pairs: list[Pair], tmp_path: Path) -> None:
    straight = fresh(pairs)
    curve = [step.loss for step in train(straight, [], state_file=tmp_path / "a")]
    stopped = fresh(pairs)
    run = train(stopped, [], state_file=tmp_path / "b")
    early = [next(run).loss for _ in range(5)]
    run.close()
    resumed = fresh(pairs)
    resumed.load(tmp_path / "b")
    late = [step.loss for step in train(resumed, [], state_file=tmp_path / "b")]
    assert early + late == curve
    for own, other in zip(straight.averaged.parameters(), resumed.averaged.parameters(), strict=True):
        assert torch.equal(own, other)


def test_the_learning_rate_warms_up_and_falls_to_zero(pairs: list[Pair], tmp_path: Path) -> None:
    state = fresh(pairs)
    rates = [state.optimizer.param_groups[0]["lr"] for _ in train(state, [], state_file=tmp_path / "s")]
    assert rates[0] < rates[1]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert 0 < rates[-1] < 0.1 * max(rates)


def test_a_trunk_serves_another_scale() -> None:
    source, target = HAT(preset("hat-t", upscale=4)), HAT(preset("hat-t", upscale=3))
    copied = start_from(target, source)
    assert copied == len(target.state_dict()) - 2
    assert torch.equal(target.layers[0].conv.weight, source.layers[0].conv.weight)  # type: ignore[union-attr, arg-type]


def test_a_state_of_other_settings_or_no_state_is_refused(pairs: list[Pair], tmp_path: Path) -> None:
    state = fresh(pairs)
    state.save(tmp_path / "state")
    with pytest.raises(UsageError, match="other settings"):
        fresh(pairs, dataclasses.replace(RECIPE, batch=3)).load(tmp_path / "state")
    (tmp_path / "state").write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="not a training state"):
        state.load(tmp_path / "state")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_state(pairs: list[Pair], tmp_path: Path) -> None:
    state = fresh(pairs)
    run = train(state, [], state_file=tmp_path / "state")
    next(run)
    saved = (tmp_path / "state").read_bytes()
    with torch.no_grad():
        state.model.conv_last.weight.fill_(float("nan"))
    with pytest.raises(WeightsError, match="loss is nan"):
        next(run)
    assert (tmp_path / "state").read_bytes() == saved


def test_bad_data_is_named(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(UsageError, match="no picture"):
        picture_files(empty)
    with pytest.raises(UsageError, match="no folder"):
        picture_files(empty / "missing")
    with pytest.raises(InputError, match=r"0\.png is too small"):
        list(load_pairs(picture_files(folder), scale=2, smallest=64))
    broken = folder / "3.png"
    broken.write_bytes((folder / "0.png").read_bytes()[:200])
    with pytest.raises(InputError, match=r"3\.png"):
        list(load_pairs(picture_files(folder), scale=2, smallest=8))


@pytest.mark.parametrize("values", [{"minutes": 0, "steps": 0}, {"steps": 1, "batch": 0}, {"steps": 1, "patch": 4}])
def test_recipes_that_cannot_run_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Recipe(**values)  # type: ignore[arg-type]


def test_progress_counts_the_nearer_limit() -> None:
    recipe = Recipe(steps=100, minutes=1)
    assert recipe.progress(10, 30.0) == 0.5
    assert recipe.progress(90, 30.0) == 0.9
    assert recipe.progress(900, 1.0) == 1


def test_progress_is_plain_data() -> None:
    assert TrainingProgress(1, 0.5, 0.1, 2.0, None).psnr is None


def test_the_command_writes_weights_that_upscale(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    output = tmp_path_factory.mktemp("out") / "net.safetensors"
    arguments = [
        "train",
        str(folder),
        "-o",
        str(output),
        "--scale",
        "2",
        "--steps",
        "2",
        "--batch",
        "1",
        "--patch",
        "8",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert checkpoint.load(output).config.upscale == 2
    assert '"steps_done": 2' in checkpoint.read(output).metadata["recipe"]
    again = CliRunner().invoke(app, arguments)
    assert "going on from step 2" in again.output
