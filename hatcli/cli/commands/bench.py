"""`hat bench`: seconds, speed and memory of the networks here, against the machine's own measured limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import command, show
from hatcli.cli.shared.factors import whole_factor
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.option_groups import Talk
from hatcli.errors import UsageError

if TYPE_CHECKING:
    pass

Models = Annotated[
    str,
    typer.Option("-n", "--models", help="hat-t, hat-s, hat, hat-l; weights are random.", metavar="NAME,..."),
]
Sides = Annotated[str, typer.Option("--sizes", help="Sides of square inputs in pixels.", metavar="N,...")]
NativeScale = Annotated[str, typer.Option("-s", "--scale", help="Native factor.", metavar="2|3|4")]
Repeats = Annotated[int, typer.Option("--repeats", help="Runs of each; medians are shown.", metavar="N")]
Reference = Annotated[bool, typer.Option("--reference/--no-reference", help="Time spandrel's HAT too.", metavar="")]
Precision = Annotated[str, typer.Option("--precision", help="Of the networks.", metavar="fp32|bf16|both")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", metavar="")]
Markdown = Annotated[bool, typer.Option("--markdown", help="A Markdown table on stdout.", metavar="")]


@command
@grouped
def bench(
    models: Models = "hat-t,hat",
    sizes: Sides = "64,128,256",
    scale: NativeScale = "4",
    repeats: Repeats = 3,
    reference: Reference = True,
    device: options.Device = "auto",
    precision: Precision = "fp32",
    threads: options.Threads = None,
    as_json: AsJson = False,
    markdown: Markdown = False,
    *,
    talk: Talk,
) -> None:
    """Measure speed and memory on this machine, side by side with the machine's limit and the reference network.

    Weights are random, since speed does not depend on them: nothing is downloaded.
    """
    from hatcli.cli.shared.devices import choose_device
    from hatcli.cli.views.speeds import raced, tell
    from hatcli.evaluation.contest import contestants, known_shapes
    from hatcli.evaluation.speed import measure_limits

    if precision not in ("fp32", "bf16", "both"):
        raise UsageError(f"there is no precision {precision}", hint="use fp32, bf16 or both")
    if repeats < 1:
        raise UsageError("--repeats must be at least 1", hint="3 gives a median")
    sides = numbers(sizes)
    factor = whole_factor(scale, least=2, most=4)
    shapes = known_shapes(models, factor)
    console = talk.console()
    choice = choose_device(device, "fp32", threads)
    limits = measure_limits(choice.device)
    said = f"{', '.join(shapes)} x{factor} at {', '.join(map(str, sides))} pixels"
    console.say(f"running {show(said)}, {repeats} times each on {choice.device}")
    rows: list[dict[str, Any]] = []
    with console.bars(len(shapes) * len(sides)) as bars:
        for shape in shapes:
            entrants = contestants(shape, factor, precision=precision, device=choice.device, reference=reference)
            for side in sides:
                rows += raced(entrants, f"{shape} x{factor}", side, bars, device=choice.device, repeats=repeats)
    tell(rows, limits, str(choice.device), as_json=as_json, markdown=markdown)


def numbers(text: str) -> list[int]:
    """`64,128` to integers."""
    try:
        values = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise UsageError(f"{text!r} is not a list of sizes", hint="write it as 64,128,256")
    return values
