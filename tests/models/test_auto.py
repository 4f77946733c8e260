"""The one rule of `auto`: per picture, for every factor and target, by the command line and from Python."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.commands import PHOTO, hat

import hatcli
from hatcli.image import decode
from hatcli.models import catalog, opening
from hatcli.models.opening import Auto
from hatcli.upscaling.size import Target

SIDE = 16  # pixels


@pytest.fixture(autouse=True)
def only_what_is_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))


def part() -> Image.Image:
    with Image.open(PHOTO) as image:
        return image.convert("RGB").crop((80, 60, 80 + SIDE, 60 + SIDE))


def jpeg(quality: int) -> bytes:
    stream = io.BytesIO()
    part().save(stream, "JPEG", quality=quality)
    return stream.getvalue()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with a JPEG of lower quality, one of high quality, and a PNG."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "worn.jpg").write_bytes(jpeg(60))
    (folder / "fine.jpg").write_bytes(jpeg(95))
    part().save(folder / "clean.png")
    return folder


def events(*arguments: str | Path, stdin: bytes | None = None) -> list[dict[str, Any]]:
    result = hat(*arguments, "--json", "--cpu", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def models(said: list[dict[str, Any]]) -> dict[str, str]:
    """Which model made which picture."""
    return {Path(event["input"]).name: event["model"] for event in said if event["event"] in ("done", "plan")}


# The rule


@pytest.mark.parametrize("factor", [None, 1.5, 2, 2.5, 3, 4, 5, 8, 16])
@pytest.mark.parametrize(("quality", "worn"), [(None, False), (1, True), (75, True), (90, True), (91, False)])
def test_jpegs_of_lower_quality_get_the_network_for_jpegs_at_every_factor(
    factor: float | None, quality: int | None, worn: bool
) -> None:
    assert Auto().suited(jpeg_quality=quality, factor=factor).name == ("hat-t-photo" if worn else "hat-t")


def test_native_factors_of_the_network_for_jpegs_are_used_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {entry.id: entry for entry in catalog.entries()}
    more = {**known, **{f"hat-t-photo-x{scale}": _photo(scale) for scale in (2, 3)}}
    monkeypatch.setattr(catalog, "_catalog", lambda: (tuple(more.values()), {}))
    model = Auto().suited(jpeg_quality=75, factor=2)
    assert (model.name, list(model)) == ("hat-t-photo", [2, 3, 4])
    assert hatcli.Upscaler(model).plan(10, 10, Target(scale=2)).passes == (2,)


def _photo(scale: int) -> catalog.Entry:
    """An entry for a further factor, its file being HAT-T's own."""
    from dataclasses import replace

    clean = catalog.resolve(f"hat-t-x{scale}")
    return replace(clean, id=f"hat-t-photo-x{scale}", name="hat-t-photo", task="photo", rank=None)


def test_a_better_model_that_is_installed_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "installed_path", lambda entry: Path("somewhere"))
    assert Auto().suited(jpeg_quality=75, factor=4).name == "hat-l"


def test_a_named_model_is_taken_for_every_picture() -> None:
    assert opening.open_one("hat-t", factor=2, jpeg_quality=50).name == "hat-t"


# The command line


@pytest.mark.parametrize(
    "target",
    [(), ("--scale", "2"), ("--scale", "3"), ("--scale", "5"), ("--scale", "8"), ("--width", "40"),
     ("--long-edge", "50"), ("--short-edge", "30"), ("--megapixels", "0.001")],
    ids=" ".join,
)  # fmt: skip
def test_each_picture_gets_its_model_whatever_lies_beside_it(mixed: Path, tmp_path: Path, target: tuple[str]) -> None:
    said = events(mixed, "-o", tmp_path / "out", *target, "--overlap", "8")
    assert models(said) == {"worn.jpg": "hat-t-photo", "fine.jpg": "hat-t", "clean.png": "hat-t"}


def test_a_dry_run_says_the_same(mixed: Path, tmp_path: Path) -> None:
    said = events(mixed, "-o", tmp_path / "out", "--scale", "2", "--dry-run")
    assert models(said) == {"worn.jpg": "hat-t-photo", "fine.jpg": "hat-t", "clean.png": "hat-t"}


def test_a_jpeg_from_stdin_gets_it_too(tmp_path: Path) -> None:
    said = events("-", "-o", tmp_path / "a.png", "--scale", "2", stdin=jpeg(60))
    assert models(said) == {"stdin": "hat-t-photo"}


def test_the_line_for_people_and_the_name_of_the_file_tell_the_model(mixed: Path, tmp_path: Path) -> None:
    result = hat(mixed, "-o", tmp_path / "out", "--scale", "2", "--cpu", "--name", "{stem}-{model}")
    assert result.exit_code == 0
    (worn,) = [line for line in result.stderr.splitlines() if "worn.jpg ->" in line]
    assert worn.endswith(", hat-t-photo")
    names = sorted(path.name for path in (tmp_path / "out").glob("*.[jp]*"))
    assert names == ["clean-hat-t.png", "fine-hat-t.jpg", "worn-hat-t-photo.jpg"]


def test_the_pixels_are_those_of_the_model_that_is_named(mixed: Path, tmp_path: Path) -> None:
    events(mixed, "-o", tmp_path / "out", "--scale", "2", "-f", "png")
    events(mixed / "worn.jpg", "-o", tmp_path / "photo.png", "--scale", "2", "-n", "hat-t-photo")
    events(mixed / "worn.jpg", "-o", tmp_path / "clean.png", "--scale", "2", "-n", "hat-t")
    found, photo, clean = (
        np.asarray(Image.open(tmp_path / name)) for name in ("out/worn_x2.png", "photo.png", "clean.png")
    )
    assert np.array_equal(found, photo)
    assert not np.array_equal(found, clean)


def test_a_png_added_to_a_finished_folder_of_jpegs_is_the_only_one_made(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, quality in (("a.jpg", 60), ("b.jpg", 95)):
        (folder / name).write_bytes(jpeg(quality))
    assert len(models(events(folder, "-o", out, "--scale", "2"))) == 2
    part().save(folder / "c.png")
    said = events(folder, "-o", out, "--scale", "2")
    assert models(said) == {"c.png": "hat-t"}
    assert said[-1]["skipped"] == 2
    assert [event["event"] for event in events(folder, "-o", out, "--scale", "2")][-1:] == ["summary"]
    lines = [json.loads(line) for line in (out / ".hat-journal").read_text().splitlines()]
    assert {line["output"]: line["model"] for line in lines if "output" in line} == {
        "a_x2.jpg": "hat-t-photo", "b_x2.jpg": "hat-t", "c_x2.png": "hat-t",
    }  # fmt: skip


def test_other_weights_make_only_what_they_are_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "worn.jpg").write_bytes(jpeg(60))
    part().save(folder / "clean.png")
    assert len(models(events(folder, "-o", out, "--scale", "4"))) == 2
    monkeypatch.setattr(opening, "PHOTO_SISTERS", {})
    assert models(events(folder, "-o", out, "--scale", "4")) == {"worn.jpg": "hat-t"}


def test_compare_takes_it_for_a_jpeg(mixed: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from hatcli.cli import app

    for name, model in (("worn.jpg", "hat-t-photo"), ("clean.png", "hat-t")):
        page = tmp_path / f"{name}.html"
        arguments = ["compare", str(mixed / name), "-o", str(page), "-s", "2", "-n", "auto", "--cpu", "--quiet"]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        assert ("hat-t-photo" in page.read_text(encoding="utf-8")) is (model == "hat-t-photo")


# Python


def test_python_takes_it_by_the_same_rule_and_a_second_pass_is_for_a_clean_picture(mixed: Path) -> None:
    automatic, photo = hatcli.load(scale=2, device="cpu"), hatcli.load("hat-t-photo", scale=2, device="cpu")
    clean = hatcli.load("hat-t", scale=2, device="cpu")
    worn = decode.read(mixed / "worn.jpg")
    once = automatic.upscale(worn)
    assert np.array_equal(once.pixels, photo.upscale(worn).pixels)
    assert np.array_equal(automatic.upscale(mixed / "clean.png").pixels, clean.upscale(mixed / "clean.png").pixels)
    with Image.open(mixed / "worn.jpg") as opened:
        assert np.array_equal(automatic.upscale(opened).pixels, once.pixels)
    assert np.array_equal(automatic.upscale(once).pixels, clean.upscale(once).pixels)
