"""A run's beginning: a network with the weights it starts from, and its saved state where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hatcli.errors import HatError, UsageError, WeightsError
from hatcli.models import opening
from hatcli.network import checkpoint
from hatcli.network.hat import HAT
from hatcli.training.data import AnyPair
from hatcli.training.distributed import Group
from hatcli.training.outputs import Outputs
from hatcli.training.recipe import Recipe
from hatcli.training.start import start_as_bilinear, start_from
from hatcli.training.state import TrainingState
from hatcli.upscaling.device import free_memory

SHARE_FOR_PICTURES = 0.8  # of the free memory


@dataclass(frozen=True)
class Start:
    """Weights to start from: what people call them, and the network."""

    name: str
    network: HAT


def find_start(name: str, *, scale: int) -> Start:
    """A file of weights, or a model by its name: its network for `scale`, or for another factor, whose trunk serves.

    Raises:
        UsageError: no model has this name.
        WeightsError: it is not installed, it is no HAT, or the file is not there or damaged.
    """
    path = Path(name)
    if path.is_file() or opening.names_file(name):
        return Start(path.name, checkpoint.load(path))
    model = opening.open_one(name, factor=scale)
    chosen = scale if scale in model else max(model)
    network = model[chosen]
    if not isinstance(network, HAT):
        raise WeightsError(f"{name} is no HAT", hint="name one with --from, or a file")
    return Start(f"{model.name} x{chosen}", network)


def refuse_start(start: str | None, recipe: Recipe, outputs: Outputs) -> None:
    """Check what `--from` says before anything is read.

    Raises:
        UsageError: the recipe needs weights and there are none, or they would be overwritten.
    """
    if start is None:
        if recipe.needs_start:
            raise UsageError(
                "this recipe starts from weights that are there", hint="name them with --from net.safetensors"
            )
        return
    path = Path(start)
    if outputs.weights.exists() and path.exists() and outputs.weights.samefile(path):
        raise UsageError("the weights to start from would be overwritten", hint="choose another output")


def new_network(recipe: Recipe, start: Start | None) -> tuple[HAT, int]:
    """The network of a new run, and how many of its tensors come from `start`."""
    torch.manual_seed(recipe.seed)
    model = HAT(recipe.network())
    if recipe.initial == "bilinear":
        start_as_bilinear(model)
    return model, 0 if start is None else start_from(model, start.network, fresh=recipe.fresh)


def memory_for_pictures(group: Group) -> int:
    """Bytes that one process of the group may hold decoded."""
    return round(SHARE_FOR_PICTURES * free_memory(torch.device("cpu")) / group.size)


def open_state(
    model: HAT,
    recipe: Recipe,
    pairs: Sequence[AnyPair],
    outputs: Outputs,
    *,
    group: Group,
    device: torch.device,
    workers: int | None,
) -> tuple[TrainingState, str | None]:
    """The saved state where there is one, else a new one, saved at once; and what people should know about it.

    So a run that was killed before its first step is known for a run, and a disk that takes no state is found out.

    Raises:
        HatError: the state cannot be gone on from, or written; or another process found another one.
    """
    torch.manual_seed(recipe.seed + group.rank)  # stochastic depth differs between processes, weights do not
    state = TrainingState(model.to(device), recipe, pairs, group=group, workers=workers)
    remark = go_on(state, outputs.state)
    if state.step == 0 and not outputs.state.exists():
        state.save(outputs.state)
    return state, remark


def go_on(state: TrainingState, path: Path) -> str | None:
    """Load the saved state, if there is one, in every process of the group, or in none.

    Raises:
        UsageError: the processes do not find the same state, as on machines without a common disk.
        HatError: see `TrainingState.load`.
    """
    remark: str | None = None
    problem: HatError | None = None
    try:
        remark = state.load(path) if path.exists() else None
    except HatError as error:
        problem = error
    found = state.group.gather((None if problem is None else problem.message, state.step, state.seconds))
    if problem is not None:
        raise problem
    for rank, (message, _, _) in enumerate(found):
        if message is not None:
            raise UsageError(f"process {rank} cannot go on: {message}", hint="see that process's own message")
    if len({(step, seconds) for _, step, seconds in found}) > 1:
        steps = ", ".join(str(step) for _, step, _ in found)
        raise UsageError(
            f"the processes would start at different steps: {steps}",
            hint=f"put the output on a disk that all machines share, or copy the newest {path.name} to each of them",
        )
    return remark
