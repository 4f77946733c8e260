"""`hat compare`: what the page holds, what is left alone, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from support.looking import noise, refused
from typer.testing import CliRunner

from hatcli.cli.commands.compare import compare

app = typer.Typer()
app.command()(compare)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments), "--cpu"])


def test_compare_writes_page_and_sheet_and_replaces_neither(photo: Path, tiny: Path, tmp_path: Path) -> None:
    arguments = [photo, "--models", f"{tiny},bicubic", "--scale", "2"]
    result = run(*arguments, "--quiet")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a_compare.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with Image.open(tmp_path / "a_compare.png") as sheet:
        assert sheet.width > 64
    refused(run(*arguments), 2, "exists already")
    assert run(*arguments, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--truth", "a.png"], 1, "the truth has 16 x 16 pixels, not 32 x 32"),
        (["--truth", "none.png"], 2, "there is no file"),
        (["-o", "page.pdf"], 2, "page.pdf is not the name of a page"),
        (["-o", "nowhere/page.html"], 2, "there is no folder"),
        (["--crop", "16,0,1,1"], 2, "not inside the picture of 16 x 16"),
        (["--crop", "left half"], 2, "--crop left half is not a part of a picture"),
        (["--scale", "17"], 2, "--scale 17 is not a whole factor from 2 to 16"),
        (["--scale", "big"], 2, "--scale big is not a factor"),
        (["-n", ","], 2, "no model was named"),
        (["-n", "no-such-model"], 2, "no-such-model"),
        (["-n", "missing.safetensors"], 3, "missing.safetensors"),
        (["--tile", "huge"], 2, "--tile huge"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_leaves_no_file(
    photo: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(photo.parent)
    models = [] if "-n" in words else ["-n", "bicubic"]
    scale = [] if "--scale" in words else ["--scale", "2"]
    refused(run("a.png", *models, *scale, *words), code, said)
    assert [path.name for path in photo.parent.iterdir()] == ["a.png"]


def shown_on(page: Path) -> Any:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_input_stands_first_and_every_model_says_how_long_it_took(photo: Path, tiny: Path, tmp_path: Path) -> None:
    result = run(photo, "--models", f"{tiny},bicubic", "--scale", "2")
    assert result.exit_code == 0, result.output
    models = shown_on(tmp_path / "a_compare.html")["models"]
    assert [model["name"] for model in models] == ["input (bicubic)", "tiny"]
    assert models[1]["seconds"] > 0
    assert re.search(r"^tiny  \d+\.\d s$", result.stderr, re.MULTILINE)


def test_all_means_every_installed_model_and_fetches_none(photo: Path, tiny: Path, tmp_path: Path) -> None:
    result = run(photo, "--models", f"all,{tiny}", "--scale", "2")
    assert result.exit_code == 0, result.output
    names = [model["name"] for model in shown_on(tmp_path / "a_compare.html")["models"]]
    assert names[:3] == ["input (bicubic)", "hat-t", "hat-t-photo"]  # the latter has x4 only and is resized
    assert names[-1] == "tiny"


def test_a_page_of_the_pictures_own_name_puts_the_sheet_elsewhere(photo: Path, tmp_path: Path) -> None:
    before = photo.read_bytes()
    result = run(photo, "-o", tmp_path / "a.html", "-n", "bicubic")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [str(tmp_path / "a.html"), str(tmp_path / "a_sheet.png")]
    assert photo.read_bytes() == before
    assert run(photo, "-o", tmp_path / "a.html", "-n", "bicubic").exit_code == 2


def test_of_a_large_picture_the_most_detailed_part_is_compared(tmp_path: Path) -> None:
    pixels = np.full((2100, 2200, 3), 70, np.uint8)
    pixels[1500:1700, 1800:2000] = np.random.default_rng(0).integers(0, 256, (200, 200, 3))
    large = tmp_path / "large.png"
    Image.fromarray(pixels).save(large)
    result = run(large, "-n", "bicubic", "-s", "2")
    assert result.exit_code == 0, result.output
    data = shown_on(tmp_path / "large_compare.html")
    assert 8_000_000 < data["width"] * data["height"] <= 1 << 23
    assert "--crop off" in result.stderr
    assert "of 2200 x 2100" in data["notes"][0]
    result = run(large, "-n", "bicubic", "-s", "2", "--crop", "1790,1490,32,16", "--overwrite")
    data = shown_on(tmp_path / "large_compare.html")
    assert (data["width"], data["height"]) == (64, 32)


def test_a_crop_is_scored_against_the_same_part_of_the_truth(tmp_path: Path) -> None:
    truth = noise(tmp_path / "truth.png", (64, 96, 3))
    with Image.open(truth) as large:
        large.resize((48, 32), Image.Resampling.BOX).save(tmp_path / "low.png")
    run(tmp_path / "low.png", "-n", "bicubic", "-s", "2", "--truth", truth, "--crop", "20,10,16,12")
    there = shown_on(tmp_path / "low_compare.html")["models"][0]["psnr_y"]
    run(tmp_path / "low.png", "-n", "bicubic", "-s", "2", "--truth", truth, "--overwrite")
    whole = shown_on(tmp_path / "low_compare.html")["models"][0]["psnr_y"]
    assert there == pytest.approx(whole, abs=1)  # of other places it would be 3 dB lower
