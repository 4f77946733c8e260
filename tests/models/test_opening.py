"""What `-n` means: which files a name and a factor take, what is fetched first, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import torch
import typer
from huggingface_hub import constants
from PIL import Image
from support.fake_hub import COMMIT, REPO, FakeHub, standing_in
from support.tiny_model import PTH, TINY, entry_for, finish, saved
from typer.testing import CliRunner, Result

from hatcli.cli.commands.upscale import upscale
from hatcli.cli.shared.fetching import needed
from hatcli.errors import UsageError, WeightsError
from hatcli.models import catalog, opening, store
from hatcli.models.catalog import Entry, WebSource
from hatcli.network import checkpoint
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(upscale)


def published(scale: int) -> bytes:
    """A tiny model for a factor, as its authors would put it out."""
    torch.manual_seed(scale)
    configuration = {**TINY.__dict__, "upscale": scale}
    return saved({"params_ema": HAT(HATConfig(**configuration)).state_dict()})


FILES = {"tiny": {2: PTH, 3: published(3), 4: published(4)}, "tiny-real": {4: published(4)}, "fine": {4: published(4)}}


def entry(name: str, scale: int, *, task: str, rank: int | None) -> Entry:
    source = WebSource(repo=REPO, revision=COMMIT, path=f"HAT/{name}-x{scale}.pth")
    changes = {"id": f"{name}-x{scale}", "name": name, "scale": scale, "filename": f"{name}-x{scale}.pth"}
    return entry_for(FILES[name][scale], sources=(source,), task=task, rank=rank, **changes)


ENTRIES = (
    *(entry("tiny", scale, task="bicubic", rank=1) for scale in (2, 3, 4)),
    entry("tiny-real", 4, task="real", rank=None),
    entry("fine", 4, task="bicubic", rank=9),
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A fake Hub with every file of a catalogue of three models, of which nothing is here yet."""
    monkeypatch.setattr(catalog, "_catalog", lambda: (ENTRIES, {}))
    with standing_in(tmp_path, monkeypatch) as running:
        for listed in ENTRIES:
            running.publish(REPO, listed.sources[0].path or "", FILES[listed.name][listed.scale])
        yield running


def install(*ids: str) -> None:
    for listed in ENTRIES:
        if listed.id in ids:
            finish(listed)


def hat(*arguments: object) -> Result:
    options = ["--cpu", "--fp32", "--no-progress"]
    result = CliRunner().invoke(app, [*(str(argument) for argument in arguments), *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def picture(path: Path) -> Path:
    Image.linear_gradient("L").resize((12, 8)).convert("RGB").save(path)
    return path


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


# Which files


@pytest.mark.parametrize(
    ("name", "factors", "scales"),
    [
        ("tiny", [], [4]),
        ("tiny", [2], [2]),
        ("tiny", [4], [4]),
        ("tiny", [5], [2, 3]),  # two passes, x6, and one reduction
        ("tiny", [6], [2, 3]),
        ("tiny", [9], [3]),
        ("tiny", [16], [4]),
        ("tiny", [2, 3], [2, 3]),
        ("tiny-x2", [4], [2]),  # of one published file just that, twice
        ("tiny-x2", [], [2]),
        ("tiny-real", [2], [4]),
        ("tiny-real", [16], [4]),
    ],
)
def test_just_the_files_that_the_passes_take_are_needed(
    hub: FakeHub, name: str, factors: list[int], scales: list[int]
) -> None:
    assert [listed.scale for listed in needed(name, factors)] == scales


def test_a_factor_beyond_reach_and_an_unknown_name_are_refused(hub: FakeHub) -> None:
    with pytest.raises(UsageError):
        needed("tiny", [1000])
    with pytest.raises(UsageError, match="no model named"):
        needed("tinny", [2])


@pytest.mark.parametrize(
    ("name", "is_file"),
    [("hat", False), ("hat-s-x2", False), ("own.pth", True), ("OWN.SAFETENSORS", True), ("a/b", True), ("a\\b", True)],
)
def test_a_file_is_told_from_a_name(name: str, is_file: bool) -> None:
    assert opening.names_file(name) == is_file


# What is installed


def test_a_model_has_the_factors_that_are_installed_and_each_opens_when_first_used(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tiny-x2", "tiny-x3")
    opened: list[Path] = []
    load = checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda path: opened.append(path) or load(path))  # type: ignore[func-returns-value]
    model = opening.open_one("tiny", factor=None)
    assert (list(model), len(model), model.name, model.task) == ([2, 3], 2, "tiny", "bicubic")
    assert opened == []
    assert model[3] is model[3]
    assert opened == [model.files[3]]


def test_a_single_published_file_stands_for_itself_alone(hub: FakeHub) -> None:
    install("tiny-x2", "tiny-x3")
    assert list(opening.open_one("tiny-x2", factor=3)) == [2]


def test_what_is_not_installed_is_said_with_the_command_that_fetches_it(hub: FakeHub) -> None:
    with pytest.raises(WeightsError, match="tiny is not installed") as caught:
        opening.open("tiny")
    assert caught.value.hint == "hat download tiny"
    with pytest.raises(WeightsError, match="no model is installed"):
        opening.open("auto")


def test_auto_takes_the_best_for_the_factor(hub: FakeHub) -> None:
    install("tiny-x2", "tiny-x3", "tiny-x4", "tiny-real-x4")
    assert opening.open_one("auto", factor=4).name == "tiny"
    install("fine-x4")
    assert opening.open_one("auto", factor=4).name == "fine"
    model = opening.open_one("auto", factor=2)  # a pass at the factor itself, not one more and a reduction
    assert (model.name, list(model)) == ("tiny", [2, 3, 4])
    auto = opening.open("auto")
    assert isinstance(auto, opening.Auto)
    assert auto.suited(jpeg_quality=None, factor=1.5) is auto.suited(jpeg_quality=None, factor=3)  # loaded once


def test_a_model_is_frozen(hub: FakeHub) -> None:
    install("tiny-x2")
    model = opening.open_one("tiny", factor=None)
    with pytest.raises(FrozenInstanceError):
        model.task = "real"  # type: ignore[misc]


def test_any_file_of_a_hat_opens_under_its_stem(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(PTH)
    model = opening.open_one(str(tmp_path / "mine.pth"), factor=None)
    assert (model.name, list(model), model.architecture, model.task) == ("mine", [2], "HAT", None)


# What is said about it


def test_a_reduction_and_another_architecture_are_remarked_on(tmp_path: Path) -> None:
    real = opening.Model("real-hat", {4: tmp_path}, task="real")
    clean = opening.Model("hat", {4: tmp_path, 2: tmp_path}, task="bicubic")
    assert opening.remarks(real, scale=4, reached=4) == []
    (reduced,) = opening.remarks(real, scale=2.0, reached=4)
    assert reduced == "real-hat has x4: x2 is its x4 reduced once"
    assert opening.remarks(clean, scale=None, reached=4) == []
    foreign = replace(clean, architecture="SwinIR", supports_bf16=False)
    assert len(opening.remarks(foreign, scale=2, reached=2)) == 2


@pytest.mark.parametrize(
    ("task", "quality", "told"),
    [("bicubic", 75, True), ("bicubic", 90, True), ("bicubic", 91, False), ("bicubic", None, False),
     ("photo", 75, False), ("real", 75, False)],
)  # fmt: skip
def test_a_jpeg_for_a_clean_model_is_remarked_on(tmp_path: Path, task: str, quality: int | None, told: bool) -> None:
    remark = opening.unsuited(opening.Model("hat", {4: tmp_path}, task=task), jpeg_quality=quality)
    assert ("hat-t-photo or real-hat" in (remark or "")) is told


# From the command line


def test_the_first_use_says_size_and_licence_and_downloads_and_the_next_asks_nobody(
    hub: FakeHub, tmp_path: Path
) -> None:
    source = picture(tmp_path / "x.png")
    result = hat(source, "-n", "tiny", "-s", "2")
    assert result.exit_code == 0
    first = result.stderr.splitlines()[0]
    assert "tiny-x2: " in first
    assert "Apache-2.0" in first
    assert size(tmp_path / "x_x2.png") == (24, 16)
    assert len(hub.bodies()) == 1
    asked = len(hub.seen)
    result = hat(source, "-n", "tiny", "-s", "2", "--overwrite")
    assert (result.exit_code, len(hub.seen)) == (0, asked)
    assert "Apache-2.0" not in result.stderr


def test_a_factor_of_two_passes_fetches_both_files(hub: FakeHub, tmp_path: Path) -> None:
    assert hat(picture(tmp_path / "x.png"), "-n", "tiny", "-s", "6").exit_code == 0
    assert size(tmp_path / "x_x6.png") == (72, 48)
    assert {seen.path.rsplit("/", 1)[-1] for seen in hub.bodies()} == {"tiny-x2.pth", "tiny-x3.pth"}


def test_a_model_for_x4_alone_serves_other_factors_by_one_reduction(hub: FakeHub, tmp_path: Path) -> None:
    assert hat(picture(tmp_path / "x.png"), "-n", "tiny-real", "-s", "2.5").exit_code == 0
    assert size(tmp_path / "x_x2.5.png") == (30, 20)
    assert store.weights_path("tiny-real-x4").exists()


@pytest.mark.parametrize("how", ["option", "environment"])
def test_offline_a_missing_model_is_named_and_nobody_is_asked(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "environment":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    result = hat(picture(tmp_path / "x.png"), "-n", "tiny", "-s", "2", *(["--offline"] if how == "option" else []))
    assert result.exit_code == 3
    assert "tiny-x2 is not installed" in result.stderr
    assert hub.seen == []
    assert not (tmp_path / "x_x2.png").exists()


def test_offline_an_installed_model_runs(hub: FakeHub, tmp_path: Path) -> None:
    install("tiny-x2")
    asked = len(hub.seen)
    assert hat(picture(tmp_path / "x.png"), "-n", "tiny", "-s", "2", "--offline").exit_code == 0
    assert len(hub.seen) == asked


def test_auto_says_what_it_chose(hub: FakeHub, tmp_path: Path) -> None:
    install("tiny-x2")
    result = hat(picture(tmp_path / "x.png"), "-s", "2")
    assert result.exit_code == 0
    assert "tiny x2" in result.stderr
    assert "best installed" in result.stderr
