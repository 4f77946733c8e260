"""`hat attribute`: which input pixels models use, as maps, numbers and one page."""

from __future__ import annotations

import io
import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli import options
from hatcli.cli.compare import listed, open_one, write
from hatcli.cli.console import Bars, Console, command, show
from hatcli.errors import HatError, InputError, MemoryLimitError, UsageError

if TYPE_CHECKING:
    import torch
    from PIL import Image as Pillow

    from hatcli.attribution.lam import Attribution, Window
    from hatcli.attribution.lam import Path as BlurPath
    from hatcli.attribution.page import Section

Image = Annotated[Path, typer.Argument(help="The small picture; 64 x 64 in the paper.", metavar="IMAGE")]
At = Annotated[
    str | None,
    typer.Option("--at", help="X,Y of the window's top left corner in output pixels. Default: the strongest edge."),
]
Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder for maps, page and numbers. Default: IMAGE_attribution.",
                 rich_help_panel=options.FILES, show_default=False),
]  # fmt: skip
Models = Annotated[
    list[str] | None,
    typer.Option("-n", "-m", "--model", "--models", help="Names or files; several with commas.",
                 rich_help_panel=options.MODEL, show_default="auto"),
]  # fmt: skip
Regions = Annotated[int, typer.Option("--regions", help="Mean index over this many more windows.", min=0)]
Features = Annotated[bool, typer.Option("--features", help="Also the maps after each group and their blocking.")]
Factor = Annotated[int, typer.Option("-s", "--scale", help="Native factor of the models.", min=1, max=16)]

CPU_BATCH_BYTES = 1 << 30


@command
def attribute(
    image: Image,
    at: At = None,
    window: Annotated[int, typer.Option("--window", help="Side of the window in output pixels.", min=1)] = 16,
    steps: Annotated[int, typer.Option("--steps", help="Steps along the blurring path.", min=1)] = 50,
    regions: Regions = 0,
    features: Features = False,
    model: Models = None,
    scale: Factor = 4,
    output: Folder = None,
    overwrite: options.Overwrite = False,
    offline: options.Offline = False,
    device: options.Device = "auto",
    cpu: options.Cpu = False,
    precision: Annotated[str, typer.Option("--precision", help="fp32 or fp64.", rich_help_panel="Speed and memory")] = (
        "fp32"
    ),
    threads: options.Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers on stdout.", rich_help_panel=options.RUN)] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Show which input pixels a window of the result is made of: LAM and diffusion index.

    \b
    hat attribute photo64.png --at 110,150 -n hat-t,hat -o seen
    """
    import torch

    from hatcli.attribution.lam import Path as BlurPath
    from hatcli.attribution.lam import Window
    from hatcli.attribution.page import page
    from hatcli.attribution.regions import drawn, strongest
    from hatcli.cli.upscale import choose_device
    from hatcli.image import decode
    from hatcli.image.picture import to_tensor

    dtypes = {"fp32": torch.float32, "fp64": torch.float64}
    if precision not in dtypes:
        raise UsageError(f"attribution in {precision} would be mostly rounding", hint="use fp32 or fp64")
    corner = place(at)
    if not image.exists():
        raise UsageError(f"there is no file {image}")
    folder = output or image.with_name(f"{image.stem}_attribution")
    prepare(folder, overwrite=overwrite)
    console = Console(quiet=quiet, verbose=verbose, progress=not no_progress)
    values = to_tensor(decode.read(image).pixels).to(dtypes[precision])
    chosen = Window(corner[1], corner[0], window) if corner else strongest(values, scale=scale, side=window)
    more = drawn(values, regions, scale=scale, side=window) if regions else []
    choice = choose_device("cpu" if cpu else device, "fp32", threads)
    names = listed(model, default=["auto"])
    opened = [open_one(name, scale, console, offline=offline) for name in names]
    for entry in opened:
        if scale not in entry:
            raise UsageError(f"{entry.name} has no x{scale}", hint="give its own factor with --scale")
    sections, facts = [], {}
    with console.bars(len(opened) * (1 + len(more))) as bars:
        for number, entry in enumerate(opened):
            label = entry.name if entry.name not in facts else f"{entry.name}-{number + 1}"
            network = entry[scale].to(choice.device, dtypes[precision]).eval().requires_grad_(False)
            subject = Subject(label, network, values, scale, choice.device, BlurPath(steps=steps), bars)
            section, found = subject.look(chosen, more, features=features)
            sections.append(section)
            facts[label] = found
            save_pictures(section, folder)
    first = next(iter(facts.values()))
    settings = {"image": image.name, "scale": scale, "steps": steps, "precision": precision,
                "window": {"x": chosen.left, "y": chosen.top, "side": window}}  # fmt: skip
    text = json.dumps(
        {"diffusion_index": first["diffusion_index"], "gini": first["gini"], **settings, "models": facts}, indent=2
    )
    write(folder / "attribution.json", text.encode())
    write(folder / "index.html", page(sections, title=f"{show(image.name)} x{scale}").encode("utf-8"))
    if as_json:
        typer.echo(text)
    else:
        for label, found in facts.items():
            typer.echo(f"{show(label)}  diffusion index {found['diffusion_index']:.2f}{mean_text(found)}")
        console.say(f"see {show(folder / 'index.html')}")


class Subject:
    """A network and a picture under study."""

    def __init__(
        self, name: str, network: torch.nn.Module, image: torch.Tensor, scale: int, device: torch.device,
        path: BlurPath, bars: Bars,
    ) -> None:  # fmt: skip
        self.name, self.network, self.image, self.scale = name, network, image, scale
        self.device, self.path, self.bars = device, path, bars

    def look(self, chosen: Window, more: list[Window], *, features: bool) -> tuple[Section, dict[str, Any]]:
        """All that is shown and said of this network."""
        from hatcli.attribution.page import Section
        from hatcli.attribution.regions import confidence

        result = self.attribution(chosen)
        facts: dict[str, Any] = {"diffusion_index": result.diffusion_index, "gini": result.gini}
        notes: list[str] = []
        indices = []
        for window in more:
            try:
                indices.append(self.attribution(window).diffusion_index)
            except InputError:  # a flat window has no index; how many had one is said
                continue
        if indices:
            mean, half = confidence(indices)
            facts["regions"] = {"count": len(indices), "mean": mean, "half_width_95": half, "values": indices}
            notes.append(f"over {len(indices)} windows{mean_text(facts)}")
        pictures = self.pictures(result)
        if features:
            facts["blocking_index_db"] = []
            for number, (picture, index) in enumerate(self.features(), start=1):
                facts["blocking_index_db"].append(index)
                pictures[f"group {number}" + ("" if index is None else f": blocking {index:+.2f} dB")] = picture
        return Section(self.name, result.diffusion_index, tuple(notes), pictures), facts

    def attribution(self, window: Window) -> Attribution:
        """One window, with progress shown."""
        from hatcli.attribution.lam import Progress, attribute
        from hatcli.upscaling.device import free_memory
        from hatcli.upscaling.memory import is_out_of_memory

        self.bars.picture(self.name)
        budget = free_memory(self.device) // 2
        if self.device.type == "cpu":  # larger batches are no faster there
            budget = min(budget, CPU_BATCH_BYTES)
        running: Generator[Progress, None, Attribution] = attribute(
            self.network, self.image, window, path=self.path, budget=budget, device=self.device
        )
        while True:
            try:
                progress = next(running)
            except StopIteration as finished:
                self.bars.finished()
                result: Attribution = finished.value
                return result
            except HatError:
                self.bars.finished()
                raise
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                raise MemoryLimitError(
                    f"out of memory attributing with {self.name}", hint="use a smaller picture, such as 64 x 64"
                ) from error
            self.bars.tiles(progress.done / progress.total, 1, 1)

    def pictures(self, result: Attribution) -> dict[str, Pillow.Image]:
        """Caption to picture: where the window is, saliency, density, both over the picture."""
        from PIL import Image as Pillow

        from hatcli.attribution import maps
        from hatcli.image.picture import from_tensor

        window, saliency = result.window, result.saliency.numpy()
        small = Pillow.fromarray(from_tensor(self.image, bits=8))
        large = small.resize((small.width * self.scale, small.height * self.scale), Pillow.Resampling.BICUBIC)
        marked = maps.outlined(large, top=window.top, left=window.left, side=window.side)
        salient = maps.enlarged(maps.reds(saliency), self.scale)
        dense = maps.enlarged(maps.reds(maps.density(saliency)), self.scale, smooth=True)
        return {
            "window": marked,
            "saliency": salient,
            "density": dense,
            "overlay": maps.outlined(maps.overlay(dense, large), top=window.top, left=window.left, side=window.side),
        }

    def features(self) -> list[tuple[Pillow.Image, float | None]]:
        """Each group's map and its blocking index in dB, None where it has none."""
        import math

        from PIL import Image as Pillow

        from hatcli.attribution.features import as_gray, blocking_index, feature_maps

        config = getattr(self.network, "config", None)
        inner = getattr(self.network, "network", self.network)
        side = int(config.window_size if config is not None else getattr(inner, "window_size", 8))
        found: list[tuple[Pillow.Image, float | None]] = []
        for entry in feature_maps(self.network, self.image.to(self.device)):
            try:
                index: float | None = blocking_index(entry, window=side)
            except ValueError:  # one window, or a constant map
                index = None
            picture = Pillow.fromarray(as_gray(entry))
            found.append((picture, index if index is not None and math.isfinite(index) else None))
        return found


def place(text: str | None) -> tuple[int, int] | None:
    """`--at` to x and y."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise UsageError(f"--at {text} is not a place", hint="write it as --at 110,150: x, then y, in output pixels")
    return int(parts[0]), int(parts[1])


def prepare(folder: Path, *, overwrite: bool) -> None:
    """Make the folder, or refuse one that holds results."""
    from hatcli.atomic import write_error

    if (folder / "index.html").exists() and not overwrite:
        raise UsageError(f"{folder} holds results already", hint="add --overwrite, or name another with -o")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"{folder} is a file", hint="name a folder with -o") from None
    except OSError as error:
        raise write_error(folder, error) from error


def save_pictures(section: Section, folder: Path) -> None:
    """Every picture as PNG: model and caption."""
    stem = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in section.name)
    for caption, picture in section.pictures.items():
        file = io.BytesIO()
        picture.save(file, "PNG")
        write(folder / f"{stem}_{caption.split(':')[0].replace(' ', '_')}.png", file.getvalue())


def mean_text(facts: dict[str, Any]) -> str:
    """`, mean 12.3 ± 1.2 (95 %)` where many windows were looked at."""
    if "regions" not in facts:
        return ""
    found = facts["regions"]
    half = "" if found["half_width_95"] is None else f" ± {found['half_width_95']:.2f} (95 %)"
    return f", mean {found['mean']:.2f}{half}"
