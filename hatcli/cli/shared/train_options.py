"""The options of `hat train`, in the groups its help shows them in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.devices import choose_device

if TYPE_CHECKING:
    import torch

    from hatcli.training.loop import Pace
    from hatcli.training.sources import TrainingPicture

DATA, RECIPE, ABLATION, ALONG = "Data", "Recipe", "Ablations", "Along the way"
CHOICES = {  # of a recipe's fields; training.recipe checks them, a test that these are the same
    "preset": ("hat-t", "hat-s", "hat", "hat-l"),
    "scale": ("2", "3", "4"),
    "optimizer": ("adam", "muon"),
    "loss": ("l1", "l2", "charbonnier"),
    "schedule": ("cosine", "multistep"),
    "degradation": ("none", "photo", "real-world"),
    "precision": ("fp32", "bf16"),
}


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **{"show_default": False, **more})


def _choice(panel: str, field: str, text: str, *names: str) -> Any:
    """An option whose values the help names and the shell completes."""
    known = CHOICES[field]

    def complete(incomplete: str) -> list[str]:
        return [value for value in known if value.startswith(incomplete)]

    return _option(panel, text, *names, metavar="|".join(known), autocompletion=complete)


def complete_recipe(incomplete: str) -> list[str]:
    """Names of packaged recipes, for the shell."""
    from hatcli.training.recipes import packaged_names

    return [name for name in packaged_names() if name.startswith(incomplete)]


def complete_start(incomplete: str) -> list[str]:
    """Names of models, for the shell."""
    from hatcli.models import catalog  # which imports no PyTorch: people wait for this

    return [name for name in catalog.names() if name.startswith(incomplete)]


Places = Annotated[
    list[Path] | None,
    typer.Argument(help="Folders of pictures, and .tar archives of them.", metavar="DATA...", show_default=False),
]
Weights = Annotated[Path | None, _option(DATA, "The .safetensors file to write.", "-o", "--output", metavar="FILE")]
Overwrite = Annotated[
    bool, _option(DATA, "Replace weights and a log that are there without a state to go on from.", "--overwrite")
]
Small = Annotated[
    Path | None, _option(DATA, "Folder of small versions; without it, MATLAB's bicubic.", "--lr", metavar="FOLDER")
]
Recursive = Annotated[bool, _option(DATA, "Folders inside folders too.", "-r", "--recursive")]
Validation = Annotated[
    Path | None, _option(DATA, "Folder of pictures to measure PSNR on.", "--validate", metavar="FOLDER")
]
Cache = Annotated[
    Path | None, _option(DATA, "Keep decoded pictures in this folder, not in memory.", "--cache", metavar="FOLDER")
]
CheckData = Annotated[bool, _option(DATA, "Only read everything, and name what cannot be used.", "--check-data")]

RecipeName = Annotated[
    str,
    _option(
        RECIPE,
        "A recipe's name or .toml file.",
        "--recipe",
        metavar="NAME|FILE",
        show_default=True,
        autocompletion=complete_recipe,
    ),
]
ListRecipes = Annotated[bool, _option(RECIPE, "Only name the recipes that come with hat.", "--list-recipes")]
NativeScale = Annotated[int | None, _choice(RECIPE, "scale", "Factor to learn.", "-s", "--scale")]
Preset = Annotated[str | None, _choice(RECIPE, "preset", "Shape of the network.", "--preset")]
Minutes = Annotated[float | None, _option(RECIPE, "Time budget; the schedule is fitted to it.", "--minutes")]
Steps = Annotated[int | None, _option(RECIPE, "Optimiser steps, instead of or besides --minutes.", "--steps")]
Batch = Annotated[int | None, _option(RECIPE, "Patches a step, over all processes.", "--batch")]
Patch = Annotated[int | None, _option(RECIPE, "Side of a low-resolution patch in pixels.", "--patch")]
OptimizerName = Annotated[
    str | None,
    _choice(RECIPE, "optimizer", "What changes the weights; muon: the matrices, Adam the rest.", "--optimizer"),
]
LossName = Annotated[str | None, _choice(RECIPE, "loss", "What is made small.", "--loss")]
Rate = Annotated[float | None, _option(RECIPE, "Peak of the schedule.", "--learning-rate")]
Schedule = Annotated[str | None, _choice(RECIPE, "schedule", "How the learning rate falls.", "--schedule")]
Warmup = Annotated[int | None, _option(RECIPE, "Steps over which the rate rises.", "--warmup")]
Clip = Annotated[float | None, _option(RECIPE, "Largest norm of the gradient; 0 for none.", "--clip")]
StartName = Annotated[
    str | None,
    _option(
        RECIPE,
        "Weights to start from: a file, or a model such as hat-t; those of another scale give their trunk.",
        "--from",
        metavar="FILE|NAME",
        autocompletion=complete_start,
    ),
]
Degradation = Annotated[
    str | None, _choice(RECIPE, "degradation", "What small patches have gone through.", "--degradation")
]
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

Precision = Annotated[str | None, _choice(options.SPEED, "precision", "bf16 is autocast.", "--precision")]
Checkpointing = Annotated[
    bool, _option(options.SPEED, "Less memory, more time: compute activations again.", "--checkpointing")
]
Threads = Annotated[
    int | None,
    _option(
        options.SPEED,
        "Threads of the CPU that learn side by side; without it, one a core, or as the run began. Another number "
        "changes how sums are rounded.",
        "--threads",
    ),
]
Nice = Annotated[
    int | None,
    _option(
        options.SPEED,
        "Let other programs go first: 0 not at all to 19 always; without it, 10 on battery.",
        "--nice",
        min=0,
        max=19,
    ),
]

SaveMinutes = Annotated[
    float, _option(ALONG, "Minutes between saved states.", "--save-minutes", show_default=True, min=0)
]
SaveSteps = Annotated[
    int, _option(ALONG, "Steps between saved states too; 0 for none.", "--save-steps", show_default=True, min=0)
]
ValidateMinutes = Annotated[
    float, _option(ALONG, "Minutes between validations.", "--validate-minutes", show_default=True, min=0)
]
LogSteps = Annotated[
    int, _option(ALONG, "Steps between lines of the .jsonl log.", "--log-steps", show_default=True, min=1)
]
SaveImages = Annotated[
    Path | None, _option(ALONG, "Folder for enlarged validation pictures.", "--save-images", metavar="FOLDER")
]
TensorBoard = Annotated[
    Path | None, _option(ALONG, "Folder for TensorBoard's format.", "--tensorboard", metavar="FOLDER")
]


@dataclass(frozen=True)
class Data:
    """What is learnt from, and where it goes."""

    output: Weights = None
    overwrite: Overwrite = False
    small: Small = None
    recursive: Recursive = False
    validate: Validation = None
    cache: Cache = None
    check: CheckData = False

    def pictures(self, places: list[Path], *, scale: int, unmatched: list[str] | None = None) -> list[TrainingPicture]:
        """What is in these places; see `find_sources`."""
        from hatcli.training.sources import find_sources

        return find_sources(places, recursive=self.recursive, small=self.small, scale=scale, unmatched=unmatched)


@dataclass(frozen=True)
class Changes:
    """What is wanted otherwise than the recipe says."""

    scale: NativeScale = None
    preset: Preset = None
    minutes: Minutes = None
    steps: Steps = None
    batch: Batch = None
    patch: Patch = None
    optimizer: OptimizerName = None
    loss: LossName = None
    learning_rate: Rate = None
    schedule: Schedule = None
    warmup: Warmup = None
    clip: Clip = None
    degradation: Degradation = None
    drop_path: DropPath = None
    seed: Seed = None

    def fields(self) -> dict[str, Any]:
        """By the names of a recipe's fields; None changes nothing."""
        return dict(vars(self))


@dataclass(frozen=True)
class Ablations:
    """What of the network is left out or changed."""

    no_cab: NoCab = False
    no_channel_attention: NoChannelAttention = False
    no_ocab: NoOcab = False
    alpha: Alpha = None
    beta: Beta = None
    gamma: Gamma = None
    window: Window = None

    def fields(self) -> dict[str, Any]:
        """By the names of a recipe's fields; None changes nothing."""
        left_out = {"cab": self.no_cab, "channel_attention": self.no_channel_attention, "ocab": self.no_ocab}
        return {
            **{name: False if is_out else None for name, is_out in left_out.items()},
            "conv_scale": self.alpha,
            "compress_ratio": self.beta,
            "overlap_ratio": self.gamma,
            "window_size": self.window,
        }


@dataclass(frozen=True)
class Machine:
    """What it runs on."""

    device: options.Device = "auto"
    precision: Precision = None
    checkpointing: Checkpointing = False
    max_memory: options.MaxMemory = None
    threads: Threads = None
    nice: Nice = None

    def fields(self) -> dict[str, Any]:
        """What of it is a recipe's, by the names there."""
        return {"precision": self.precision, "checkpointing": self.checkpointing or None}

    def budget(self) -> int | None:
        """The most memory to plan with, in bytes."""
        from hatcli.upscaling.memory import parse_bytes

        return parse_bytes(self.max_memory) if self.max_memory is not None else None

    def choice(self) -> torch.device:
        """The device; sets PyTorch's threads if asked."""
        return choose_device(self.device, "fp32", self.threads).device


@dataclass(frozen=True)
class Along:
    """What happens along the way and changes no result."""

    save_minutes: SaveMinutes = 2.0
    save_steps: SaveSteps = 0
    validate_minutes: ValidateMinutes = 2.0
    log_steps: LogSteps = 50
    save_images: SaveImages = None
    tensorboard: TensorBoard = None

    def pace(self, budget: int | None) -> Pace:
        from hatcli.training.loop import Pace

        return Pace(self.save_minutes, self.save_steps, self.validate_minutes, self.save_images, budget)
