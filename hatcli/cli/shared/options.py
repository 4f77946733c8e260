"""The options that commands share: names, help and panels, each once."""

from __future__ import annotations

from typing import Annotated

import typer

FILES, SIZE, MODEL = "Input and output", "Size", "Model"
SPEED, PICTURE, RUN = "Speed and memory", "Picture", "Run"


def _flag(panel: str, help_text: str, *names: str, minimum: int | None = None) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(*names, help=help_text, rich_help_panel=panel, min=minimum)
    return option


Inputs = Annotated[
    list[str] | None,
    typer.Argument(help="Files, folders, globs, @list.txt, or - for stdin.", metavar="INPUTS...", show_default=False),
]
MoreInputs = Annotated[list[str] | None, typer.Option("-i", "--input", hidden=True)]
Output = Annotated[
    str | None,
    _flag(FILES, "A file (for one input), a folder, or - for stdout; without it, beside the input.", "-o", "--output"),
]
Recursive = Annotated[bool, _flag(FILES, "Folders inside folders too; the tree is mirrored.", "-r", "--recursive")]
FollowLinks = Annotated[
    bool, _flag(FILES, "With -r, enter links to folders; results then need a folder of their own.", "--follow-links")
]
Suffix = Annotated[str, _flag(FILES, "Added to the stem; fields as in --name.", "--suffix")]
Name = Annotated[str | None, _flag(FILES, "The whole stem: {stem} {ext} {scale} {model} {width} {height}.", "--name")]
FileFormat = Annotated[str, _flag(FILES, "same, png, jpeg, webp, tiff, avif, bmp or gif.", "-f", "--format", "--ext")]
Overwrite = Annotated[
    bool, _flag(FILES, "Replace existing outputs; in a folder, finished ones stay.", "-y", "--overwrite")
]
SkipExisting = Annotated[
    bool, _flag(FILES, "Pass over pictures whose output exists, whoever made it.", "--skip-existing")
]
IgnoreFreeSpace = Annotated[
    bool, _flag(FILES, "Begin even if the results cannot all fit on the disk.", "--ignore-free-space")
]

Scale = Annotated[
    float | None,
    _flag(
        SIZE, "Factor above 1 up to 16, such as 4 or 2.5; without it, the model's own.", "-s", "--scale", "--outscale"
    ),
]
Width = Annotated[int | None, _flag(SIZE, "Width of the result in pixels.", "--width")]
Height = Annotated[int | None, _flag(SIZE, "Height of the result in pixels.", "--height")]
LongEdge = Annotated[int | None, _flag(SIZE, "Longer side in pixels.", "--long-edge")]
ShortEdge = Annotated[int | None, _flag(SIZE, "Shorter side in pixels.", "--short-edge")]
Megapixels = Annotated[float | None, _flag(SIZE, "Area in millions of pixels.", "--megapixels")]
OnlyIfSmaller = Annotated[bool, _flag(SIZE, "Pass over pictures that are large enough.", "--only-if-smaller")]

ModelName = Annotated[
    str, _flag(MODEL, "A name, a .safetensors or .pth file, or auto: the best one installed.", "-n", "-m", "--model")
]
Offline = Annotated[bool, _flag(MODEL, "Never use the network.", "--offline")]
Ensemble = Annotated[bool, _flag(MODEL, "Average 8 flips and turns: a little better, 8 times slower.", "-x", "--tta")]

Device = Annotated[str, _flag(SPEED, "auto, cpu, cuda, cuda:1 or mps.", "-d", "-g", "--device")]
Cpu = Annotated[bool, typer.Option("--cpu", hidden=True)]
Precision = Annotated[str, _flag(SPEED, "auto, fp32 or bf16; pictures of 16 bits run in fp32.", "--precision")]
Fp32 = Annotated[bool, typer.Option("--fp32", hidden=True)]
Tile = Annotated[str, _flag(SPEED, "auto (whole picture if it fits), off, or a side in input pixels.", "-t", "--tile")]
Overlap = Annotated[int, _flag(SPEED, "Least overlap of tiles in input pixels.", "--overlap", "--tile-pad")]
MaxMemory = Annotated[
    str | None, _flag(SPEED, "Most memory to plan with, such as 4GB; without it, most of what is free.", "--max-memory")
]
Threads = Annotated[int | None, _flag(SPEED, "CPU threads; without it, one a core.", "--threads")]

Jobs = Annotated[
    int, _flag(SPEED, "Threads that encode and write while the next picture is enlarged.", "-j", "--jobs", minimum=1)
]

Quality = Annotated[int | None, _flag(PICTURE, "1 to 100, for JPEG, WebP and AVIF.", "-q", "--quality")]
Lossless = Annotated[bool, _flag(PICTURE, "Lossless WebP.", "--lossless")]
Compression = Annotated[
    int | None, _flag(PICTURE, "0 to 9 for PNG and TIFF; higher is smaller and slower.", "--compression")
]
Alpha = Annotated[str, _flag(PICTURE, "Transparency: model, bicubic or drop.", "--alpha")]
KeepColor = Annotated[
    bool, _flag(PICTURE, "Put the input's low frequencies back where the model made a region lighter.", "--keep-color")
]
Frames = Annotated[
    str | None,
    _flag(PICTURE, "first, or all of an animation; without it, all where the output keeps the format.", "--frames"),
]
StripMetadata = Annotated[bool, _flag(PICTURE, "Leave EXIF and XMP out; the colour profile stays.", "--strip-metadata")]
Dpi = Annotated[str, _flag(PICTURE, "keep, or dots an inch to write.", "--dpi")]
MaxPixels = Annotated[
    float | None, _flag(PICTURE, "Largest input to open, in megapixels; without it, 178.9.", "--max-megapixels")
]

DryRun = Annotated[bool, _flag(RUN, "Say what would be done; write nothing.", "--dry-run")]
AsJson = Annotated[bool, _flag(RUN, "One JSON object a line on stdout.", "--json")]
FailFast = Annotated[bool, _flag(RUN, "Stop at the first picture that fails.", "--fail-fast")]
Quiet = Annotated[bool, _flag(RUN, "Only errors.", "--quiet")]
Verbose = Annotated[bool, _flag(RUN, "More lines, and tracebacks.", "-v", "--verbose")]
NoProgress = Annotated[bool, _flag(RUN, "No bars.", "--no-progress")]
