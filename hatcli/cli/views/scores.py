"""An evaluation with bars while it runs, and its scores on stdout: a table for people, Markdown, CSV or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hatcli.cli.shared.console import Console, print_result, show
from hatcli.cli.views.enlarging import through_upscaler
from hatcli.evaluation import card, tables
from hatcli.evaluation.benchmarks import Benchmark, ResultFolder
from hatcli.evaluation.datasets import Gray
from hatcli.evaluation.tables import Report, Table
from hatcli.upscaling.upscaler import Upscaler


def scored_with_bars(
    benchmark: Benchmark, upscalers: Mapping[str, Upscaler], console: Console, *, gray: Gray, kept: ResultFolder | None
) -> Report:
    """Score one set; results are kept as pictures if there is a folder for them."""
    report = Report(benchmark.dataset, benchmark.scale)
    truth = card.drawn(benchmark.scale) if benchmark.is_card else None
    with console.bars(len(benchmark.pictures) * (1 + len(upscalers))) as bars:
        models = {name: through_upscaler(one, name, benchmark.scale, bars) for name, one in upscalers.items()}
        for result in benchmark.score(models, gray=gray):
            report.add(result)
            if truth is not None:
                report.card[result.model] = card.measure(result.pixels, truth, scale=benchmark.scale)
            if kept is not None:
                kept.save(benchmark, result)
            bars.finished()
            said = f"{result.scores.psnr_y:.2f} dB {result.seconds:.2f} s"
            console.detail(f"{show(result.image)} {show(result.model)} {said}")
    return report


def text_of(reports: Sequence[Report], form: str, *, paper: bool, facts: Mapping[str, Any]) -> str:
    """The results as `json`, `csv`, `markdown` or, for people, `table`.

    Args:
        paper: set published numbers beside ours.
        facts: how it was run, for JSON.
    """
    if form == "json":
        return json.dumps(tables.document(reports, facts), indent=2)
    if form == "csv":
        return tables.comma_separated(reports)
    render = tables.markdown if form == "markdown" else tables.plain_text
    blocks = [render(printable(tables.paper_table(reports) if paper else tables.score_table(reports)))]
    if paper and (found := tables.sources(reports)):
        blocks.append("\n".join(["Published numbers:", "", *(f"- {show(line)}" for line in found)]))
    if any(report.card for report in reports):
        blocks.append(render(printable(tables.card_table(reports))))
    return "\n\n".join(blocks)


def printable(table: Table) -> Table:
    """The table with every cell safe to print."""
    return replace(table, rows=tuple(tuple(show(cell) for cell in row) for row in table.rows))


def write_out(text: str) -> None:
    """Lines on stdout, whatever its encoding."""
    encoding = sys.stdout.encoding or "utf-8"
    print_result(text.encode(encoding, "backslashreplace").decode(encoding))
