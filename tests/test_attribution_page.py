"""The attribution page, the commands' files, and the plots."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hatcli.attribution.page import Section, page
from hatcli.cli.attribute import attribute
from hatcli.cli.compare import compare
from hatcli.errors import InputError
from hatcli.evaluation import plots

app = typer.Typer()
app.command()(attribute)
app.command()(compare)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_outside_names_are_escaped_and_nothing_is_fetched() -> None:
    picture = Image.new("RGB", (4, 4))
    text = page([Section("<b>", 12.345, ("<i>",), {'"x"': picture})], title="<u>")
    assert not any(name in text for name in ("<b>", "<i>", "<u>", '"x"', "http", "__"))
    assert "12.35" in text or "12.34" in text


def test_attribute_writes_maps_page_and_numbers(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    arguments = ["attribute", str(photo), "--at", "20,24", "--steps", "2", "-n", "hat-t", "--cpu", "--regions", "2"]
    result = CliRunner().invoke(app, [*arguments, "--features", "-o", str(folder), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert 0 < facts["diffusion_index"] < 100
    assert facts["window"] == {"x": 20, "y": 24, "side": 16}
    assert facts["models"]["hat-t"]["regions"]["count"] == 2
    names = {path.name for path in folder.iterdir()}
    expected = {f"hat-t_{kind}.png" for kind in ("window", "saliency", "density", "overlay", "group_1")}
    assert expected | {"index.html", "attribution.json"} <= names
    with Image.open(folder / "hat-t_saliency.png") as saliency:
        assert saliency.size == (64, 64)
    assert CliRunner().invoke(app, [*arguments, "-o", str(folder)]).exit_code == 2


@pytest.mark.parametrize("wrong", [["--at", "1"], ["--at", "60,60"], ["--precision", "bf16"], ["-s", "5"]])
def test_attribute_refuses_what_cannot_be_meant(photo: Path, wrong: list[str]) -> None:
    assert CliRunner().invoke(app, ["attribute", str(photo), "--cpu", "-n", "hat-t", *wrong]).exit_code == 2


def test_a_flat_picture_is_an_input_error(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (90, 90, 90)).save(tmp_path / "flat.png")
    run = ["attribute", str(tmp_path / "flat.png"), "--steps", "2", "--cpu", "-n", "hat-t"]
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 1
    assert "nothing to attribute" in result.output


def test_compare_writes_page_and_sheet_and_replaces_neither(photo: Path, tmp_path: Path) -> None:
    run = ["compare", str(photo), "--models", "hat-t,bicubic", "--cpu", "--quiet"]
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a_compare.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (tmp_path / "a_compare.png").exists()
    assert CliRunner().invoke(app, run).exit_code == 2
    assert CliRunner().invoke(app, [*run, "--overwrite", "--truth", str(photo)]).exit_code == 1


def test_plots_are_written_as_svg_and_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [{"step": step, "loss": 1 / step, "psnr": 20 + step if step % 2 else None} for step in range(1, 9)]
    results = {"models": {"$a$": {"psnr_y": 30.0, "images": {"x": {"psnr_y": 29.0}, "y": {"psnr_y": None}}}}}
    for written in (plots.training_plot(rows, tmp_path / "t"), plots.evaluation_plot(results, tmp_path / "e")):
        assert "<svg" in written[0].read_text(encoding="utf-8")
        with Image.open(written[1]) as image:
            assert image.width == 1400


def test_plots_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no losses"):
        plots.training_plot([{"step": 1}], tmp_path / "t")
    with pytest.raises(InputError, match="no PSNR"):
        plots.evaluation_plot({"models": {}}, tmp_path / "e")
