"""`hat plot`: training logs and evaluation results as SVG and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import command, print_result, show
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.evaluation.plots import Row

Files = Annotated[
    list[Path],
    typer.Argument(help="Results of `hat evaluate --json`, logs of `hat train`; all logs go into one plot.",
                   metavar="FILES...", show_default=False),
]  # fmt: skip
Folder = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder for the plots. Default: beside the first file.",
                 rich_help_panel=options.FILES, show_default=False, metavar="FOLDER"),
]  # fmt: skip
ENDINGS = (".log.jsonl", ".jsonl", ".json", ".log")


@command
def plot(
    files: Files,
    output: Folder = None,
    overwrite: options.Overwrite = False,
    verbose: options.Verbose = False,
) -> None:
    """Plot training logs and evaluation results as SVG and PNG.

    \b
    hat evaluate Set5 --scale 4 -n bicubic,hat-t --json > set5.json
    hat plot set5.json hat-t.log.jsonl -o plots
    """
    from hatcli.atomic import write_error
    from hatcli.evaluation import plots

    plots.require()
    missing = next((path for path in files if not path.exists()), None)
    if missing is not None:
        raise UsageError(
            f"there is no file {missing}", hint="give what `hat evaluate --json` printed, or a training log"
        )
    folder = output or files[0].parent
    runs, sets = gathered(files)
    targets = [folder / name for name in [*([training_name(list(runs))] if runs else []), *sets]]
    for target in [file for path in targets for file in plots.outputs(path)]:
        if target.exists() and not overwrite:
            raise UsageError(f"{target} exists already", hint="add --overwrite, or name another folder with -o")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    written = [*plots.training_plot(runs, targets[0])] if runs else []
    for name, results in sets.items():
        written += plots.evaluation_plot(results, folder / name)
    for path in written:
        print_result(show(path))


def gathered(files: list[Path]) -> tuple[dict[str, list[Row]], dict[str, Row]]:
    """Logs by the name of their run, and sets of results by the name of their plot."""
    from hatcli.cli.shared.model_names import told_apart
    from hatcli.evaluation import plots

    logs: list[tuple[str, list[Row]]] = []
    sets: list[tuple[str, Row]] = []
    for path in files:
        rows, found = plots.read(path)
        if rows:
            logs.append((stem(path), rows))
        for results in found:
            sets.append((stem(path) if len(found) == 1 else set_name(path, results), results))
    return dict(told_apart(logs)), dict(told_apart(sets))


def stem(path: Path) -> str:
    """The name without its ending; a log called only `log` goes by its folder."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")
    name = path.name[: len(path.name) - len(ending)] or path.name
    return path.resolve().parent.name or name if name == "log" else name


def set_name(path: Path, results: Row) -> str:
    """The plot of one of several sets: file, set and scale."""
    said = f"{results.get('set', 'set')}_x{results.get('scale', '')}"
    return f"{stem(path)}_" + "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in said)


def training_name(runs: list[str]) -> str:
    """The plot of the logs: of one by its name."""
    return f"{runs[0]}_training" if len(runs) == 1 else "training"
