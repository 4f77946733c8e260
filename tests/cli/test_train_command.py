"""`hat train` from the outside: weights that upscale, recipes, faults in one line, logs, choices."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.training_commands import lines_of, prepare, refused, train
from support.training_data import write_pictures
from typer.testing import CliRunner

from hatcli.cli import app
from hatcli.cli.shared import train_options
from hatcli.cli.views.training import duration
from hatcli.network import checkpoint
from hatcli.network.config import preset
from hatcli.training import recipe as recipes
from hatcli.training.recipe import SCALES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path / "pictures")


def test_the_command_writes_weights_and_goes_on(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "net.safetensors"
    output.parent.mkdir()
    result = train(folder, "-o", output, "--steps", 3, "--log-steps", 1)
    assert result.exit_code == 0, result.output
    assert "busy" in result.output
    assert checkpoint.load(output).config.embed_dim == 8
    assert json.loads(checkpoint.read(output).metadata["recipe"])["steps_done"] == 3
    again = train(folder, "-o", output, "--steps", 5, "--log-steps", 1)
    assert "going on from step 3" in again.output
    assert [line["step"] for line in lines_of(output.with_suffix(".jsonl"))] == [1, 2, 3, 4, 5]


def test_options_win_over_the_recipe_and_ablations_reach_the_weights(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    ablations = ("--no-cab", "--no-ocab", "--alpha", 0.5, "--gamma", 0, "--beta", 2, "--window", 2)
    assert train(folder, "-o", output, "--steps", 1, "--scale", 3, *ablations).exit_code == 0
    config = checkpoint.load(output).config
    assert (config.upscale, config.cab, config.ocab, config.conv_scale) == (3, False, False, 0.5)
    assert (config.overlap_ratio, config.compress_ratio, config.window_size) == (0, 2, 2)


def test_recipes_are_listed_on_stdout() -> None:
    result = CliRunner().invoke(app, ["train", "--list-recipes"])
    assert result.exit_code == 0
    assert "hat-t-photo " in result.stdout
    assert "hat-finetune " in result.stdout


def test_what_cannot_be_meant_is_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    assert "an end" in refused(train(folder, "-o", output), 2)
    assert "no place for the weights" in refused(train(folder, "--steps", 1), 2)
    assert "safetensors" in refused(train(folder, "-o", tmp_path / "net.pth", "--steps", 1), 2)
    assert "--from" in refused(train(folder, "-o", output, recipe="hat-finetune"), 2)
    assert "no folder" in refused(train(tmp_path / "none", "-o", output, "--steps", 1, recipe="hat-t"), 2)
    assert "nothing to learn from" in refused(CliRunner().invoke(app, ["train", "-o", str(output)]), 2)
    (tmp_path / "bad.toml").write_text("bach = 1")
    assert "did you mean batch?" in refused(train(folder, "-o", output, recipe=tmp_path / "bad.toml"), 2)
    assert not output.exists()


def test_bad_data_stops_a_run_in_one_line(folder: Path, tmp_path: Path) -> None:
    (folder / "1.png").write_bytes((folder / "0.png").read_bytes()[:100])
    assert "1.png" in refused(train(folder, "-o", tmp_path / "net.safetensors", "--steps", 1), 1)


def test_checking_data_names_every_fault_and_counts(folder: Path, tmp_path: Path) -> None:
    whole = train(folder, "--check-data")
    assert whole.exit_code == 0
    assert "3 pictures can be used, 0.0 MP; 0 cannot" in whole.stdout
    (folder / "1.png").write_bytes(b"nothing")
    Image.new("RGB", (9, 9)).save(folder / "2.png")
    Image.new("RGB", (90, 90)).save(folder / "3.png")
    small = write_pictures(tmp_path / "small", count=1)
    bad = train(folder, "--check-data")
    assert bad.exit_code == 1
    assert "1.png" in bad.stdout
    assert "2.png is too small" in bad.stdout
    assert "2 pictures can be used, 0.0 MP; 2 cannot" in bad.stdout
    unmatched = train(folder, "--check-data", "--lr", small)
    assert unmatched.exit_code == 1
    assert "no small picture for 3.png" in unmatched.stdout
    assert "0.png is 45 x 40 pixels" in unmatched.stdout


def test_validation_is_logged_and_its_pictures_are_saved(folder: Path, tmp_path: Path) -> None:
    output, images = tmp_path / "net.safetensors", tmp_path / "seen"
    result = train(folder, "-o", output, "--steps", 2, "--validate", folder, "--save-images", images)
    assert result.exit_code == 0, result.output
    assert lines_of(output.with_suffix(".jsonl"))[-1]["psnr"] > 5
    with Image.open(images / "step-0000002" / "000-0.png") as picture:
        assert picture.size == (44, 40)


def test_a_lost_session_leaves_no_lines_in_the_log(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    train(folder, "-o", output, "--steps", 2, "--log-steps", 1)
    log = output.with_suffix(".jsonl")
    log.write_text(log.read_text() + '{"step": 3, "loss": 1}\n{"step": 4, "lo')
    train(folder, "-o", output, "--steps", 3, "--log-steps", 1)
    lines = lines_of(log)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines[-1]["loss"] != 1


def test_tensorboard_is_asked_for_in_one_line_where_it_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    result = train(folder, "-o", tmp_path / "net.safetensors", "--steps", 1, "--tensorboard", tmp_path / "board")
    assert "hint: pip install 'hatcli[train]'" in refused(result, 2)


@pytest.mark.filterwarnings("ignore")  # of TensorBoard's own dependencies
def test_tensorboard_reads_the_scalars(folder: Path, tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    board = tmp_path / "board"
    result = train(folder, "-o", tmp_path / "n.safetensors", "--steps", 3, "--log-steps", 1, "--tensorboard", board)
    assert result.exit_code == 0, result.output
    events = reader.EventAccumulator(str(board))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]


def test_durations_are_said_in_two_units() -> None:
    assert [duration(at) for at in (12, 245, 12_000, 97_200)] == ["12 s", "4 min 5 s", "3 h 20 min", "1 d 3 h"]


def test_weights_and_a_log_without_a_state_are_not_replaced_unasked(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    log = output.with_suffix(".jsonl")
    assert train(folder, "-o", output, "--steps", 1).exit_code == 0
    output.with_suffix(".state").unlink()
    weights, lines = output.read_bytes(), log.read_bytes()
    assert "mine.safetensors is there, but no mine.state" in refused(train(folder, "-o", output, "--steps", 2), 2)
    assert (output.read_bytes(), log.read_bytes()) == (weights, lines)
    output.unlink()
    assert "mine.jsonl is there" in refused(train(folder, "-o", output, "--steps", 2), 2)
    assert log.read_bytes() == lines
    assert train(folder, "-o", output, "--steps", 2, "--overwrite", "--log-steps", 1).exit_code == 0
    assert [line["step"] for line in lines_of(log)] == [1, 2]


@pytest.mark.parametrize("content", ["notes of mine\n", '{"a": 1}\n', "[1, 2]\n", "[" * 100_000 + "\n"])
@pytest.mark.parametrize("words", [(), ("--overwrite",)])
def test_a_file_that_is_no_log_is_never_emptied(
    folder: Path, tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    output = tmp_path / "mine.safetensors"
    log = output.with_suffix(".jsonl")
    log.write_text(content)
    assert "is not a log of hat train" in refused(train(folder, "-o", output, "--steps", 1, *words), 2)
    assert log.read_text() == content


def test_it_starts_from_a_model_by_its_name(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    small = ("--steps", 1, "--batch", 1, "--patch", 16, "--scale", 2, "--learning-rate", 1e-9)
    result = train(folder, "-o", output, "--from", "hat-t", *small, recipe="hat-t")
    assert result.exit_code == 0, result.output
    assert re.search(r"(\d+) of \1 tensors start from hat-t x2", result.output)
    assert "no model" in refused(train(folder, "-o", tmp_path / "b.safetensors", "--from", "hat-q", *small), 2)
    missing = refused(train(folder, "-o", tmp_path / "b.safetensors", "--from", "none.safetensors", *small), 3)
    assert "none.safetensors" in missing


def test_another_scale_and_an_empty_folder_are_refused_with_a_hint(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    assert "2, 3, 4" in refused(train(folder, "-o", output, "--steps", 1, "--scale", 8), 2)
    (tmp_path / "empty").mkdir()
    said = refused(train(tmp_path / "empty", "-o", output, "--steps", 1, recipe="hat-t"), 2)
    assert "hint: folders inside folders are looked into with -r" in said


def test_the_speed_is_told_and_logged(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    result = train(folder, "-o", output, "--steps", 2, "--log-steps", 1)
    told = re.search(r"([\d.]+) GFLOP/s, (\d+)% of the (\d+) this machine reaches in fp32", result.output)
    assert told is not None, result.output
    assert 0 <= int(told[2]) <= 100
    assert all(line["gflops"] > 0 for line in lines_of(output.with_suffix(".jsonl")))


def test_another_number_of_threads_is_told_and_none_means_the_runs_own(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    two = ("-o", output, "--batch", 2)
    assert train(folder, *two, "--steps", 1, "--threads", 2).exit_code == 0
    assert "--threads" not in train(folder, *two, "--steps", 2).output
    assert torch.load(output.with_suffix(".state"), weights_only=True)["workers"] == 2
    assert "had --threads 2 until here and has 1 now" in train(folder, *two, "--steps", 3, "--threads", 1).output
    assert "--threads must be from 1 to" in refused(train(folder, *two, "--steps", 4, "--threads", 0), 2)


def test_help_names_the_choices_that_there_are() -> None:
    said = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).stdout
    known = {**recipes.CHOICES, "scale": tuple(map(str, SCALES))}
    for field, values in train_options.CHOICES.items():
        assert "|".join(values) in said
        if field in known:
            assert values == known[field]
    for name in ("hat-t", "hat-s", "hat", "hat-l"):
        assert preset(name, upscale=2)


def test_recipes_choices_and_models_are_completed() -> None:
    assert train_options.complete_recipe("hat-t-p") == ["hat-t-photo"]
    assert "hat-t-photo" in train_options.complete_start("hat-t")
    words = {"_HAT_COMPLETE": "complete_bash", "COMP_WORDS": "hat train --schedule m", "COMP_CWORD": "3"}
    done = subprocess.run([sys.executable, "-m", "hatcli"], env={**os.environ, **words}, capture_output=True, text=True)
    assert done.stdout.split() == ["multistep"]


def test_a_validation_that_cannot_be_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    result = train(folder, "-o", tmp_path / "net.safetensors", "--steps", 1, "--validate", tmp_path / "none")
    assert "no folder" in refused(result, 2)
    assert not list(tmp_path.glob("net.*"))


def test_what_a_run_takes_from_weights_in_its_recipe_grows_them(folder: Path, tmp_path: Path) -> None:
    """--from with a recipe of more blocks and another alpha: the first step's loss is that of the smaller network."""
    small, large = tmp_path / "small.safetensors", tmp_path / "large.safetensors"
    assert train(folder, "-o", small, "--steps", 30, "--log-steps", 1, "--seed", 3).exit_code == 0
    deeper = (folder.parent / "tiny.toml").read_text().replace("depths = [1]", "depths = [3]")
    (folder.parent / "deeper.toml").write_text(deeper)
    still = ("--steps", 1, "--log-steps", 1, "--seed", 4, "--learning-rate", 1e-12, "--from", small)
    same, grown = tmp_path / "same.safetensors", large
    assert train(folder, "-o", same, *still).exit_code == 0
    result = train(folder, "-o", grown, *still, "--alpha", 1, recipe=folder.parent / "deeper.toml")
    assert result.exit_code == 0, result.output
    assert checkpoint.load(grown).config.depths == (3,)
    first, second = (lines_of(path.with_suffix(".jsonl"))[0]["loss"] for path in (same, grown))
    assert first == pytest.approx(second, rel=1e-5)
