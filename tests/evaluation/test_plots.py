"""Plots of training logs and evaluation results: what is drawn, what is read, what is refused."""

from __future__ import annotations

import importlib.util
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hatcli.cli.commands.plot import plot
from hatcli.errors import UsageError
from hatcli.evaluation import plots

app = typer.Typer()
app.command()(plot)
app.command("other")(lambda: None)
needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")
LOG: list[dict[str, Any]] = [
    {"step": step, "loss": 1 / step, "psnr": 20 + step if step % 2 else None} for step in range(1, 9)
]
SET = {
    "set": "Set5",
    "scale": 4,
    "models": {
        "$a_1$": {
            "psnr_y": 30.0,
            "ssim_y": 0.9,
            "images": {"x": {"psnr_y": 29.0, "ssim_y": 0.8}, "y": {"psnr_y": None}},
        },
        "_b": {"psnr_y": 28.0, "images": {}, "published": {"psnr_y": 28.5}},
    },
}


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["plot", *map(str, arguments)])


def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures drawn from here on, instead of files."""
    figures: list[Any] = []

    def keep(figure: Any, path: Path) -> tuple[Path, Path]:
        figures.append(figure)
        return path, path

    monkeypatch.setattr(plots, "save", keep)
    return figures


def written(path: Path, content: Any, *, as_lines: bool = False) -> Path:
    path.write_text("\n".join(map(json.dumps, content)) + "\n" if as_lines else json.dumps(content), encoding="utf-8")
    return path


@needs_matplotlib
def test_logs_and_results_become_svg_and_png_of_a_pages_width(tmp_path: Path) -> None:
    log = written(tmp_path / "hat-t.log.jsonl", LOG, as_lines=True)
    results = written(tmp_path / "set5.json", SET)
    answer = run(log, results, "-o", tmp_path / "plots")
    assert answer.exit_code == 0, answer.output
    names = ["hat-t_training.svg", "hat-t_training.png", "set5.svg", "set5.png"]
    assert [Path(line).name for line in answer.stdout.splitlines()] == names
    for name in names:
        if name.endswith(".svg"):
            assert ElementTree.parse(tmp_path / "plots" / name).getroot().tag.endswith("svg")
        else:
            with Image.open(tmp_path / "plots" / name) as image:
                assert image.width == 1300
    assert run(log, "-o", tmp_path / "plots").exit_code == 2
    assert run(log, "-o", tmp_path / "plots", "--overwrite").exit_code == 0


@needs_matplotlib
def test_the_same_drawing_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (plots.evaluation_plot(SET, tmp_path / name)[0].read_bytes() for name in "ab")
    assert first == second


@needs_matplotlib
def test_several_logs_share_a_plot_and_several_sets_have_one_each(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "log.jsonl", LOG, as_lines=True)
    written(tmp_path / "all.json", {"results": [SET, {**SET, "set": "a/b"}]})
    answer = run(tmp_path / "one" / "log.jsonl", tmp_path / "two" / "log.jsonl", tmp_path / "all.json", "-o", tmp_path)
    assert answer.exit_code == 0, answer.output
    names = {path.name for path in tmp_path.glob("*.svg")}
    assert names == {"training.svg", "all_Set5_x4.svg", "all_a_b_x4.svg"}


@needs_matplotlib
def test_what_is_drawn_is_what_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = kept(monkeypatch)
    rows = [{**row, "learning_rate": row["step"] / 100, "seconds": 600 * row["step"]} for row in LOG]
    plots.training_plot({"$run$": [*rows, {"step": 9, "loss": float("nan")}]}, tmp_path / "t")
    quality, loss, rate = figures[0].axes
    assert quality.lines[0].get_xydata().tolist() == [[1, 21], [3, 23], [5, 25], [7, 27]]
    assert loss.lines[0].get_xydata().tolist() == [[row["step"], row["loss"]] for row in LOG]
    assert len(rate.lines[0].get_xydata()) == 8
    assert [axes.get_ylabel() for axes in figures[0].axes] == [label for _, label in plots.PANELS]
    assert quality.get_title(loc="left") == "$run$ (80 min)"
    plots.evaluation_plot(SET, tmp_path / "e")
    decibels, similarity = figures[1].axes
    assert [line.get_xdata().tolist() for line in decibels.lines] == [[29], [30, 30], [], [28.5], [28, 28]]
    assert [text.get_text() for text in decibels.texts + similarity.texts] == ["30.00", "28.00", "0.9000"]
    assert [label.get_text() for label in decibels.get_yticklabels()] == ["$a_1$", "\N{ZERO WIDTH SPACE}_b"]


@needs_matplotlib
def test_a_log_of_losses_alone_has_one_panel_and_a_constant_rate_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = kept(monkeypatch)
    plots.training_plot({"a": [{"step": 1, "loss": -1, "learning_rate": 1}, {"step": 2, "loss": 0}]}, tmp_path / "t")
    assert len(figures[0].axes) == 1
    assert figures[0].axes[0].get_yscale() == "linear"


def test_many_values_get_a_running_mean_that_keeps_a_line_straight() -> None:
    values = [2.0 * step for step in range(400)]
    smoothed = plots.running_mean(values)
    assert smoothed[50:350] == pytest.approx(values[50:350])
    assert len(smoothed) == 400
    assert plots.running_mean([0.0, 3.0, 0.0]) == pytest.approx([1.5, 1.0, 1.5])


def test_the_line_a_run_is_writing_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(LOG[0]) + "\n" + '{"step": 2, "lo', encoding="utf-8")
    assert plots.read(path) == ([LOG[0]], [])
    path.write_text(json.dumps(LOG[0]), encoding="utf-8")
    assert plots.read(path) == ([LOG[0]], [])


@needs_matplotlib
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "is not text"),
        (b"[1, 2]", "neither"),
        (b'{"a": 1}', "neither"),
        (b'{"step": 1}\nnonsense\n', "line 2"),
        (b'{"step": 1}\n{"step": 2}\n', "no losses"),
        (b'{"models": {}}', "no PSNR"),
        (b'{"models": {"a": {"psnr_y": null}}}', "no PSNR"),
    ],
)
def test_files_that_hold_nothing_to_plot_are_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    answer = run(path)
    assert answer.exit_code == 1
    lines = answer.stderr.splitlines()
    assert reason in lines[0]
    assert len(lines) <= 2
    assert not list(tmp_path.glob("*.svg"))


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    assert run(tmp_path / "none.json").exit_code == 2


def test_without_matplotlib_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    answer = run(written(tmp_path / "a.json", SET))
    assert answer.exit_code == 2
    assert "pip install 'hatcli[plots]'" in answer.output
    with pytest.raises(UsageError):
        plots.evaluation_plot(SET, tmp_path / "e")
