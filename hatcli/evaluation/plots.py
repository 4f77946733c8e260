"""Training logs and evaluation results as pictures, SVG and PNG, by matplotlib (the extra `plots`), imported late."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hatcli.atomic import replacing
from hatcli.errors import InputError, UsageError


def training_plot(rows: Sequence[Mapping[str, Any]], path: Path) -> tuple[Path, Path]:
    """Loss and, where it was validated, PSNR over steps, to `path` with the endings .svg and .png.

    Args:
        rows: lines of a training log with `step`, `loss` and, on some, `psnr` in dB; `seconds` is not drawn.

    Raises:
        UsageError: matplotlib is not installed.
        InputError: no row holds a step and a loss.
    """
    losses = [(row["step"], row["loss"]) for row in rows if row.get("step") is not None and row.get("loss") is not None]
    quality = [(row["step"], row["psnr"]) for row in rows if None not in (row.get("step"), row.get("psnr"))]
    if not losses:
        raise InputError("the training log holds no losses", hint="each line needs step and loss")
    figure = new_figure(width=7)
    axes = figure.add_subplot()
    axes.plot(*zip(*losses, strict=True), color="#7a7a7a", linewidth=1)
    axes.set(xlabel="step", ylabel="loss", yscale="log" if min(loss for _, loss in losses) > 0 else "linear")
    if quality:
        right = axes.twinx()
        right.plot(*zip(*quality, strict=True), color="#b4331f", marker="o", markersize=3)
        right.set_ylabel("PSNR (dB)", color="#b4331f")
    return save(figure, path)


def evaluation_plot(results: Mapping[str, Any], path: Path) -> tuple[Path, Path]:
    """PSNR of every picture as dots and the mean as a line, a row a model, to `path` with .svg and .png.

    Args:
        results: what `hat evaluate --json` prints: `{"models": {NAME: {"psnr_y": dB, "images": {FILE: {...}}}}}`.

    Raises:
        UsageError: matplotlib is not installed.
        InputError: there is no model with a finite PSNR.
    """
    models = {name: found for name, found in results.get("models", {}).items() if found.get("psnr_y") is not None}
    if not models:
        raise InputError("the results hold no PSNR", hint="give what `hat evaluate --json` prints")
    figure = new_figure(width=7, height=1.2 + 0.5 * len(models))
    axes = figure.add_subplot()
    for place, found in enumerate(models.values()):
        dots = [scores["psnr_y"] for scores in found.get("images", {}).values() if scores.get("psnr_y") is not None]
        axes.plot(dots, [place] * len(dots), "o", color="#7a7a7a", alpha=0.5, markersize=4)
        axes.plot([found["psnr_y"]] * 2, [place - 0.3, place + 0.3], color="#b4331f", linewidth=2)
    labels = [f"{name}  {found['psnr_y']:.2f}".replace("$", r"\$") for name, found in models.items()]
    axes.set_yticks(range(len(models)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("PSNR on luma (dB); line: mean")
    return save(figure, path)


def new_figure(*, width: float, height: float = 4) -> Any:
    """An empty figure in inches that belongs to no window."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("plots need matplotlib, which is not installed", hint="pip install 'hatcli[plots]'")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> tuple[Path, Path]:
    """Both files, each whole or absent."""
    targets = (path.with_suffix(".svg"), path.with_suffix(".png"))
    for target in targets:
        content = io.BytesIO()
        figure.savefig(content, format=target.suffix[1:], dpi=200)
        with replacing(target) as file:
            file.write(content.getvalue())
    return targets
