"""`hat upscale` from the outside: what it writes, what it refuses, what it says, and its exit codes."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import PHOTO, hat, refused

from hatcli.image import decode, encode
from hatcli.image.picture import Picture


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return Path(shutil.copy(PHOTO, tmp_path / "photo.png"))


def test_the_result_lies_beside_the_input_and_the_input_is_untouched(photo: Path) -> None:
    before = photo.read_bytes()
    result = hat(photo, "--scale", "4")
    assert result.exit_code == 0, result.stderr
    with Image.open(photo.with_name("photo_x4.png")) as large:
        assert large.size == (768, 768)
    assert photo.read_bytes() == before
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.png", "photo_x4.png"]
    assert "hat-t" in result.stderr
    assert "device cpu" in result.stderr or "device cuda" in result.stderr
    assert result.stdout == ""


def test_an_existing_output_is_an_error_unless_it_may_be_replaced(photo: Path, weights: Path) -> None:
    output = photo.with_name("out.png")
    output.write_bytes(b"precious")
    assert "exists" in refused(hat(photo, "-o", output, "-n", weights), 2)
    assert output.read_bytes() == b"precious"
    assert hat(photo, "-o", output, "-n", weights, "--skip-existing").exit_code == 0
    assert output.read_bytes() == b"precious"
    assert hat(photo, "-o", output, "-n", weights, "--overwrite").exit_code == 0
    assert decode.read(output).width == 384


def test_what_cannot_be_meant_is_exit_code_2(photo: Path, weights: Path) -> None:
    folder = photo.parent
    assert "there is no file" in refused(hat(folder / "missing.png"), 2)
    assert "is the input" in refused(hat(photo, "-o", photo, "-n", weights), 2)
    assert "no ending" in refused(hat(photo, "-o", folder / "out.xyz", "-n", weights), 2)
    assert "--scale" in refused(hat(photo, "--scale", "1"), 2)
    assert "device" in refused(hat(photo, "--device", "tpu"), 2)
    assert "no model named" in refused(hat(photo, "-n", "hta"), 2)
    assert hat(photo, "--scael", "2").exit_code == 2
    assert sorted(path.name for path in folder.iterdir()) == ["photo.png"]


def test_wrong_weights_are_exit_code_3(photo: Path) -> None:
    page = photo.with_name("page.safetensors")
    page.write_text("<!DOCTYPE html>")
    assert "web page" in refused(hat(photo, "-n", page), 3)


def test_an_unreadable_picture_is_exit_code_1_and_leaves_nothing(tmp_path: Path, weights: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(PHOTO.read_bytes()[:3000])
    refused(hat(broken, "-n", weights), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.png"]


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs /dev/null")
def test_an_output_that_cannot_be_written_is_exit_code_5(photo: Path, weights: Path) -> None:
    refused(hat(photo, "-o", "/dev/null/out.png", "-n", weights), 5)


def test_a_bad_picture_does_not_stop_the_others(photo: Path, weights: Path) -> None:
    (photo.parent / "broken.png").write_bytes(PHOTO.read_bytes()[:3000])
    shutil.copy(photo, photo.with_name("z.png"))
    result = hat(photo.parent, "-o", photo.parent / "out", "-n", weights)
    assert result.exit_code == 1
    assert sorted(path.name for path in (photo.parent / "out").glob("*.png")) == ["photo_x2.png", "z_x2.png"]
    assert "1 failed" in result.stderr
    assert "broken.png" in result.stderr


def test_a_tree_is_mirrored_and_other_files_are_counted(tmp_path: Path, weights: Path) -> None:
    source = tmp_path / "in"
    for place in ("a.png", "sub/b.png", "sub/deep/c.png"):
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), "teal").save(source / place)
    (source / "notes.txt").write_text("no picture")
    (source / ".hidden.png").write_bytes((source / "a.png").read_bytes())
    result = hat(source, "-r", "-o", tmp_path / "out", "-n", weights)
    assert result.exit_code == 0, result.stderr
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert written == [str(Path(place)) for place in ("a_x2.png", "sub/b_x2.png", "sub/deep/c_x2.png")]
    assert "3 done" in result.stderr
    assert "1 other file passed over" in result.stderr


def test_two_inputs_that_would_give_one_output_are_refused(tmp_path: Path, weights: Path) -> None:
    for name in ("one/a.png", "other/a.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    result = hat(tmp_path / "one" / "a.png", tmp_path / "other" / "a.png", "-o", tmp_path / "out", "-n", weights)
    assert "would both become" in refused(result, 2)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_depth_alpha_profile_and_resolution_survive(tmp_path: Path, weights: Path, suffix: str) -> None:
    random = np.random.default_rng(3)
    picture = Picture(
        random.integers(0, 65536, (9, 11, 3), dtype=np.uint16),
        random.integers(0, 65536, (9, 11), dtype=np.uint16),
        dpi=(300.0, 300.0),
    )
    source, output = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    encode.write(picture, source, overwrite=False)
    assert hat(source, "-o", output, "-n", weights).exit_code == 0
    result = decode.read(output)
    assert (result.width, result.height, result.bits) == (22, 18, 16)
    assert result.alpha is not None
    assert result.dpi is not None
    assert result.dpi[0] == pytest.approx(300, abs=0.1)


def test_alpha_into_jpeg_is_said_in_a_line(tmp_path: Path, weights: Path) -> None:
    Image.new("RGBA", (6, 6), (255, 0, 0, 100)).save(tmp_path / "in.png")
    result = hat(tmp_path / "in.png", "-o", tmp_path / "out.jpg", "-n", weights)
    assert result.exit_code == 0
    assert "transparen" in result.stderr
    assert decode.read(tmp_path / "out.jpg").alpha is None


def test_a_stream_goes_in_and_out(weights: Path) -> None:
    program = [sys.executable, "-m", "hatcli", "upscale", "-", "-o", "-", "-n", str(weights)]
    done = subprocess.run(program, input=PHOTO.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert decode.decode(done.stdout).width == 384


def test_json_lines_tell_the_whole_run(photo: Path, weights: Path) -> None:
    (photo.parent / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = hat(photo, photo.parent / "bad.png", "-n", weights, "--json", "-o", photo.parent / "out")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "summary"
    assert {"done", "failed"} <= set(kinds)
    done = next(event for event in events if event["event"] == "done")
    assert (done["width"], done["height"]) == (384, 384)
    assert (events[-1]["done"], events[-1]["failed"]) == (1, 1)


def test_a_dry_run_writes_nothing(photo: Path, weights: Path) -> None:
    result = hat(photo, "-n", weights, "--dry-run")
    assert result.exit_code == 0
    assert "384 x 384" in result.stderr
    assert [path.name for path in photo.parent.iterdir()] == ["photo.png"]


def test_hostile_names_reach_the_terminal_escaped(tmp_path: Path, weights: Path) -> None:
    name = "a\x1b[31m[red]b.png"
    Image.new("RGB", (4, 4)).save(tmp_path / name)
    result = hat(tmp_path / name, "-n", weights)
    assert result.exit_code == 0, result.stderr
    assert "\x1b" not in result.stderr
    assert "[red]" in result.stderr
    assert (tmp_path / "a\x1b[31m[red]b_x2.png").exists()


def test_exact_widths_and_other_factors(photo: Path, weights: Path) -> None:
    for options, size in ((("--width", "301"), (301, 301)), (("--scale", "1.5"), (288, 288))):
        output = photo.with_name("out.png")
        assert hat(photo, "-o", output, "-n", weights, "--overwrite", *options).exit_code == 0
        assert (decode.read(output).width, decode.read(output).height) == size


def test_a_folder_that_takes_no_files_is_refused_before_any_work(photo: Path, weights: Path) -> None:
    (photo.parent / "file").write_text("not a folder")
    result = hat(photo, "-o", photo.parent / "file" / "out.png", "-n", weights)
    assert "is not a folder" in refused(result, 5)
    assert "device" not in result.stderr


@pytest.mark.parametrize(("quality", "told"), [(75, True), (90, True), (91, False), (97, False)])
def test_a_worn_jpeg_given_to_a_clean_model_is_told_of_real_hat(photo: Path, quality: int, told: bool) -> None:
    picture = photo.with_suffix(".jpg")
    with Image.open(photo) as image:
        image.convert("RGB").save(picture, quality=quality)
    result = hat(picture, "-n", "hat-t", "-s", "2.5", "--dry-run")
    assert ("real-hat" in result.stderr) is told
    assert "x3 reduced once" in result.stderr


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs pipes as files")
@pytest.mark.parametrize("options", [(), ("--width", "300"), ("-n", "auto", "--scale", "2")])
def test_a_shells_pipe_is_opened_once(tmp_path: Path, weights: Path, options: tuple[str, ...]) -> None:
    jpeg = tmp_path / "a.jpg"
    with Image.open(PHOTO) as image:
        image.convert("RGB").crop((0, 0, 30, 20)).save(jpeg, quality=60)
    program = [sys.executable, "-m", "hatcli", "upscale", "-n", str(weights), "-o", str(tmp_path / "out.png"), *options]
    command = f"exec {shlex.join(program)} <(cat {shlex.quote(str(jpeg))})"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as large:
        assert large.width in (60, 120, 300)


def test_pictures_above_the_default_limit_are_named_by_their_factor(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "DEFAULT_MAX_PIXELS", 50)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    result = hat(tmp_path / "a.png", "-n", weights, "--width", "16", "--max-megapixels", "0.0001")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "a_x2.png").exists()


@pytest.mark.parametrize(
    "options",
    [("--megapixels", "nan"), ("--megapixels", "inf"), ("--scale", "nan"),
     ("--max-megapixels", "inf"), ("--max-megapixels", "nan"), ("--max-megapixels", "0")],
)  # fmt: skip
def test_numbers_that_are_none_are_refused(photo: Path, weights: Path, options: tuple[str, str]) -> None:
    refused(hat(photo, "-n", weights, *options), 2)
    assert [path.name for path in photo.parent.iterdir()] == ["photo.png"]


def test_a_failure_names_its_picture_once_a_line(tmp_path: Path, weights: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PHOTO.read_bytes()[:3000])
    result = hat(tmp_path, "-o", tmp_path / "out", "-n", weights)
    lines = [line for line in result.stderr.splitlines() if line.startswith(("error: ", "failed: "))]
    assert len(lines) == 4
    assert all(line.count(str(tmp_path)) == 1 for line in lines), lines


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_a_result_whose_name_ends_like_its_pictures_does_not_stand_for_it(tmp_path: Path, weights: Path) -> None:
    import resource

    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "in" / "2.png")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        result = hat(tmp_path / "in", "-o", tmp_path / "out", "-n", weights)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.exit_code == 5
    assert f"{Path('in', '2.png')}: 2_x2.png grows larger" in result.stderr  # "2.png" is in "2_x2.png"
