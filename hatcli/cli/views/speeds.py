"""Networks racing in `hat bench`, with bars, and the table of their speeds for people or as JSON."""

from __future__ import annotations

import json
from typing import Any

import torch

from hatcli.cli.shared.console import Bars, print_result
from hatcli.evaluation.speed import Contestant, Limits, Timing, compete


def raced(
    entrants: list[Contestant], model: str, side: int, bars: Bars, *, device: torch.device, repeats: int
) -> list[dict[str, Any]]:
    """A row for each contestant at one size."""
    bars.picture(f"{model} {side} x {side}")
    rows, begun = [], 0
    for event in compete(entrants, side, device=device, repeats=repeats):
        if isinstance(event, Timing):
            rows.append(row(model, event))
        else:
            bars.tiles(begun / (len(entrants) * repeats), 1, 1)
            begun += 1
    bars.finished()
    return rows


def row(model: str, timing: Timing) -> dict[str, Any]:
    """One line of the table, as JSON values."""
    return {
        "model": model,
        "network": timing.name,
        "side": timing.side,
        "seconds": round(timing.seconds, 4),
        "megapixels_per_second": round(timing.megapixels_per_second, 4),
        "gflops": None if timing.gflops is None else round(timing.gflops, 1),
        "share_of_limit": None if timing.share is None else round(timing.share, 3),
        "peak_bytes": timing.peak,
        "times_the_reference": None if timing.ratio is None else round(timing.ratio, 2),
    }


def tell(rows: list[dict[str, Any]], limits: Limits, device: str, *, as_json: bool, markdown: bool) -> None:
    """The table on stdout in the wanted form."""
    if as_json:
        facts = {
            "device": device,
            "limits": {"fp32": limits.fp32, "bf16": limits.bf16, "bandwidth": limits.bandwidth},
            "results": rows,
        }
        print_result(json.dumps(facts, indent=1))
        return
    head = ("model", "network", "input", "seconds", "MP/s", "GFLOP/s", "of limit", "peak MB", "speed-up")
    lines = [head, *(cells(entry) for entry in rows)]
    if markdown:
        lines.insert(1, ("---",) * len(head))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print_result(f"| {' | '.join(padded)} |" if markdown else "  ".join(padded).rstrip())
    bf16 = "no bf16 in hardware" if limits.bf16 is None else f"{limits.bf16:.0f} GFLOP/s bf16"
    print_result(f"\nlimit of {device}: {limits.fp32:.0f} GFLOP/s fp32, {bf16}, {limits.bandwidth:.0f} GB/s")


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
