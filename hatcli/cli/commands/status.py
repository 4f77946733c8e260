"""`hat status`: how far the runs over a folder are; reads its journal and writes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.cli.shared.console import command, print_result, show
from hatcli.cli.shared.tables import hanging
from hatcli.errors import HatError

if TYPE_CHECKING:
    from hatcli.batch.status import Status

_NAMED = 20  # of missing results


@command
def status(
    output: Annotated[str, typer.Argument(help="The folder, or place in a store, that results go to.", metavar="OUT")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", metavar="")] = False,
) -> None:
    """Say what of a folder is done, failed and missing, while runs go or after them; exit code 0 if all is done."""
    from hatcli.batch.status import status_of

    told = status_of(output)
    if as_json:
        print_result(json.dumps(as_document(told)))
    else:
        for line in in_words(told):
            print_result(line)
    if not told.is_complete:
        raise typer.Exit(1)


def as_document(told: Status) -> dict[str, Any]:
    """For machines."""
    return {
        "done": told.done,
        "changed": len(told.changed),
        "passed_over": told.passed,
        "failed": len(told.failed),
        "missing": len(told.missing),
        "not_begun": told.not_begun,
        "running": [str(shard) for shard in told.running],
        "pictures_per_second": None if told.rate is None else round(told.rate, 4),
        "seconds_left": None if told.seconds_left is None else round(told.seconds_left, 1),
        "failures": [asdict(failure) for failure in told.failed],
        "missing_outputs": told.missing,
        "changed_outputs": told.changed,
    }


def in_words(told: Status) -> list[str]:
    """For people."""
    from hatcli.cli.views.people import prefixed

    counts = {
        "done": str(told.done),
        "changed": f"{len(told.changed)}, by somebody since they were made" if told.changed else "",
        "passed over": str(told.passed or ""),
        "failed": str(len(told.failed)),
        "missing": str(len(told.missing)),
        "not begun": f"{told.not_begun}, in parts that no run has taken yet" if told.not_begun else "",
        "running": _running(told),
        "rate": "" if told.rate is None else f"{told.rate:.3g} pictures a second",
        "time left": _time_left(told),
    }
    lines = [hanging(name, text, indent=13) for name, text in counts.items() if text]
    lines += [f"failed: {show(prefixed(HatError(failure.error), failure.source).message)}" for failure in told.failed]
    lines += [f"missing: {show(name)}" for name in told.missing[:_NAMED]]
    more = len(told.missing) - _NAMED
    return [*lines, f"and {more} more; --json names all"] if more > 0 else lines


def _running(told: Status) -> str:
    if not told.running:
        return "nothing" if told.left else ""
    return "one run" if told.running[0].is_whole else f"part {', '.join(map(str, told.running))}"


def _time_left(told: Status) -> str:
    from hatcli.cli.views.people import length

    if not told.left or told.seconds_left is None:
        return ""
    return f"about {length(told.seconds_left)}" + ("" if told.running else ", once it runs again")
