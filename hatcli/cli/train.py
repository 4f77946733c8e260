"""`hat train`: a folder of pictures to weights; stopped and resumed at will."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli import options
from hatcli.cli.console import Console, command
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.training.data import Pair
    from hatcli.training.loop import TrainingState
    from hatcli.training.recipe import Recipe

Folder = Annotated[Path, typer.Argument(help="Pictures to learn from.", metavar="FOLDER")]
Weights = Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.")]
NativeScale = Annotated[int, typer.Option("-s", "--scale", help="Factor to learn: 2, 3 or 4.")]
Preset = Annotated[str, typer.Option("--preset", help="hat-t, hat-s, hat or hat-l.")]
Minutes = Annotated[float, typer.Option("--minutes", help="Time budget; the schedule is fitted to it.")]
Steps = Annotated[int, typer.Option("--steps", help="Optimiser steps, instead of or besides --minutes.")]
Batch = Annotated[int, typer.Option("--batch", help="Patches a step.")]
Patch = Annotated[int, typer.Option("--patch", help="Side of a low-resolution patch in pixels.")]
Rate = Annotated[float, typer.Option("--learning-rate", help="Peak of the cosine.")]
Start = Annotated[Path | None, typer.Option("--from", help="Weights to start from; other scales give their trunk.")]
Validation = Annotated[Path | None, typer.Option("--validate", help="Folder of pictures to measure PSNR on.")]
Seed = Annotated[int, typer.Option("--seed", help="Of weights and patches.")]


@command
def train(
    folder: Folder,
    output: Weights,
    scale: NativeScale = 4,
    preset: Preset = "hat-t",
    minutes: Minutes = 0.0,
    steps: Steps = 0,
    batch: Batch = 8,
    patch: Patch = 32,
    learning_rate: Rate = 1.5e-3,
    start: Start = None,
    validate: Validation = None,
    seed: Seed = 0,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train a network on the CPU with L1 loss, Adam, averaged weights and a cosine schedule.

    The state is kept beside the output (.state) at every validation; the same command goes on from it.
    """
    if output.suffix != ".safetensors":
        raise UsageError(f"{output.name} does not end in .safetensors", hint="weights are written as safetensors")

    from hatcli.training.loop import train as run
    from hatcli.training.recipe import Recipe

    recipe = Recipe(
        preset=preset,
        scale=scale,
        minutes=minutes,
        steps=steps,
        batch=batch,
        patch=patch,
        learning_rate=learning_rate,
        seed=seed,
    )
    console = Console(quiet=quiet, verbose=verbose)
    state_file = output.with_suffix(".state")
    validation = pairs_of(validate, scale, smallest=1) if validate is not None else []
    state = begin(folder, recipe, start, state_file, console, threads)
    try:
        for progress in run(state, validation, state_file=state_file):
            if progress.psnr is not None or progress.step % 100 == 0:
                measured = "" if progress.psnr is None else f", {progress.psnr:.2f} dB"
                left = progress.seconds * (1 / max(progress.done, 1e-6) - 1)
                console.say(f"step {progress.step}, loss {progress.loss:.4f}{measured}, {left / 60:.1f} min left")
    finally:
        save(state, output)
    console.say(f"wrote {output} after {state.step} steps; {state_file.name} can go on from here")


def pairs_of(folder: Path, scale: int, *, smallest: int) -> list[Pair]:
    """Every picture of a folder with its reduction."""
    from hatcli.training.data import load_pairs, picture_files

    return list(load_pairs(picture_files(folder), scale=scale, smallest=smallest))


def begin(
    folder: Path, recipe: Recipe, start: Path | None, state_file: Path, console: Console, threads: int | None
) -> TrainingState:
    """A new run's state, or the saved one where there is one."""
    import torch

    from hatcli.network import checkpoint
    from hatcli.network.config import preset
    from hatcli.network.hat import HAT
    from hatcli.training.loop import TrainingState
    from hatcli.training.start import start_as_bilinear, start_from

    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    model = HAT(preset(recipe.preset, upscale=recipe.scale))
    start_as_bilinear(model)
    if start is not None:
        copied = start_from(model, checkpoint.load(start))
        console.say(f"{copied} of {len(model.state_dict())} tensors start from {start.name}")
    pairs = pairs_of(folder, recipe.scale, smallest=recipe.patch)
    console.say(f"{len(pairs)} pictures, {sum(pair.high.shape[0] * pair.high.shape[1] for pair in pairs) / 1e6:.0f} MP")
    state = TrainingState(model, recipe, pairs)
    if state_file.exists():
        state.load(state_file)
        console.say(f"going on from step {state.step}")
    return state


def save(state: TrainingState, output: Path) -> None:
    """The averaged weights, with the recipe in the metadata."""
    import dataclasses
    import json

    from hatcli.network import checkpoint

    recipe = json.dumps({**dataclasses.asdict(state.recipe), "steps_done": state.step})
    checkpoint.write(
        output, config=state.averaged.config, state=state.averaged.state_dict(), metadata={"recipe": recipe}
    )
