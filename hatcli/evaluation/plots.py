"""Training logs and evaluation results as pictures, SVG and PNG, by matplotlib (the extra `plots`), imported late."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hatcli.atomic import replacing
from hatcli.errors import InputError, UsageError

Row = Mapping[str, Any]
Points = list[tuple[float, float]]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # Okabe and Ito's
DASHES = ("-", "--", "-.", ":")  # so that lines differ in gray too
GRAY = "#5f5f5f"
STYLE: dict[Any, Any] = {
    "font.size": 9,  # points, at the width of a page of text
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # names are names
    "svg.hashsalt": "hat",  # the same drawing gives the same bytes
}
PANELS = (("psnr", "validation PSNR (dB)"), ("loss", "training loss"), ("learning_rate", "learning rate"))
MANY = 150  # values of a line beyond which its running mean is drawn over it
DECADE = 10  # a loss that falls by more is drawn on a logarithmic axis
SHARE = 40  # the running mean is over this part of the values
READ_HINT = "give what `hat evaluate --json` prints, or a training log"


def read(path: Path) -> tuple[list[Row], list[Row]]:
    """The lines of a training log and the sets of an evaluation in a file; one of them is empty.

    A last line that is not whole, as in the log of a run that goes on, is left out.

    Raises:
        InputError: the file is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not text", hint=READ_HINT) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        whole = json.loads(text)
    except ValueError:
        return lines(text, name=path.name), []
    sets = whole.get("results", [whole]) if isinstance(whole, dict) else whole
    if isinstance(sets, list) and sets and all(isinstance(entry, dict) for entry in sets):
        if all(isinstance(entry.get("models"), dict) for entry in sets):
            return [], sets
        if all("step" in entry for entry in sets):
            return sets, []
    raise InputError(f"{path.name} holds neither results nor a training log", hint=READ_HINT)


def lines(text: str, *, name: str) -> list[Row]:
    """One JSON object a line."""
    found: list[Row] = []
    written = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(written, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
            if number == len(written) > 1 and not text.endswith("\n"):
                break
        if not isinstance(row, dict):
            raise InputError(f"{name}: line {number} is not a JSON object", hint=READ_HINT)
        found.append(row)
    if not found:
        raise InputError(f"{name} is empty", hint=READ_HINT)
    return found


def training_plot(runs: Mapping[str, Sequence[Row]], path: Path) -> tuple[Path, Path]:
    """Validation PSNR, loss and learning rate over steps, as far as logged, to `path` with .svg and .png added.

    Args:
        runs: name to lines of a log with `step`, `loss`, and on some `psnr` in dB, `learning_rate`, `seconds`.

    Raises:
        UsageError: matplotlib is not installed.
        InputError: a run has no loss, or none at a step.
    """
    drawn = {key: {name: points(rows, key) for name, rows in runs.items()} for key, _ in PANELS}
    for name, found in drawn["loss"].items():
        if not found:
            raise InputError(f"{name}: the training log holds no losses", hint="each line needs step and loss")
    panels = [(key, label) for key, label in PANELS if any(drawn[key].values())]
    panels = [entry for entry in panels if entry[0] != "learning_rate" or changes(drawn["learning_rate"])]
    with styled():
        figure = new_figure(width=6.5, height=0.8 + 1.9 * len(panels))
        every = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (key, label) in zip(every, panels, strict=True):
            looks = zip(drawn[key].items(), itertools.cycle(COLOURS), itertools.cycle(DASHES), strict=False)
            for (name, found), colour, dash in looks:
                draw_line(axes, found, colour=colour, dash=dash, label=run_label(name, runs[name]), dots=key == "psnr")
            values = [value for found in drawn[key].values() for _, value in found]
            if key == "loss" and max(values) > DECADE * min(values) > 0:
                scale_logarithmic(axes)
            axes.set_ylabel(label)
        every[-1].set_xlabel("step")
        every[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}"))
        if len(runs) > 1:
            handles, labels = every[panels.index(PANELS[1])].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(runs)))
        else:
            every[0].set_title(run_label(*next(iter(runs.items()))), loc="left", fontsize=10)
        return save(figure, path)


def draw_line(axes: Any, found: Points, *, colour: str, dash: str, label: str, dots: bool) -> None:
    """One run in one panel: each value, and where there are many their running mean."""
    if not found:
        return
    steps, values = zip(*found, strict=True)
    if len(found) <= MANY:
        marker = "o" if dots or len(found) == 1 else ""
        axes.plot(
            steps, values, color=colour, linestyle=dash, linewidth=1.4, marker=marker, markersize=3.5, label=label
        )
        return
    axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.3, zorder=2)
    axes.plot(steps, running_mean(values), color=colour, linestyle=dash, linewidth=1.5, label=label, zorder=3)


def running_mean(values: Sequence[float]) -> list[float]:
    """The mean of each value and its neighbours, over a fortieth of all of them; fewer at the ends."""
    reach = max(1, len(values) // (2 * SHARE))
    parts = [values[max(0, place - reach) : place + reach + 1] for place in range(len(values))]
    return [math.fsum(part) / len(part) for part in parts]


def scale_logarithmic(axes: Any) -> None:
    """A logarithmic axis whose numbers are plain."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def evaluation_plot(results: Row, path: Path) -> tuple[Path, Path]:
    """PSNR and SSIM of every picture as dots, means as lines, a row a model, to `path` with .svg and .png added.

    Args:
        results: a set of what `hat evaluate --json` prints: `{"set": NAME, "scale": 4, "models": {NAME: {"psnr_y": dB,
            "ssim_y": number, "images": {FILE: {...}}, "published": {...}}}}`; all but `psnr_y` may be missing.

    Raises:
        UsageError: matplotlib is not installed.
        InputError: there is no model with a finite PSNR.
    """
    models = {name: found for name, found in results.get("models", {}).items() if number(found, "psnr_y") is not None}
    if not models:
        raise InputError("the results hold no PSNR", hint=READ_HINT)
    panels = [("psnr_y", "PSNR on luma (dB)", 2), ("ssim_y", "SSIM on luma", 4)]
    panels = [panel for panel in panels if any(number(found, panel[0]) is not None for found in models.values())]
    with styled():
        figure = new_figure(width=6.5, height=1.0 + 0.42 * len(models))
        every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (key, label, places) in zip(every, panels, strict=True):
            for row, found in enumerate(models.values()):
                draw_scores(axes, row, found, key=key, places=places)
            axes.set_xlabel(label)
            axes.margins(x=0.08)
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        every[0].set_yticks(range(len(models)), [plain(name) for name in models])
        every[0].set_ylim(len(models) - 0.5, -0.6)
        heading = [str(results["set"])] if results.get("set") else []
        heading += [f"x{results['scale']}"] if results.get("scale") else []
        if heading:
            every[0].set_title(plain(" ".join(heading)), loc="left", fontsize=10)
        handles, labels = every[0].get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=3)
        return save(figure, path)


def draw_scores(axes: Any, row: int, found: Row, *, key: str, places: int) -> None:
    """One model in one panel: its pictures, its mean with the number above, what was published for it."""
    images = found.get("images")
    scores = [number(entry, key) for entry in images.values()] if isinstance(images, dict) else []
    dots = [score for score in scores if score is not None]
    axes.plot(dots, [row] * len(dots), "o", color=GRAY, alpha=0.45, markersize=4, markeredgewidth=0, label="a picture")
    theirs = number(found.get("published", {}), key)
    if theirs is not None:
        axes.plot([theirs], [row], "D", color=COLOURS[0], markerfacecolor="none", markersize=6, label="published mean")
    mean = number(found, key)
    if mean is not None:
        axes.plot([mean, mean], [row - 0.24, row + 0.24], color=COLOURS[1], linewidth=2.2, label="mean")
        axes.annotate(
            f"{mean:.{places}f}",
            (mean, row - 0.26),
            ha="center",
            va="bottom",
            fontsize=8,
            color=COLOURS[1],
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )


def points(rows: Sequence[Row], key: str) -> Points:
    """Step and value of the rows that have both, finite."""
    pairs = [(number(row, "step"), number(row, key)) for row in rows]
    return [(step, value) for step, value in pairs if step is not None and value is not None]


def number(found: Any, key: str) -> float | None:
    """A finite number of an object, or None."""
    value = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def changes(found: Mapping[str, Points]) -> bool:
    """Whether there is anything to see in these lines."""
    return len({value for line in found.values() for _, value in line}) > 1


def run_label(name: str, rows: Sequence[Row]) -> str:
    """A run's name and how long it took, where that was logged."""
    seconds = max((value for row in rows if (value := number(row, "seconds")) is not None), default=None)
    if seconds is None:
        return plain(name)
    minutes = round(seconds / 60)
    spent = f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    return f"{plain(name)} ({spent})"


def plain(name: str) -> str:
    """A name that a legend shows; a leading `_` would hide it."""
    return f"\N{ZERO WIDTH SPACE}{name}" if name.startswith("_") else name


def require() -> None:
    """Refuse to start without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("plots need matplotlib, which is not installed", hint="pip install 'hatcli[plots]'")


def styled() -> Any:
    """The look of all plots, for a `with` block."""
    require()
    from matplotlib import rc_context

    return rc_context(STYLE)


def new_figure(*, width: float, height: float) -> Any:
    """An empty figure in inches that belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> tuple[Path, Path]:
    """Both files, each whole or absent."""
    targets = outputs(path)
    for target in targets:
        content = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in letters the font lacks
            metadata = {"Date": None} if target.suffix == ".svg" else {}
            figure.savefig(content, format=target.suffix[1:], dpi=200, metadata=metadata)
        with replacing(target) as file:
            file.write(content.getvalue())
    return targets


def outputs(path: Path) -> tuple[Path, Path]:
    """The names of both files; dots in the stem stay."""
    return path.with_name(f"{path.name}.svg"), path.with_name(f"{path.name}.png")
