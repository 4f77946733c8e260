"""CPU workers: the gradients of one batch whatever their number, the same bits for the same number, resumable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from support.networks import lively, tiny
from support.training_data import RECIPE, fresh, weights_equal, write_pictures
from torch.nn import functional as F

from hatcli.engine.workers import torch_threads
from hatcli.network.hat import HAT
from hatcli.training.data import AnyPair, load_pairs, picture_files
from hatcli.training.loop import Pace, train
from hatcli.training.workers import Workers

BATCH = dataclasses.replace(RECIPE, batch=5, steps=8)


@pytest.fixture
def pairs(tmp_path: Path) -> list[AnyPair]:
    return list(load_pairs(picture_files(write_pictures(tmp_path / "pictures")), scale=2, smallest=8))


def network(drop_path: float = 0.0) -> HAT:
    return lively(tiny(drop_path_rate=drop_path, depths=(2, 2), num_heads=(2, 2))).train()


def gradients(model: HAT) -> list[torch.Tensor]:
    return [values.grad.clone() for values in model.parameters() if values.grad is not None]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_their_gradients_are_the_batchs(count: int) -> None:
    torch.manual_seed(0)
    low, high = torch.rand(5, 3, 8, 8), torch.rand(5, 3, 16, 16)
    plain, ours = network(), network()
    loss = F.l1_loss(plain(low), high)
    loss.backward()  # type: ignore[no-untyped-call]
    workers = Workers(ours, count)
    for _ in range(2):  # the second time there are gradients already
        learnt = workers.learn(low, high, step=0)
    workers.close()
    torch.testing.assert_close(learnt, loss.detach())
    for own, other in zip(gradients(ours), gradients(plain), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_the_same_number_of_them_gives_the_same_bits_stochastic_depth_included(count: int) -> None:
    low, high = torch.rand(5, 3, 8, 8), torch.rand(5, 3, 16, 16)
    seen = []
    for step in (7, 7, 8):
        torch.manual_seed(step)  # what it does with PyTorch's own random numbers is nobody's concern
        model = network(drop_path=0.5)
        workers = Workers(model, count, seed=(3, 0))
        workers.learn(low, high, step=step)
        workers.close()
        seen.append(gradients(model))
        torch.rand(5)
    assert all(torch.equal(one, other) for one, other in zip(seen[0], seen[1], strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(seen[0], seen[2], strict=True))


def test_they_see_every_change_of_the_weights() -> None:
    low, high = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    model = network()
    workers = Workers(model, 2)
    before = workers.learn(low, high, step=0)
    model.load_state_dict({name: values * 0.5 for name, values in model.state_dict().items()})
    after = workers.learn(low, high, step=1)
    workers.close()
    assert before != after


def test_pytorchs_own_threads_are_as_before_after_a_step() -> None:
    model = network()
    with torch_threads(2):
        workers = Workers(model, 2)
        workers.learn(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16), step=0)
        workers.close()
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("count", [1, 2])
def test_numbers_too_small_for_the_exponent_are_nothing_in_a_worker_and_what_they_were_elsewhere(count: int) -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot")
    seen: list[float] = []

    def loss(output: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        seen.append(float(torch.tensor([1e-40]) * 1))
        return F.l1_loss(output, wanted)

    workers = Workers(network(), count, loss=loss)
    workers.learn(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16), step=0)
    workers.close()
    assert seen == [0.0] * count
    assert float(torch.tensor([1e-40]) * 1) > 0


def test_a_worker_that_fails_fails_the_step() -> None:
    workers = Workers(network(), 2)
    with pytest.raises(RuntimeError):
        workers.learn(torch.rand(2, 4, 8, 8), torch.rand(2, 3, 16, 16), step=0)
    workers.close()


@pytest.mark.parametrize("changes", [{}, {"drop_path": 0.5}, {"optimizer": "muon"}, {"candidates": 3}])
def test_a_stopped_run_of_three_goes_on_bit_for_bit(
    pairs: list[AnyPair], tmp_path: Path, changes: dict[str, object]
) -> None:
    recipe = dataclasses.replace(BATCH, **changes)  # type: ignore[arg-type]
    straight = fresh(pairs, recipe, workers=3)
    curve = [step.loss for step in train(straight, [], state_file=tmp_path / "a")]
    stopped = fresh(pairs, recipe, workers=3)
    run = train(stopped, [], state_file=tmp_path / "b", pace=Pace(save_steps=1))
    early = [next(run).loss for _ in range(4)]
    run.close()
    resumed = fresh(pairs, recipe)  # the number comes from the state
    assert resumed.load(tmp_path / "b") is None
    assert resumed.workers == 3
    late = [step.loss for step in train(resumed, [], state_file=tmp_path / "b")]
    assert early + late == curve
    weights_equal(straight.averaged, resumed.averaged)


def test_another_number_of_them_goes_on_and_says_so(pairs: list[AnyPair], tmp_path: Path) -> None:
    fresh(pairs, BATCH, workers=3).save(tmp_path / "state")
    other = fresh(pairs, BATCH, workers=2)
    assert "--threads 3 until here and has 2 now" in str(other.load(tmp_path / "state"))
    assert other.workers == 2
    assert len(list(train(other, [], state_file=tmp_path / "state"))) == BATCH.steps


def test_there_are_no_more_of_them_than_patches(pairs: list[AnyPair], tmp_path: Path) -> None:
    state = fresh(pairs, dataclasses.replace(BATCH, batch=2), workers=16)
    assert state.workers == 2
    assert len(list(train(state, [], state_file=tmp_path / "state"))) == BATCH.steps
