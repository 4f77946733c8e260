"""`hat train`: pictures to weights by a recipe; stopped and resumed at will, checked before it starts."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import typer

from hatcli.cli.shared.console import Console, command, show
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.option_groups import Talk
from hatcli.cli.shared.train_options import (
    Ablations,
    Along,
    Changes,
    Data,
    ListRecipes,
    Machine,
    Places,
    RecipeName,
    StartName,
)
from hatcli.cli.shared.training_pictures import check_data, read_pairs, read_validation
from hatcli.cli.views.training import RunView, Stopping, list_recipes, machine_limit
from hatcli.errors import UsageError

if TYPE_CHECKING:
    import torch

    from hatcli.training.data import AnyPair
    from hatcli.training.opening import Start
    from hatcli.training.outputs import Outputs
    from hatcli.training.recipe import Recipe
    from hatcli.training.sources import TrainingPicture
    from hatcli.training.state import TrainingState


@command
@grouped
def train(
    places: Places = None,
    *,
    data: Data,
    recipe: RecipeName = "hat-t",
    list_them: ListRecipes = False,
    start: StartName = None,
    changes: Changes,
    ablations: Ablations,
    machine: Machine,
    along: Along,
    talk: Talk,
) -> None:
    """Train a network by a recipe: L1 loss, Adam or Muon, averaged weights.

    The state is kept beside the output (.state), and what was measured (.jsonl); the same command goes on from there.
    With several GPUs: torchrun --nproc-per-node 4 -m hatcli train ...
    """
    if list_them:
        list_recipes()
        return
    if not places:
        raise UsageError("there is nothing to learn from", hint="name a folder of pictures")
    from hatcli.training.opening import find_start, refuse_start
    from hatcli.training.outputs import outputs_at
    from hatcli.training.priority import lower_priority
    from hatcli.training.reading import read_recipe

    fields = {**changes.fields(), **ablations.fields(), **machine.fields()}
    if data.check:
        plan = read_recipe(recipe).recipe(**{**fields, "steps": changes.steps or 1})
        unmatched: list[str] = []
        sources = data.pictures(places, scale=plan.scale, unmatched=unmatched)
        check_data(sources, unmatched, scale=plan.scale, smallest=plan.patch, console=talk.console())
        return
    plan = read_recipe(recipe).recipe(**fields)
    outputs = outputs_at(data.output)
    outputs.refuse_strange(overwrite=data.overwrite)
    refuse_start(start, plan, outputs)
    if taken := lower_priority(machine.nice):
        talk.console().say(f"other programs go first (--nice {taken})")
    device = machine.choice()
    begun_from = None if start is None else find_start(start, scale=plan.scale)
    sources = data.pictures(places, scale=plan.scale)
    run(sources, plan, begun_from, outputs, device=device, data=data, machine=machine, along=along, talk=talk)


def run(
    sources: list[TrainingPicture],
    plan: Recipe,
    start: Start | None,
    outputs: Outputs,
    *,
    device: torch.device,
    data: Data,
    machine: Machine,
    along: Along,
    talk: Talk,
) -> None:
    """Alone or as one of a group: everything is read, then learnt from; the first process speaks and writes."""
    from hatcli.training.distributed import join_group
    from hatcli.training.opening import memory_for_pictures, new_network, open_state

    with join_group(cuda=device.type == "cuda") as group:
        console = Console(quiet=talk.quiet or not group.leads, verbose=talk.verbose, progress=not talk.no_progress)
        budget = machine.budget()
        model, copied = new_network(plan, start)
        if start is not None:
            console.say(f"{copied} of {len(model.state_dict())} tensors start from {show(start.name)}")
        pairs = read_pairs(sources, plan, console, cache=data.cache, budget=budget or memory_for_pictures(group))
        pictures = read_validation(data.validate if group.leads else None, plan, console)
        own = group.own_device(device)
        state, remark = open_state(model, plan, pairs, outputs, group=group, device=own, workers=machine.threads)
        if state.step:
            console.say(f"going on from step {state.step}")
        if remark is not None:
            console.say(remark)
        learn(state, pictures, outputs, console, along=along, budget=budget)


def learn(
    state: TrainingState,
    validation: list[AnyPair],
    outputs: Outputs,
    console: Console,
    *,
    along: Along,
    budget: int | None,
) -> None:
    """The loop, watched and logged; the weights are written however it ends well."""
    from hatcli.training.logs import Logs
    from hatcli.training.loop import train as steps

    view = RunView(state.recipe, console, None if console.quiet else machine_limit(state))
    pace = along.pace(budget)
    if leads := state.group.leads:
        opened = Logs(outputs.log, step=state.step, every=along.log_steps, tensorboard=along.tensorboard)
        outputs.sweep()
    with opened if leads else nullcontext() as logs, Stopping(console) as stopping, view.watch() as show_step:
        for progress in steps(state, validation, state_file=outputs.state, pace=pace, stop=lambda: stopping.code != 0):
            show_step(progress)
            if logs is not None:
                logs.add(progress)
    if leads:
        outputs.write_weights(state)
    view.end(state, outputs, stopped=stopping.code != 0)
    if stopping.code:
        raise typer.Exit(stopping.code)
