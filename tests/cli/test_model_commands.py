"""`hat download`, `hat models` and `hat convert` as people meet them: what stands where, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import typer
from support.fake_hub import REPO, FakeHub, Published, standing_in
from support.tiny_model import PTH, TINY, entry_for, saved, state_of
from typer.testing import CliRunner, Result

from hatcli.cli.commands.convert import convert
from hatcli.cli.commands.download import download
from hatcli.cli.commands.models import models
from hatcli.models import catalog, store
from hatcli.network import checkpoint

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(download)
app.command()(convert)
app.add_typer(models)
TINY_ENTRY = entry_for(PTH)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A fake Hub, an empty store, and a catalogue with the tiny model and one that is nowhere."""
    gone = entry_for(PTH, id="gone-x2", name="gone", filename="gone.pth", sources=())
    listed = (*catalog.entries(), TINY_ENTRY, gone)
    monkeypatch.setattr(catalog, "_catalog", lambda: (listed, {}))
    monkeypatch.setattr(store, "bundled", lambda filename: None)
    with standing_in(tmp_path, monkeypatch) as running:
        yield running


@pytest.fixture
def tiny(hub: FakeHub) -> Published:
    return hub.publish(REPO, "HAT/tiny.pth", PTH)


def hat(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_download_prints_where_the_file_is_and_says_size_and_licence_first(tiny: Published) -> None:
    result = hat("download", "tiny")
    assert result.exit_code == 0
    assert result.stdout == f"{store.weights_path('tiny-x2')}\n"
    said = result.stderr.splitlines()[0]
    assert "tiny-x2" in said
    assert f"{len(PTH) / 1e3:.0f} kB" in said or "MB" in said
    assert "Apache-2.0 (commercial use allowed)" in said


def test_download_names_a_licence_that_forbids_commercial_use(hub: FakeHub) -> None:
    said = hat("download", "starsample-hat-l", "--dry-run").stderr
    assert "no commercial use" in said


def test_a_dry_run_asks_nobody_and_writes_nothing(hub: FakeHub, tiny: Published) -> None:
    assert hat("download", "tiny", "--dry-run").exit_code == 0
    assert hub.seen == []
    assert not store.root().exists()


def test_a_name_means_every_factor_and_scale_picks_one(hub: FakeHub) -> None:
    said = hat("download", "hat", "--dry-run").stderr
    assert all(f"hat-x{scale}: " in said for scale in (2, 3, 4))
    assert "together 255 MB" in said
    said = hat("download", "hat", "--dry-run", "--scale", "3").stderr
    assert "hat-x3" in said
    assert "hat-x2" not in said


def test_all_means_everything_that_can_be_downloaded(hub: FakeHub) -> None:
    said = hat("download", "--all", "--dry-run").stderr
    downloads = [entry for entry in catalog.entries() if not entry.bundled]
    assert all(f"{entry.id}: " in said for entry in downloads)
    assert "hat-t-x" not in said
    said = hat("download", "--all", "--scale", "3", "--dry-run").stderr
    assert "hat-l-x3" in said
    assert "real-hat" not in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name the models"),
        (("--all", "hat"), "name the models"),
        (("hta",), "no model named hta"),
        (("real-hat", "--scale", "2"), "no weights for x2"),
        (("../../evil",), "no model named"),
    ],
)
def test_a_download_that_cannot_be_meant_exits_with_2(hub: FakeHub, arguments: tuple[str, ...], told: str) -> None:
    result = hat("download", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "hint: " in result.stderr
    assert result.stdout == ""


def test_one_model_that_cannot_be_had_does_not_stop_the_others_and_exits_with_3(tiny: Published) -> None:
    result = hat("download", "gone", "tiny")
    assert result.exit_code == 3
    assert result.stdout == f"{store.weights_path('tiny-x2')}\n"
    assert "gone-x2" in result.stderr
    assert "1 of 2" in result.stderr


def test_download_from_a_folder_needs_no_network(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "tiny.pth").write_bytes(PTH)
    assert hat("download", "tiny", "--from", tmp_path).exit_code == 0
    assert hub.seen == []
    assert hat("download", "gone", "--from", tmp_path).exit_code == 3


def test_list_shows_every_name_and_what_is_here(tiny: Published) -> None:
    before = hat("models")
    assert before.exit_code == 0
    assert {line.split()[0] for line in before.stdout.splitlines()[1:]} == set(catalog.names())
    assert hat("models", "list", "--installed").stdout.count("\n") == 1
    hat("download", "tiny")
    row = next(line for line in hat("models", "list").stdout.splitlines() if line.startswith("tiny "))
    assert row.endswith("x2")
    assert len(hat("models", "list", "--installed").stdout.splitlines()) == 2


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_list_stays_a_table_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = hat("models", "list")
    head, *rows = result.stdout.splitlines()
    assert all(len(line) <= width for line in result.stdout.splitlines())
    assert all(len(line) <= 60 for line in result.stderr.splitlines())
    assert len(rows) == len(catalog.names())
    assert head.split()[0] == "MODEL"
    assert {"SET5", "URBAN100", "HERE"} <= set(head.split())
    assert ("LICENCE" in head) is (width > 80)
    starts = [head.index(word) for word in head.split()]
    assert all(row[start - 1] == " " and row[start] != " " for row in rows for start in starts[1:])


def test_the_list_has_our_own_models_psnr() -> None:
    (own,) = [line for line in hat("models", "list").stdout.splitlines() if line.startswith("hat-t ")]
    (score,) = [score for score in catalog.resolve("hat-t-x4").scores if score.dataset == "Set5"]
    assert f" {score.psnr:.2f} " in own


def test_show_breaks_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    words = set(hat("models", "show", "hat-l", "-s", "4").stdout.split())
    monkeypatch.setenv("COLUMNS", "60")
    narrow = hat("models", "show", "hat-l", "-s", "4").stdout
    assert set(narrow.split()) == words
    assert all(len(line) <= 60 for line in narrow.splitlines() if " " in line[14:])


@pytest.mark.parametrize(
    "command", [("download",), ("models", "list"), ("models", "show"), ("models", "verify"), ("convert",)], ids=" ".join
)
def test_help_says_what_a_value_is_and_breaks_no_example(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERMINAL_WIDTH", "60")
    shown = hat(*command, "--help").stdout
    options = [line for line in shown.splitlines() if "--" in line and "--help" not in line]
    assert not [line for line in options if "<str>" in line or "<bool>" in line]
    for phrase in ("every factor of HAT", "without a network") if command == ("download",) else ():
        assert phrase in shown


def test_list_as_json_holds_every_fact_and_null_for_unknown(tiny: Published) -> None:
    hat("download", "tiny")
    listed = {entry["id"]: entry for entry in json.loads(hat("models", "list", "--json").stdout)}
    assert set(listed) == {entry.id for entry in catalog.entries()}
    assert listed["tiny-x2"]["installed"] is True
    assert listed["tiny-x2"]["path"] == str(store.weights_path("tiny-x2"))
    assert listed["hat-x4"]["scores"]["Urban100"] == {"psnr": 28.37, "ssim": None}
    assert listed["hat-s-x3"]["size"] is None
    assert listed["hat-x4"]["sources"][0].startswith("https://huggingface.co/")


def test_show_tells_hash_licence_sources_and_whether_it_is_here(hub: FakeHub) -> None:
    shown = hat("models", "show", "hat-l", "--scale", "4").stdout
    assert "5992bd38522f2b8faf11ea4bd8ee08de92465bb66892166576999afc36d60043" in shown
    assert "Apache-2.0" in shown
    assert "28.60 dB, SSIM 0.8498" in shown
    assert "hat download hat-l-x4" in shown
    assert [entry["scale"] for entry in json.loads(hat("models", "show", "hat", "--json").stdout)] == [2, 3, 4]


def test_verify_tells_intact_from_changed_by_its_exit_code(tiny: Published) -> None:
    assert hat("models", "verify", "tiny").exit_code == 3
    hat("download", "tiny")
    result = hat("models", "verify")
    assert (result.exit_code, result.stdout) == (0, "tiny-x2 intact\n")
    path = store.weights_path("tiny-x2")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    result = hat("models", "verify", "tiny")
    assert (result.exit_code, result.stdout) == (3, "tiny-x2 changed\n")
    assert "hat models remove tiny-x2" in result.stderr


def test_remove_takes_away_and_says_when_there_is_nothing(tiny: Published) -> None:
    hat("download", "tiny")
    assert hat("models", "remove", "tiny").exit_code == 0
    assert not store.weights_path("tiny-x2").exists()
    assert hat("models", "remove", "tiny").exit_code == 3
    assert "comes with hat" in hat("models", "remove", "hat-t").stderr


def test_path_prints_the_folder_or_one_file(tiny: Published) -> None:
    assert hat("models", "path").stdout == f"{store.root()}\n"
    assert hat("models", "path", "tiny").exit_code == 3
    hat("download", "tiny")
    assert hat("models", "path", "tiny").stdout == f"{store.weights_path('tiny-x2')}\n"


def test_convert_writes_safetensors_beside_the_checkpoint_bit_for_bit(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "own.pth").write_bytes(saved({"params_ema": state_of(5)}))
    result = hat("convert", tmp_path / "own.pth")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'own.safetensors'}\n")
    opened = checkpoint.read(tmp_path / "own.safetensors")
    assert opened.config == TINY
    assert all(torch.equal(opened.state[key], value) for key, value in state_of(5).items())


def test_convert_recognises_a_published_file_and_keeps_its_licence(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "renamed.pth").write_bytes(PTH)
    result = hat("convert", tmp_path / "renamed.pth", tmp_path / "out.safetensors")
    assert "this is tiny-x2" in result.stderr
    metadata = checkpoint.read(tmp_path / "out.safetensors").metadata
    assert (metadata["model"], metadata["licence"]) == ("tiny-x2", "Apache-2.0")


def test_convert_overwrites_nothing_unasked_and_never_its_input(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "own.pth").write_bytes(PTH)
    (tmp_path / "own.safetensors").write_bytes(b"precious")
    assert hat("convert", tmp_path / "own.pth").exit_code == 2
    assert (tmp_path / "own.safetensors").read_bytes() == b"precious"
    assert hat("convert", tmp_path / "own.pth", "--overwrite").exit_code == 0
    assert hat("convert", tmp_path / "own.safetensors", "--overwrite").exit_code == 2
    assert hat("convert", tmp_path / "own.pth", tmp_path / "own.bin").exit_code == 2
    assert hat("convert", tmp_path / "own.pth", tmp_path / "no" / "out.safetensors").exit_code == 5


def test_convert_refuses_what_is_no_hat_and_writes_nothing(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<!doctype html>")
    (tmp_path / "other.pth").write_bytes(saved({"weight": torch.zeros(2)}))
    for name in ("page", "other", "missing"):
        result = hat("convert", tmp_path / f"{name}.pth")
        assert result.exit_code == 3
        assert "Traceback" not in result.stderr
        assert not (tmp_path / f"{name}.safetensors").exists()
