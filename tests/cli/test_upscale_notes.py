"""What `hat upscale` says about a result that is not what one might think."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import hat


def test_a_result_that_is_smaller_than_the_picture_is_said_to_be(tmp_path: Path, weights: Path) -> None:
    Image.new("RGB", (69, 46), "teal").save(tmp_path / "a.png")
    result = hat(tmp_path / "a.png", "-n", weights, "--width", "40", "--json")
    assert result.exit_code == 0
    done = [json.loads(line) for line in result.stdout.splitlines() if '"done"' in line]
    assert done[0]["notes"] == ["made smaller: 69 x 46 to 40 x 27, without the network"]
    assert "note: made smaller" in result.stderr


def test_a_deep_gradient_keeps_its_levels_when_bf16_is_asked_for(tmp_path: Path, weights: Path) -> None:
    ramp = np.linspace(20000, 26000, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    result = hat(tmp_path / "deep.png", "-n", weights, "--precision", "bf16", "-o", tmp_path / "large.png")
    assert result.exit_code == 0
    assert "computed in fp32" in result.stderr
    with Image.open(tmp_path / "large.png") as image:
        assert len(np.unique(np.asarray(image))) > 3000


@pytest.mark.parametrize(("asked", "said"), [
    (("--crf", "20"), "--crf is for films, and there is none"),
    (("--start", "3", "--deinterlace"), "--deinterlace is for films, and there is none"),
    (("--pages", "2"), "--pages is for TIFFs, and there is none"),
])  # fmt: skip
def test_options_that_mean_nothing_for_what_is_there_are_told(
    asked: tuple[str, ...], said: str, tmp_path: Path, weights: Path
) -> None:
    Image.new("RGB", (9, 6), "teal").save(tmp_path / "a.png")
    result = hat(tmp_path / "a.png", "-n", weights, "--dry-run", *asked)
    assert result.exit_code == 0
    assert f"note: {said}" in result.stderr
    assert "there is none" not in hat(tmp_path / "a.png", "-n", weights, "--dry-run").stderr


def test_pages_are_no_idle_option_where_one_file_is_a_tiff_by_its_content(tmp_path: Path, weights: Path) -> None:
    Image.new("RGB", (9, 6), "teal").save(tmp_path / "a.png")
    Image.new("RGB", (9, 6), "teal").save(tmp_path / "b.jpg", "TIFF")
    result = hat(tmp_path / "a.png", tmp_path / "b.jpg", "-n", weights, "--dry-run", "--pages", "all")
    assert "there is none" not in result.stderr


@pytest.mark.parametrize("name", ["o.jpg", "o.TGA", "o.tif"])
def test_a_format_is_not_written_under_the_ending_of_another(name: str, tmp_path: Path, weights: Path) -> None:
    Image.new("RGB", (9, 6), "teal").save(tmp_path / "a.png")
    result = hat(tmp_path / "a.png", "-n", weights, "-o", tmp_path / name, "-f", "png")
    assert result.exit_code == 2
    assert f"{name} would be PNG under the ending of" in result.stderr
    assert "leave --format out, or name it o.png" in result.stderr
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["o.jpe", "o.bin", "o"])
def test_a_format_is_written_under_an_ending_that_means_no_other(name: str, tmp_path: Path, weights: Path) -> None:
    Image.new("RGB", (9, 6), "teal").save(tmp_path / "a.png")
    result = hat(tmp_path / "a.png", "-n", weights, "-o", tmp_path / name, "-f", "jpg")
    assert result.exit_code == 0
    with Image.open(tmp_path / name) as image:
        assert image.format == "JPEG"
