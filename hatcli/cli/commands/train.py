"""`hat train`: pictures to weights by a recipe; stopped and resumed at will, checked before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command
from hatcli.cli.views.training import Stopping, check_data, list_recipes, loaded, watched
from hatcli.errors import UsageError

if TYPE_CHECKING:
    import torch

    from hatcli.training.data import AnyPair
    from hatcli.training.distributed import Group
    from hatcli.training.loop import Pace
    from hatcli.training.recipe import Recipe
    from hatcli.training.sources import Source
    from hatcli.training.state import TrainingState

DATA, RECIPE, ABLATION, ALONG = "Data", "Recipe", "Ablations", "Along the way"


def _option(panel: str, text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False)


Places = Annotated[
    list[Path] | None,
    typer.Argument(help="Folders of pictures, and .tar archives of them.", metavar="DATA...", show_default=False),
]
Weights = Annotated[Path | None, _option(DATA, "The .safetensors file to write.", "-o", "--output")]
Small = Annotated[Path | None, _option(DATA, "Folder of small versions; without it, MATLAB's bicubic.", "--lr")]
Recursive = Annotated[bool, _option(DATA, "Folders inside folders too.", "-r", "--recursive")]
Validation = Annotated[Path | None, _option(DATA, "Folder of pictures to measure PSNR on.", "--validate")]
Cache = Annotated[Path | None, _option(DATA, "Keep decoded pictures in this folder, not in memory.", "--cache")]
CheckData = Annotated[bool, _option(DATA, "Only read everything, and name what cannot be used.", "--check-data")]

RecipeName = Annotated[str, typer.Option("--recipe", help="A recipe's name or .toml file.", rich_help_panel=RECIPE)]
ListRecipes = Annotated[bool, _option(RECIPE, "Only name the recipes that come with hat.", "--list-recipes")]
NativeScale = Annotated[int | None, _option(RECIPE, "Factor to learn: 2, 3, 4.", "-s", "--scale")]
Preset = Annotated[str | None, _option(RECIPE, "hat-t, hat-s, hat or hat-l.", "--preset")]
Minutes = Annotated[float | None, _option(RECIPE, "Time budget; the schedule is fitted to it.", "--minutes")]
Steps = Annotated[int | None, _option(RECIPE, "Optimiser steps, instead of or besides --minutes.", "--steps")]
Batch = Annotated[int | None, _option(RECIPE, "Patches a step, over all GPUs.", "--batch")]
Patch = Annotated[int | None, _option(RECIPE, "Side of a low-resolution patch in pixels.", "--patch")]
Rate = Annotated[float | None, _option(RECIPE, "Peak of the schedule.", "--learning-rate")]
Schedule = Annotated[str | None, _option(RECIPE, "cosine or multistep.", "--schedule")]
Warmup = Annotated[int | None, _option(RECIPE, "Steps over which the rate rises.", "--warmup")]
Clip = Annotated[float | None, _option(RECIPE, "Largest norm of the gradient; 0 for none.", "--clip")]
Start = Annotated[
    Path | None, _option(RECIPE, "Weights to start from; those of another scale give their trunk.", "--from")
]
Degradation = Annotated[str | None, _option(RECIPE, "none, photo or real-world.", "--degradation")]
DropPath = Annotated[float | None, _option(RECIPE, "Stochastic depth of the last block.", "--drop-path")]
Seed = Annotated[int | None, _option(RECIPE, "Of weights and patches.", "--seed")]

NoCab = Annotated[bool, _option(ABLATION, "Without channel attention blocks.", "--no-cab")]
NoChannelAttention = Annotated[
    bool, _option(ABLATION, "Only the convolutions of those blocks.", "--no-channel-attention")
]
NoOcab = Annotated[bool, _option(ABLATION, "Without overlapping cross-attention.", "--no-ocab")]
Alpha = Annotated[float | None, _option(ABLATION, "Weight of the channel attention block.", "--alpha")]
Beta = Annotated[int | None, _option(ABLATION, "Its channels are divided by this.", "--beta")]
Gamma = Annotated[float | None, _option(ABLATION, "Overlap of cross-attention windows.", "--gamma")]
Window = Annotated[int | None, _option(ABLATION, "Side of a window in pixels.", "--window")]

Precision = Annotated[str | None, _option(options.SPEED, "fp32, or bf16 by autocast.", "--precision")]
Checkpointing = Annotated[
    bool, _option(options.SPEED, "Less memory, more time: compute activations again.", "--checkpointing")
]
SaveMinutes = Annotated[
    float, typer.Option("--save-minutes", help="Minutes between saved states.", rich_help_panel=ALONG, min=0)
]
SaveSteps = Annotated[
    int, typer.Option("--save-steps", help="Steps between saved states too; 0 for none.", rich_help_panel=ALONG, min=0)
]
ValidateMinutes = Annotated[
    float, typer.Option("--validate-minutes", help="Minutes between validations.", rich_help_panel=ALONG, min=0)
]
LogSteps = Annotated[
    int, typer.Option("--log-steps", help="Steps between lines of the .jsonl log.", rich_help_panel=ALONG, min=1)
]
SaveImages = Annotated[Path | None, _option(ALONG, "Folder for enlarged validation pictures.", "--save-images")]
TensorBoard = Annotated[Path | None, _option(ALONG, "Folder for TensorBoard's format.", "--tensorboard")]


@command
def train(
    places: Places = None,
    output: Weights = None,
    small: Small = None,
    recursive: Recursive = False,
    validate: Validation = None,
    cache: Cache = None,
    check: CheckData = False,
    recipe: RecipeName = "hat-t",
    list_them: ListRecipes = False,
    scale: NativeScale = None,
    preset: Preset = None,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Batch = None,
    patch: Patch = None,
    learning_rate: Rate = None,
    schedule: Schedule = None,
    warmup: Warmup = None,
    clip: Clip = None,
    start: Start = None,
    degradation: Degradation = None,
    drop_path: DropPath = None,
    seed: Seed = None,
    no_cab: NoCab = False,
    no_channel_attention: NoChannelAttention = False,
    no_ocab: NoOcab = False,
    alpha: Alpha = None,
    beta: Beta = None,
    gamma: Gamma = None,
    window: Window = None,
    device: options.Device = "auto",
    precision: Precision = None,
    checkpointing: Checkpointing = False,
    max_memory: options.MaxMemory = None,
    threads: options.Threads = None,
    save_minutes: SaveMinutes = 2.0,
    save_steps: SaveSteps = 0,
    validate_minutes: ValidateMinutes = 2.0,
    log_steps: LogSteps = 50,
    save_images: SaveImages = None,
    tensorboard: TensorBoard = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Train a network by a recipe: L1 loss, Adam, averaged weights.

    The state is kept beside the output (.state), and what was measured (.jsonl); the same command goes on from there.
    With several GPUs: torchrun --nproc-per-node 4 -m hatcli train ...
    """
    if list_them:
        list_recipes()
        return
    if not places:
        raise UsageError("there is nothing to learn from", hint="name a folder of pictures")

    from hatcli.training.distributed import joined
    from hatcli.training.loop import Pace
    from hatcli.training.reading import read_recipe
    from hatcli.training.sources import find_sources
    from hatcli.upscaling.device import choose
    from hatcli.upscaling.memory import parse_bytes

    changes: dict[str, Any] = {
        "scale": scale, "preset": preset, "minutes": minutes, "steps": steps, "batch": batch, "patch": patch,
        "learning_rate": learning_rate, "schedule": schedule, "warmup": warmup, "clip": clip, "seed": seed,
        "degradation": degradation, "drop_path": drop_path, "conv_scale": alpha, "compress_ratio": beta,
        "overlap_ratio": gamma, "window_size": window, "precision": precision,
        "checkpointing": True if checkpointing else None, "cab": False if no_cab else None,
        "channel_attention": False if no_channel_attention else None, "ocab": False if no_ocab else None,
    }  # fmt: skip
    file = read_recipe(recipe)
    if check:
        plan = file.recipe(**{**changes, "steps": steps or 1})
        unmatched: list[str] = []
        sources = find_sources(places, recursive=recursive, small=small, scale=plan.scale, unmatched=unmatched)
        console = Console(progress=not no_progress)
        check_data(sources, unmatched, scale=plan.scale, smallest=plan.patch, console=console)
        return
    plan = file.recipe(**changes)
    written = checked_output(output, plan, start)
    budget = parse_bytes(max_memory) if max_memory is not None else None
    place = choose(device, "fp32").device
    if threads is not None:
        set_threads(threads)
    sources = find_sources(places, recursive=recursive, small=small, scale=plan.scale)
    with joined(cuda=place.type == "cuda") as group:
        console = Console(quiet=quiet or not group.leads, verbose=verbose, progress=not no_progress)
        state = begin(
            sources,
            plan,
            start,
            written,
            console,
            group=group,
            device=place,
            cache=cache,
            budget=budget,
            workers=threads,
        )
        pictures = validation_pairs(validate, plan, console) if validate is not None and group.leads else []
        pace = Pace(save_minutes, save_steps, validate_minutes, save_images, budget)
        run(state, pictures, written, console, pace=pace, log_steps=log_steps, tensorboard=tensorboard)


def checked_output(output: Path | None, recipe: Recipe, start: Path | None) -> Path:
    """Where the weights go, after what can be refused before any work."""
    if output is None:
        raise UsageError("there is no place for the weights", hint="name it with -o net.safetensors")
    if output.suffix != ".safetensors":
        raise UsageError(f"{output.name} does not end in .safetensors", hint="weights are written as safetensors")
    if output.is_dir():
        raise UsageError(f"{output} is a folder", hint="name a file in it")
    if recipe.needs_start and start is None:
        raise UsageError("this recipe starts from weights that are there", hint="name them with --from net.safetensors")
    if start is not None and output.exists() and start.exists() and output.samefile(start):
        raise UsageError("the weights to start from would be overwritten", hint="choose another output")
    return output


def set_threads(threads: int) -> None:
    """How many cores PyTorch may use."""
    import torch

    torch.set_num_threads(threads)


def validation_pairs(folder: Path, recipe: Recipe, console: Console) -> list[AnyPair]:
    """Every picture of the validation folder, whole, in memory."""
    from hatcli.training.data import load_pairs
    from hatcli.training.sources import find_sources

    sources = find_sources([folder], scale=recipe.scale)
    return loaded(load_pairs(sources, scale=recipe.scale, smallest=1), len(sources), "validation", console)


def begin(
    sources: list[Source],
    recipe: Recipe,
    start: Path | None,
    output: Path,
    console: Console,
    *,
    group: Group,
    device: torch.device,
    cache: Path | None,
    budget: int | None,
    workers: int | None,
) -> TrainingState:
    """A new run's state, or the saved one where there is one."""
    import torch

    from hatcli.network import checkpoint
    from hatcli.network.hat import HAT
    from hatcli.training.data import load_pairs
    from hatcli.training.start import start_as_bilinear, start_from
    from hatcli.training.state import TrainingState

    if device.type == "cuda" and group.size > 1:
        device = torch.device("cuda", group.local_rank)
    torch.manual_seed(recipe.seed)
    model = HAT(recipe.network())
    if recipe.initial == "bilinear":
        start_as_bilinear(model)
    if start is not None:
        copied = start_from(model, checkpoint.load(start), fresh=recipe.fresh)
        console.say(f"{copied} of {len(model.state_dict())} tensors start from {start.name}")
    torch.manual_seed(recipe.seed + group.rank)  # stochastic depth differs between processes, weights do not
    if budget is None:
        from hatcli.upscaling.device import free_memory

        budget = round(0.8 * free_memory(torch.device("cpu")) / group.size)
    pictures = load_pairs(sources, scale=recipe.scale, smallest=recipe.patch, cache=cache, budget=budget)
    pairs = loaded(pictures, len(sources), "reading", console)
    pixels = sum(pair.size[0] * pair.size[1] * recipe.scale**2 for pair in pairs)
    console.say(f"{len(pairs)} pictures, {pixels / 1e6:.0f} MP")
    state = TrainingState(model.to(device), recipe, pairs, group=group, workers=workers)
    state_file = output.with_suffix(".state")
    if state_file.exists():
        remark = state.load(state_file)
        console.say(f"going on from step {state.step}")
        if remark is not None:
            console.say(remark)
    return state


def run(
    state: TrainingState,
    validation: list[AnyPair],
    output: Path,
    console: Console,
    *,
    pace: Pace,
    log_steps: int,
    tensorboard: Path | None,
) -> None:
    """The loop, watched and logged; the weights are written however it ends well."""
    from hatcli.training.logs import MetricsLog, Scalars
    from hatcli.training.loop import train as steps

    state_file = output.with_suffix(".state")
    leads = state.group.leads
    scalars = Scalars(tensorboard, step=state.step) if tensorboard is not None and leads else None
    log = MetricsLog(output.with_suffix(".jsonl"), step=state.step, every=log_steps) if leads else None
    busy = None
    try:
        with Stopping(console) as stopping, watched(console, state.recipe) as show:
            for progress in steps(state, validation, state_file=state_file, pace=pace, stop=lambda: stopping.code != 0):
                show(progress)
                busy = 1 - progress.waiting
                line = log.add(progress) if log is not None else None
                if scalars is not None and line is not None:
                    scalars.add(line)
        if leads:
            write_weights(state, output)
    finally:
        for opened in (log, scalars):
            if opened is not None:
                opened.close()
    if busy is not None:
        console.say(f"the network was busy {busy:.1%} of the time, the rest waited for data")
    if stopping.code:
        console.say(f"stopped after step {state.step}; the same command goes on from there ({state_file.name})")
        raise typer.Exit(stopping.code)
    console.say(f"wrote {output} after {state.step} steps; {state_file.name} can go on from here")


def write_weights(state: TrainingState, output: Path) -> None:
    """The averaged weights, with the recipe in the metadata."""
    import json

    from hatcli.network import checkpoint
    from hatcli.training.reading import as_values

    recipe = json.dumps({**as_values(state.recipe), "steps_done": state.step})
    weights = {name: values.cpu() for name, values in state.averaged.state_dict().items()}
    checkpoint.write(output, config=state.averaged.config, state=weights, metadata={"recipe": recipe})
