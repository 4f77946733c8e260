"""The options that commands share: names, help and panels, each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from hatcli.cli.shared import completion

FILES, SIZE, MODEL = "Input and output", "Size", "Model"
SPEED, PICTURE, RUN = "Speed and memory", "Picture", "Run"
FORMATS = ("same", "png", "jpeg", "webp", "tiff", "avif", "bmp", "gif", "heic", "jxl", "exr")
DEVICES = ("auto", "cpu", "cuda", "cuda:1", "mps")


def _flag(
    panel: str,
    help_text: str,
    *names: str,
    value: str | None = None,
    choices: tuple[str, ...] | Callable[[str], list[str]] = (),
) -> Any:
    """An option; `value` stands for what is typed behind it, `choices` are what a shell completes it to."""
    complete = choices if callable(choices) else completed(choices) if choices else None
    return typer.Option(*names, help=help_text, rich_help_panel=panel, metavar=value, autocompletion=complete)


def _switch(panel: str, help_text: str, *names: str) -> Any:
    """An option that is there or not."""
    return typer.Option(*names, help=help_text, rich_help_panel=panel, metavar="")


def completed(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    """What a shell asks for the end of a word."""

    def beginning(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return beginning


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Files, folders, globs, @list.txt, URLs, or - for stdin.", metavar="INPUTS...", show_default=False
    ),
]
MoreInputs = Annotated[list[str] | None, typer.Option("-i", "--input", hidden=True)]
Output = Annotated[
    str | None,
    _flag(
        FILES,
        "A file (for one input), a folder, or - for stdout; without it, beside the input.",
        "-o",
        "--output",
        value="PATH",
    ),
]
Recursive = Annotated[bool, _switch(FILES, "Folders inside folders too; the tree is mirrored.", "-r", "--recursive")]
FollowLinks = Annotated[
    bool, _switch(FILES, "With -r, enter links to folders; results then need a folder of their own.", "--follow-links")
]
Suffix = Annotated[str, _flag(FILES, "Added to the stem; fields as in --name.", "--suffix", value="TEXT")]
Name = Annotated[
    str | None, _flag(FILES, "The whole stem: {stem} {ext} {scale} {model} {width} {height}.", "--name", value="TEXT")
]
FileFormat = Annotated[
    str,
    _flag(
        FILES, f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}.", "-f", "--format", "--ext", value="FORMAT",
        choices=FORMATS,
    ),
]  # fmt: skip
Overwrite = Annotated[
    bool, _switch(FILES, "Replace existing outputs; in a folder, finished ones stay.", "-y", "--overwrite")
]
SkipExisting = Annotated[
    bool, _switch(FILES, "Pass over pictures whose output exists, whoever made it.", "--skip-existing")
]
IgnoreFreeSpace = Annotated[
    bool, _switch(FILES, "Begin even if the results cannot all fit on the disk.", "--ignore-free-space")
]

Scale = Annotated[
    str | None,
    _flag(
        SIZE, "Factor above 1 up to 16, such as 4, x4 or 2.5; without it, the model's own.",
        "-s", "--scale", "--outscale", value="FACTOR",
    ),
]  # fmt: skip
Width = Annotated[int | None, _flag(SIZE, "Width of the result in pixels.", "--width", value="PIXELS")]
Height = Annotated[int | None, _flag(SIZE, "Height of the result in pixels.", "--height", value="PIXELS")]
LongEdge = Annotated[int | None, _flag(SIZE, "Longer side in pixels.", "--long-edge", value="PIXELS")]
ShortEdge = Annotated[int | None, _flag(SIZE, "Shorter side in pixels.", "--short-edge", value="PIXELS")]
Megapixels = Annotated[float | None, _flag(SIZE, "Area in millions of pixels.", "--megapixels", value="NUMBER")]
OnlyIfSmaller = Annotated[bool, _switch(SIZE, "Pass over pictures that are large enough.", "--only-if-smaller")]

ModelName = Annotated[
    str,
    _flag(
        MODEL,
        "A name, a .safetensors or .pth file, or auto: the best one installed.",
        "-n",
        "-m",
        "--model",
        value="NAME",
        choices=completion.model_names,
    ),
]
Offline = Annotated[bool, _switch(MODEL, "Never use the network.", "--offline")]
Ensemble = Annotated[bool, _switch(MODEL, "Average 8 flips and turns: a little better, 8 times slower.", "-x", "--tta")]

Device = Annotated[
    str,
    _flag(SPEED, f"{', '.join(DEVICES[:-1])} or {DEVICES[-1]}.", "-d", "-g", "--device", value="NAME", choices=DEVICES),
]
Devices = Annotated[
    str,
    _flag(
        SPEED, f"{', '.join(DEVICES)}; several with commas, or cuda:all, share the pictures.",
        "-d", "-g", "--device", value="NAME", choices=(*DEVICES, "cuda:all"),
    ),
]  # fmt: skip
Cpu = Annotated[bool, typer.Option("--cpu", hidden=True)]
Precision = Annotated[
    str,
    _flag(
        SPEED,
        "auto, fp32 or bf16; pictures of 16 bits run in fp32.",
        "--precision",
        value="MODE",
        choices=("auto", "fp32", "bf16"),
    ),
]
Fp32 = Annotated[bool, typer.Option("--fp32", hidden=True)]
Tile = Annotated[
    str,
    _flag(
        SPEED,
        "auto (whole picture if it fits), off, or a side in input pixels.",
        "-t",
        "--tile",
        value="auto|N",
        choices=("auto", "off"),
    ),
]
Overlap = Annotated[int, _flag(SPEED, "Least overlap of tiles in input pixels.", "--overlap", value="N")]
TilePad = Annotated[int | None, typer.Option("--tile-pad", hidden=True)]  # what others call it
MaxMemory = Annotated[
    str | None,
    _flag(
        SPEED, "Most memory to plan with, such as 4GB; without it, most of what is free.", "--max-memory", value="BYTES"
    ),
]
Threads = Annotated[int | None, _flag(SPEED, "CPU threads; without it, one a core.", "--threads", value="N")]

Jobs = Annotated[
    int,
    _flag(SPEED, "Threads that encode and write while the next picture is enlarged.", "-j", "--jobs", value="N"),
]

Quality = Annotated[
    int | None, _flag(PICTURE, "1 to 100, for JPEG, WebP, AVIF, HEIC and JPEG XL.", "-q", "--quality", value="N")
]
Lossless = Annotated[bool, _switch(PICTURE, "Lossless WebP; JPEG XL is, unless a quality is given.", "--lossless")]
Compression = Annotated[
    int | None, _flag(PICTURE, "0 to 9 for PNG and TIFF; higher is smaller and slower.", "--compression", value="N")
]
Alpha = Annotated[
    str,
    _flag(
        PICTURE,
        "Transparency: model, bicubic or drop.",
        "--alpha",
        value="MODE",
        choices=("model", "bicubic", "drop"),
    ),
]
KeepColor = Annotated[
    bool,
    _switch(PICTURE, "Put the input's low frequencies back where the model made a region lighter.", "--keep-color"),
]
Frames = Annotated[
    str | None,
    _flag(
        PICTURE,
        "first, or all of an animation; without it, all where the output keeps the format.",
        "--frames",
        value="first|all",
        choices=("first", "all"),
    ),
]
Pages = Annotated[
    str,
    _flag(
        PICTURE,
        "Of a TIFF: first, all, N or N-M; several become a TIFF of several pages.",
        "--pages",
        value="first|all|N-M",
        choices=("first", "all"),
    ),
]
RawProfile = Annotated[
    str,
    _flag(
        PICTURE,
        "Colours that camera raw files are developed to: srgb, display-p3, adobe-rgb or prophoto.",
        "--raw-profile",
        value="NAME",
        choices=("srgb", "display-p3", "adobe-rgb", "prophoto"),
    ),
]
StripMetadata = Annotated[
    bool, _switch(PICTURE, "Leave EXIF and XMP out; the colour profile stays.", "--strip-metadata")
]
Dpi = Annotated[str, _flag(PICTURE, "keep, or dots an inch to write.", "--dpi", value="keep|N", choices=("keep",))]
MaxPixels = Annotated[
    float | None,
    _flag(PICTURE, "Largest input to open, in megapixels; without it, 178.9.", "--max-megapixels", value="NUMBER"),
]

Ray = Annotated[
    str | None,
    _flag(
        RUN,
        "Work on the nodes of a Ray cluster: auto (the one that runs here, else a local one), local, or host:port.",
        "--ray",
        value="ADDRESS",
        choices=("auto", "local"),
    ),
]
Workers = Annotated[
    int | None,
    _flag(RUN, "With --ray, workers at most; without it, one for each card, or for each CPU.", "--workers", value="N"),
]
Part = Annotated[
    str | None,
    _flag(RUN, "Only part 3 of 16 of the pictures, chosen by their names.", "--shard", value="3/16"),
]
DryRun = Annotated[bool, _switch(RUN, "Say what would be done; write nothing.", "--dry-run")]
AsJson = Annotated[bool, _switch(RUN, "One JSON object a line on stdout.", "--json")]
FailFast = Annotated[bool, _switch(RUN, "Stop at the first picture that fails.", "--fail-fast")]
Quiet = Annotated[bool, _switch(RUN, "Only errors.", "--quiet")]
Verbose = Annotated[bool, _switch(RUN, "More lines, and tracebacks.", "-v", "--verbose")]
NoProgress = Annotated[bool, _switch(RUN, "No bars.", "--no-progress")]
