"""JPEG quality told by the file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hatcli.image import decode
from hatcli.image.picture import with_pixels


def jpeg(path: Path, **saving: int) -> Path:
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path, "JPEG", **saving)
    return path


@pytest.mark.parametrize("quality", [5, 30, 50, 75, 90, 95, 100])
def test_the_quality_is_the_encoders(tmp_path: Path, quality: int) -> None:
    plain, finer = jpeg(tmp_path / "a.jpg", quality=quality), jpeg(tmp_path / "b.bin", quality=quality, subsampling=0)
    for path in (plain, finer):
        assert decode.read(path).jpeg_quality == quality
        assert decode.probe(path).jpeg_quality == quality


def test_several_pictures_in_one_jpeg_are_one(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16))
    image.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[image], quality=60)
    assert decode.read(tmp_path / "a.jpg").jpeg_quality == 60


def test_other_files_have_none_and_neither_has_a_result(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    assert decode.read(tmp_path / "a.png").jpeg_quality is None
    assert decode.probe(tmp_path / "a.png").jpeg_quality is None
    worn = decode.read(jpeg(tmp_path / "b.jpg", quality=60))
    assert with_pixels(worn, worn.pixels, None).jpeg_quality is None
