"""`hat bench`: seconds, speed and memory of the networks here, against the machine's own measured limit."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.evaluation.speed import Contestant, Limits, Timing

Models = Annotated[str, typer.Option("-n", "--models", help="Shapes: hat-t, hat-s, hat, hat-l; weights are random.")]
Sides = Annotated[str, typer.Option("--sizes", help="Sides of square inputs in pixels.")]
NativeScale = Annotated[int, typer.Option("-s", "--scale", help="Native factor: 2, 3 or 4.")]
Repeats = Annotated[int, typer.Option("--repeats", help="Runs of each; medians are shown.")]
Reference = Annotated[bool, typer.Option("--reference/--no-reference", help="Time spandrel's HAT too, if installed.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="A Markdown table on stdout.")]


@command
def bench(
    models: Models = "hat-t,hat",
    sizes: Sides = "64,128,256",
    scale: NativeScale = 4,
    repeats: Repeats = 3,
    reference: Reference = True,
    device: options.Device = "auto",
    precision: Annotated[str, typer.Option("--precision", help="fp32, bf16 or both.")] = "fp32",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    markdown: Markdown = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure speed and memory on this machine, side by side with the machine's limit and the reference network.

    Weights are random, since speed does not depend on them: nothing is downloaded.
    """
    from hatcli.cli.shared.devices import choose_device
    from hatcli.evaluation.speed import Timing, compete, measure_limits

    if precision not in ("fp32", "bf16", "both"):
        raise UsageError(f"there is no precision {precision!r}", hint="use fp32, bf16 or both")
    if repeats < 1:
        raise UsageError("--repeats must be at least 1")
    sides = numbers(sizes)
    console = Console(quiet=quiet)
    choice = choose_device(device, "fp32", threads)
    limits = measure_limits(choice.device)
    rows: list[dict[str, Any]] = []
    for shape in [name.strip() for name in models.split(",") if name.strip()]:
        entrants = contestants(shape, scale, precision=precision, device=choice.device, reference=reference)
        for side in sides:
            for event in compete(entrants, side, device=choice.device, repeats=repeats):
                if isinstance(event, Timing):
                    rows.append(row(shape, scale, event))
                else:
                    console.say(f"running {event} at {side} x {side}")
    show(rows, limits, str(choice.device), as_json=as_json, markdown=markdown)


def numbers(text: str) -> list[int]:
    """`64,128` to integers."""
    try:
        values = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise UsageError(f"{text!r} is not a list of sizes", hint="write it as 64,128,256")
    return values


def contestants(shape: str, scale: int, *, precision: str, device: Any, reference: bool) -> list[Contestant]:
    """The reference (if wanted and installed) and this project's network in each precision, with the same weights."""
    import torch

    from hatcli.evaluation.reference import reference_network
    from hatcli.evaluation.speed import Contestant, inference
    from hatcli.network.config import preset
    from hatcli.network.hat import HAT
    from hatcli.upscaling.device import PRECISIONS

    config = preset(shape, upscale=scale)
    work = config.multiply_adds()
    network = HAT(config).eval()
    found: list[Contestant] = []
    other = reference_network(config) if reference else None
    if other is not None:
        network.load_state_dict(other.state_dict())
        found.append(Contestant("reference", inference(other.to(device)), work, torch.float32))
    for name, dtype in PRECISIONS.items():
        if precision in (name, "both"):
            copy = HAT(config).eval()
            copy.load_state_dict(network.state_dict())
            copy.to(device, dtype, memory_format=torch.channels_last)
            found.append(Contestant(f"hat {name}", inference(copy), work, dtype))
    return found


def row(shape: str, scale: int, timing: Timing) -> dict[str, Any]:
    """One line of the table, as JSON values."""
    return {
        "model": f"{shape} x{scale}",
        "network": timing.name,
        "side": timing.side,
        "seconds": round(timing.seconds, 4),
        "megapixels_per_second": round(timing.megapixels_per_second, 4),
        "gflops": None if timing.gflops is None else round(timing.gflops, 1),
        "share_of_limit": None if timing.share is None else round(timing.share, 3),
        "peak_bytes": timing.peak,
        "times_the_reference": None if timing.ratio is None else round(timing.ratio, 2),
    }


def show(rows: list[dict[str, Any]], limits: Limits, device: str, *, as_json: bool, markdown: bool) -> None:
    """The table on stdout in the wanted form."""
    if as_json:
        facts = {
            "device": device,
            "limits": {"fp32": limits.fp32, "bf16": limits.bf16, "bandwidth": limits.bandwidth},
            "results": rows,
        }
        typer.echo(json.dumps(facts, indent=1))
        return
    head = ("model", "network", "input", "seconds", "MP/s", "GFLOP/s", "of limit", "peak MB", "speed-up")
    lines = [head, *(cells(entry) for entry in rows)]
    if markdown:
        lines.insert(1, ("---",) * len(head))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        typer.echo(f"| {' | '.join(padded)} |" if markdown else "  ".join(padded).rstrip())
    sys.stdout.flush()
    bf16 = "no bf16 in hardware" if limits.bf16 is None else f"{limits.bf16:.0f} GFLOP/s bf16"
    typer.echo(f"\nlimit of {device}: {limits.fp32:.0f} GFLOP/s fp32, {bf16}, {limits.bandwidth:.0f} GB/s")


def cells(entry: dict[str, Any]) -> tuple[str, ...]:
    """One row for people."""
    share, ratio = entry["share_of_limit"], entry["times_the_reference"]
    return (
        entry["model"],
        entry["network"],
        f"{entry['side']} x {entry['side']}",
        f"{entry['seconds']:.2f}",
        f"{entry['megapixels_per_second']:.3f}",
        "" if entry["gflops"] is None else f"{entry['gflops']:.0f}",
        "" if share is None else f"{share:.0%}",
        f"{entry['peak_bytes'] / 1e6:.0f}",
        "" if ratio is None else f"{ratio:.2f} x",
    )
