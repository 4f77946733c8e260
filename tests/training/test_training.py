"""The training loop: a start that enlarges, a run that learns, stops, resumes bit for bit and never saves nonsense."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from support.training_data import RECIPE, fresh, weights_equal, write_pictures

from hatcli.errors import UsageError, WeightsError
from hatcli.network.config import preset
from hatcli.network.hat import HAT
from hatcli.training.data import AnyPair, load_pairs, picture_files
from hatcli.training.loop import Pace, TrainingProgress, train
from hatcli.training.recipe import Recipe
from hatcli.training.schedule import learning_rate
from hatcli.training.start import start_as_bilinear, start_from
from hatcli.training.validation import image_stem, mean_psnr

EVERY_STEP = Pace(save_steps=1)


@pytest.fixture
def pairs(tmp_path: Path) -> list[AnyPair]:
    return list(load_pairs(picture_files(write_pictures(tmp_path / "pictures")), scale=2, smallest=8))


def test_the_start_enlarges_bilinearly(pairs: list[AnyPair]) -> None:
    for scale in (2, 3, 4):
        model = HAT(preset("hat-t", upscale=scale))
        start_as_bilinear(model)
        low = torch.from_numpy(pairs[0].low).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            difference = model(low) - torch.nn.functional.interpolate(low, scale_factor=scale, mode="bilinear")
        assert difference[..., 8:-8, 8:-8].abs().mean() < 0.06


def test_a_run_learns(pairs: list[AnyPair], tmp_path: Path) -> None:
    state = fresh(pairs, dataclasses.replace(RECIPE, steps=60, batch=4))
    before = mean_psnr(state.model.eval(), pairs)
    steps = list(train(state, pairs, state_file=tmp_path / "state"))
    assert steps[-1].psnr is not None
    assert steps[-1].psnr > before + 0.3
    assert [step.step for step in steps] == list(range(1, 61))
    assert steps[-1].done == 1
    assert all(0 <= step.waiting <= 1 and step.images_per_second > 0 for step in steps)


@pytest.mark.parametrize("changes", [{}, {"degradation": "real-world"}, {"drop_path": 0.5}, {"clip": 0.1}])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    pairs: list[AnyPair], tmp_path: Path, changes: dict[str, object]
) -> None:
    recipe = dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]
    straight = fresh(pairs, recipe)
    curve = [step.loss for step in train(straight, [], state_file=tmp_path / "a")]
    stopped = fresh(pairs, recipe)
    run = train(stopped, [], state_file=tmp_path / "b", pace=EVERY_STEP)
    early = [next(run).loss for _ in range(5)]
    run.close()
    resumed = fresh(pairs, recipe)
    resumed.load(tmp_path / "b")
    late = [step.loss for step in train(resumed, [], state_file=tmp_path / "b")]
    assert early + late == curve
    weights_equal(straight.averaged, resumed.averaged)


def test_a_batch_that_was_made_but_not_learnt_from_comes_again(pairs: list[AnyPair], tmp_path: Path) -> None:
    state = fresh(pairs)
    first, _ = state.batches.take()
    second, _ = state.batches.take()
    state.save(tmp_path / "state")  # the third is made already
    third, _ = state.batches.take()
    other = fresh(pairs)
    other.load(tmp_path / "state")
    again, _ = other.batches.take()
    state.batches.close()
    other.batches.close()
    assert torch.equal(third, again)
    assert not torch.equal(first, second)


def test_a_run_asked_to_stop_ends_after_its_step_with_its_state_saved(pairs: list[AnyPair], tmp_path: Path) -> None:
    state = fresh(pairs)
    seen: list[TrainingProgress] = []
    for step in train(state, [], state_file=tmp_path / "s", pace=Pace(save_minutes=60), stop=lambda: len(seen) == 3):
        seen.append(step)
    assert [step.saved for step in seen] == [False, False, False, True]
    resumed = fresh(pairs)
    resumed.load(tmp_path / "s")
    assert resumed.step == 4


def test_the_learning_rate_warms_up_and_falls_to_zero(pairs: list[AnyPair], tmp_path: Path) -> None:
    rates = [step.rate for step in train(fresh(pairs), [], state_file=tmp_path / "s")]
    assert rates[0] < rates[1]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert 0 < rates[-1] < 0.1 * max(rates)


def test_a_multistep_schedule_halves_at_its_milestones_exactly() -> None:
    milestones = (0.5, 0.8, 0.9, 0.95)
    recipe = Recipe(steps=500_000, schedule="multistep", milestones=milestones, warmup=0, learning_rate=2e-4)
    for number, step in enumerate((250_000, 400_000, 450_000, 475_000)):
        before, after = (learning_rate(recipe, step=at, done=recipe.progress(at, 0.0)) for at in (step - 1, step))
        assert (before, after) == (2e-4 * 0.5**number, 2e-4 * 0.5 ** (number + 1))


def test_a_trunk_serves_another_scale() -> None:
    source, target = HAT(preset("hat-t", upscale=4)), HAT(preset("hat-t", upscale=3))
    copied = start_from(target, source)
    assert copied == len(target.state_dict()) - 2
    assert torch.equal(target.layers[0].conv.weight, source.layers[0].conv.weight)  # type: ignore[union-attr, arg-type]


def test_tensors_that_shall_be_fresh_are_not_copied() -> None:
    source, target = HAT(preset("hat-t", upscale=2)), HAT(preset("hat-t", upscale=4))
    before = target.state_dict()["upsample.0.weight"].clone()
    start_from(target, source, fresh=("upsample",))
    assert torch.equal(target.state_dict()["upsample.0.weight"], before)
    assert torch.equal(target.state_dict()["conv_last.weight"], source.state_dict()["conv_last.weight"])


def test_a_state_of_other_settings_or_no_state_is_refused(pairs: list[AnyPair], tmp_path: Path) -> None:
    state = fresh(pairs)
    state.save(tmp_path / "state")
    with pytest.raises(UsageError, match="other settings: batch"):
        fresh(pairs, dataclasses.replace(RECIPE, batch=3)).load(tmp_path / "state")
    fresh(pairs, dataclasses.replace(RECIPE, steps=99)).load(tmp_path / "state")
    (tmp_path / "state").write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="not a training state"):
        state.load(tmp_path / "state")


@pytest.mark.parametrize(
    "damage", ["bit", "averaged", "optimizer", "model", "processes", "workers"], ids=lambda damage: f"damaged-{damage}"
)
def test_a_state_that_is_damaged_or_of_another_version_is_refused(
    pairs: list[AnyPair], tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "state"
    fresh(pairs).save(path)
    if damage == "bit":
        content = bytearray(path.read_bytes())
        weight = content.index(fresh(pairs).model.conv_last.weight.detach().numpy().tobytes())
        content[weight + 5] ^= 1
        path.write_bytes(content)
    else:
        odd: dict[str, object] = {"averaged": None, "optimizer": {}, "model": {}, "processes": [{}], "workers": "two"}
        saved = torch.load(path, weights_only=True)
        torch.save({**saved, damage: odd[damage]}, path)
    with pytest.raises(WeightsError, match="not a training state"):
        fresh(pairs).load(path)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_state(pairs: list[AnyPair], tmp_path: Path) -> None:
    state = fresh(pairs)
    run = train(state, [], state_file=tmp_path / "state", pace=EVERY_STEP)
    next(run)
    saved = (tmp_path / "state").read_bytes()
    with torch.no_grad():
        state.model.conv_last.weight.fill_(float("nan"))
    with pytest.raises(WeightsError, match=r"loss is nan at step 1; the last saved state stays"):
        next(run)
    assert (tmp_path / "state").read_bytes() == saved


def test_weights_that_are_not_finite_are_never_saved(pairs: list[AnyPair], tmp_path: Path) -> None:
    state = fresh(pairs)
    state.save(tmp_path / "state")
    saved = (tmp_path / "state").read_bytes()
    with torch.no_grad():
        state.model.conv_last.bias[0] = float("inf")  # type: ignore[index]
    with pytest.raises(WeightsError, match="not finite"):
        state.save(tmp_path / "state")
    assert (tmp_path / "state").read_bytes() == saved


def test_checkpointing_changes_memory_and_no_gradient(pairs: list[AnyPair]) -> None:
    recipe = dataclasses.replace(RECIPE, drop_path=0.5)
    plain, again = fresh(pairs, recipe), fresh(pairs, dataclasses.replace(recipe, checkpointing=True))
    low, high = plain.batches.take()
    plain.batches.close()
    kept = []
    for state in (plain, again):
        torch.manual_seed(3)
        count = [0]
        with torch.autograd.graph.saved_tensors_hooks(
            lambda values, count=count: count.__setitem__(0, count[0] + values.numel()) or values,  # type: ignore[misc]
            lambda values: values,
        ):
            output = state.model.train()(low)
        kept.append(count[0])
        torch.nn.functional.l1_loss(output, high).backward()  # type: ignore[no-untyped-call]
    assert kept[1] < 0.5 * kept[0]
    for own, other in zip(plain.model.parameters(), again.model.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-5, atol=1e-7)


def test_bf16_trains_with_weights_in_fp32(pairs: list[AnyPair], tmp_path: Path) -> None:
    state = fresh(pairs, dataclasses.replace(RECIPE, precision="bf16", steps=2))
    exact = fresh(pairs, dataclasses.replace(RECIPE, steps=2))
    coarse, fine = (next(train(one, [], state_file=tmp_path / "s")).loss for one in (state, exact))
    assert coarse != fine
    assert coarse == pytest.approx(fine, rel=0.05)
    assert {values.dtype for values in state.model.parameters()} == {torch.float32}


def test_progress_counts_the_nearer_limit() -> None:
    recipe = Recipe(steps=100, minutes=1)
    assert recipe.progress(10, 30.0) == 0.5
    assert recipe.progress(90, 30.0) == 0.9
    assert recipe.progress(900, 1.0) == 1


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("set.tar/set/baby.png", "007-baby"),
        ("set.tar/a\\..\\..\\startup.png", "007-startup"),
        ("set.tar/C:evil?.png", "007-Cevil"),
        ("set.tar/..\\", "007"),
        ("set.tar/line\nbreak.png", "007-linebreak"),
        ("", "007"),
    ],
)
def test_validation_pictures_get_one_plain_name_on_any_system(name: str, stem: str) -> None:
    assert image_stem(7, name) == stem
