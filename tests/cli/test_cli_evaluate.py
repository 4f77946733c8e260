"""`hat evaluate`: what stdout, stderr and the exit code promise."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from hatcli.cli.commands.evaluate import evaluate
from hatcli.evaluation.metrics import score
from hatcli.network import checkpoint
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT

TINY = HATConfig(
    upscale=2,
    embed_dim=12,
    depths=(1,),
    num_heads=(2,),
    window_size=4,
    compress_ratio=3,
    squeeze_factor=3,
    num_feat=8,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one of them gray, in a folder that tables call Set5."""
    rows, columns = np.mgrid[:33, :29]
    waves = [127 + 100 * np.sin(rows / 5 + c) * np.cos(columns / 7) for c in range(3)]
    pixels = np.stack(waves, axis=2).round().astype(np.uint8)
    (tmp_path / "set5").mkdir()
    Image.fromarray(pixels).save(tmp_path / "set5" / "colour.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "set5" / "gray.png")
    return tmp_path / "set5"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = HAT(TINY)
    checkpoint.write(tmp_path / "tiny.safetensors", config=TINY, state=network.state_dict())
    return tmp_path / "tiny.safetensors"


def run(*words: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(evaluate)
    return CliRunner().invoke(app, [*map(str, words), "--cpu"])


def test_json_scores_bicubic_and_the_file_on_every_picture(folder: Path, weights: Path) -> None:
    result = run(folder, "--scale", 2, "-n", f"bicubic,{weights}", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert list(found["models"]) == ["bicubic", "tiny"]
    (only,) = found["results"]
    assert (only["set"], only["scale"], found["gray"]) == ("Set5", 2, "native")
    assert only["models"] == found["models"]
    for model in found["models"].values():
        assert list(model["images"]) == ["colour", "gray"]
        average = np.mean([scores["psnr_y"] for scores in model["images"].values()])
        assert model["psnr_y"] == pytest.approx(float(average))
        assert 0 < model["ssim_y"] <= 1
    assert "gray" in result.stderr
    assert "published" not in found["models"]["bicubic"]


def test_saved_pictures_are_the_scored_ones(folder: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(folder, "--scale", 2, "-n", weights, "--json", "--save", out)
    assert result.exit_code == 0, result.stderr
    saved = np.asarray(Image.open(out / "Set5" / "x2" / "tiny" / "colour.png"))
    truth = np.asarray(Image.open(folder / "colour.png"))[:32, :28]
    expected = json.loads(result.stdout)["models"]["tiny"]["images"]["colour"]
    assert score(saved, truth, border=2).psnr_y == pytest.approx(expected["psnr_y"], abs=1e-9)
    again = run(folder, "--scale", 2, "-n", "bicubic", "--save", out)
    assert again.exit_code == 2
    assert "exists already (and 1 more)" in again.stderr
    assert run(folder, "--scale", 2, "-n", "bicubic", "--save", out, "--overwrite").exit_code == 0


def test_the_table_is_for_people_and_goes_to_stdout(folder: Path) -> None:
    result = run(folder, "--scale", 2, "-n", "bicubic", "--quiet")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["Set5", "x2", "bicubic", image] for image in ("colour", "gray", "mean")
    ]
    assert result.stderr == ""


def test_several_sets_and_scales_make_one_csv(folder: Path) -> None:
    result = run(folder, folder, "--scale", "x2,3x", "-n", "bicubic", "--csv")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    means = [(row["set"], row["scale"]) for row in rows if row["image"] == "mean"]
    assert means == [("Set5", "2"), ("Set5", "3"), ("Set5-2", "2"), ("Set5-2", "3")]


def shape(value: object) -> object:
    """What kinds of values stand under which names."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name != "images"}
    return [shape(value[0])] if isinstance(value, list) else type(value).__name__


def test_one_set_and_several_make_json_of_one_shape(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "colour.png").write_bytes((folder / "colour.png").read_bytes())
    one, several = (
        json.loads(run(*folders, "--scale", scales, "-n", "bicubic", "--json").stdout)
        for folders, scales in (((folder,), "2"), ((folder, other), "2,3"))
    )
    assert shape(one) == shape(several)
    assert [(found["set"], found["scale"]) for found in several["results"]] == [
        ("Set5", 2), ("Set5", 3), ("other", 2), ("other", 3)
    ]  # fmt: skip
    images = several["models"]["bicubic"]["images"]
    assert sorted(images) == [
        "Set5/x2/colour", "Set5/x2/gray", "Set5/x3/colour", "Set5/x3/gray", "other/x2/colour", "other/x3/colour"
    ]  # fmt: skip
    assert images["Set5/x2/colour"] == one["models"]["bicubic"]["images"]["colour"]
    mean = sum(found["psnr_y"] for found in images.values()) / len(images)
    assert several["models"]["bicubic"]["psnr_y"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Set5"], "huggingface.co/datasets/eugenesiow/Set5"),
        (["data/Urban100/HR"], "eugenesiow/Urban100"),
        (["bsds100"], "eugenesiow/BSD100"),
        (["DIV2K"], "vision.ee.ethz.ch"),
        (["Manga109"], "manga109.org"),
        (["holiday"], "name a folder of pictures"),
        ([], "--card"),
    ],
)
def test_a_set_that_is_not_here_is_said_to_come_from_somewhere(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words, "--scale", 2, "-n", "bicubic")
    assert result.exit_code == 2
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["error", "hint"]
    assert said in result.stderr.splitlines()[1]


def test_the_card_is_scored_without_any_folder_and_beside_sets(folder: Path, weights: Path, tmp_path: Path) -> None:
    alone = run("--card", "--scale", 2, "-n", weights, "--json")
    assert alone.exit_code == 0, alone.stderr
    found = json.loads(alone.stdout)
    assert list(found["models"]) == ["bicubic", "tiny"]
    card = found["results"][0]["models"]["bicubic"]["card"]
    assert 0.05 < card["jaggedness"] < 0.1
    assert list(card["angles"]) == [str(angle) for angle in range(5, 90, 5)]
    assert found["models"]["bicubic"]["psnr_y"] > 20
    both = run(folder, "--card", "--scale", 2, "-n", "bicubic", "--save", tmp_path / "out")
    assert both.exit_code == 0, both.stderr
    assert both.stdout.splitlines()[1].startswith("Set5")
    row = both.stdout.splitlines()[-1].split()
    assert row[:2] == ["x2", "bicubic"]
    assert float(row[2]) == pytest.approx(card["jaggedness"], abs=0.001)
    with Image.open(tmp_path / "out" / "card" / "x2" / "bicubic" / "card.png") as saved:
        assert saved.size == (576, 624)


def test_all_means_every_installed_model(folder: Path) -> None:
    result = run(folder, "--scale", 2, "-n", "all", "--json", "--quiet")
    assert list(json.loads(result.stdout)["models"])[:3] == ["bicubic", "hat-t", "hat-t-photo"]


def test_the_paper_stands_beside_ours_with_source_and_difference(folder: Path) -> None:
    result = run(folder, "--scale", 2, "-n", "bicubic", "--paper", "--markdown")
    assert result.exit_code == 0, result.stderr
    cells = [cell.strip() for cell in result.stdout.splitlines()[2].strip("|").split("|")]
    assert cells[:3] == ["Set5", "x2", "bicubic"]
    assert cells[4] == "33.66"
    assert float(cells[5]) == pytest.approx(float(cells[3]) - 33.66, abs=0.011)
    assert "- bicubic: result tables of EDSR" in result.stdout


def test_pairs_made_by_matlabs_bicubic_score_as_those_made_here(folder: Path, tmp_path: Path) -> None:
    from hatcli.image.resample import imresize, modcrop

    (tmp_path / "lr" / "X2").mkdir(parents=True)
    for path in folder.iterdir():
        low = imresize(modcrop(np.asarray(Image.open(path)), 2), 1 / 2)
        Image.fromarray(low).save(tmp_path / "lr" / "X2" / f"{path.stem}x2.png")
    made = run(folder, "--scale", 2, "-n", "bicubic", "--json")
    given = run(folder, "--lr", tmp_path / "lr", "--scale", 2, "-n", "bicubic", "--json")
    assert given.exit_code == 0, given.stderr
    assert json.loads(given.stdout) == json.loads(made.stdout)


def test_self_ensemble_and_tiles_reach_the_network(weights: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.mkdir()
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (80, 96, 3)).astype(np.uint8)).save(large / "a.png")

    def psnr(*words: object) -> float:
        result = run(large, "--scale", 2, "-n", weights, "--json", *words)
        assert result.exit_code == 0, result.stderr
        return float(json.loads(result.stdout)["models"]["tiny"]["psnr_y"])

    assert psnr() == psnr("--tile", "off")
    assert psnr("--tile", 32, "--overlap", 8) != psnr()  # channel attention sees one tile at a time
    assert psnr("--tta") != psnr()


def test_gray_as_colour_changes_luma_but_not_rgb(folder: Path) -> None:
    native = json.loads(run(folder, "--scale", 2, "-n", "bicubic", "--json").stdout)
    colour = json.loads(run(folder, "--scale", 2, "-n", "bicubic", "--json", "--gray", "rgb").stdout)
    ours, theirs = (found["models"]["bicubic"]["images"]["gray"] for found in (native, colour))
    assert ours["psnr_rgb"] == theirs["psnr_rgb"]
    assert theirs["psnr_y"] > ours["psnr_y"] + 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--scale", "5"], 2, "--scale 5"),
        (["--scale", "2,x"], 2, "--scale 2,x"),
        (["--json", "--csv"], 2, "contradict"),
        (["--gray", "blue"], 2, "--gray blue"),
        (["--lr", "nowhere"], 2, "nowhere"),
        (["-n", "no-such-model"], 2, "no-such-model"),
        (["-n", "missing.safetensors"], 3, "missing.safetensors"),
        (["--tile", "huge"], 2, "--tile huge"),
    ],
)
def test_wrong_commands_are_said_in_two_lines(folder: Path, words: list[str], code: int, said: str) -> None:
    result = run(folder, "--quiet", *words)
    assert result.exit_code == code
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert len(lines) <= 2
    assert result.stdout == ""


def test_a_damaged_picture_stops_the_run_before_any_model_and_is_named(folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"not a picture at all")
    result = run(folder, "--scale", 2, "-n", "bicubic")
    assert result.exit_code == 1
    assert "bad.png" in result.stderr
    assert result.stdout == ""
