"""JPEG quality told by the file, and when `auto` takes the network for JPEGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hatcli.image.quality import jpeg_quality
from hatcli.models import catalog, opening


def jpeg(path: Path, **saving: int) -> Path:
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path, "JPEG", **saving)
    return path


@pytest.mark.parametrize("quality", [5, 30, 50, 75, 90, 95, 100])
def test_the_quality_is_the_encoders(tmp_path: Path, quality: int) -> None:
    assert jpeg_quality(jpeg(tmp_path / "a.jpg", quality=quality)) == quality
    assert jpeg_quality(jpeg(tmp_path / "b.bin", quality=quality, subsampling=0)) == quality


def test_other_files_have_none(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    assert jpeg_quality(tmp_path / "a.png") is None
    assert jpeg_quality(tmp_path / "b.jpg") is None
    assert jpeg_quality(tmp_path / "missing.jpg") is None


@pytest.mark.parametrize(
    ("qualities", "scale", "taken"),
    [
        ([75], 4, True),
        ([75, 90, 50], None, True),
        ([75], 3, True),
        ([75], 2, False),
        ([75], 8, False),
        ([75, None], 4, False),
        ([75, 91], 4, False),
    ],
)
def test_auto_takes_the_network_for_jpegs_where_every_picture_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qualities: list[int | None], scale: float | None, taken: bool
) -> None:
    monkeypatch.setenv("HAT_HOME", str(tmp_path))
    assert opening.for_photos(qualities, scale=scale) == ("hat-t-photo" if taken else None)


def test_a_better_model_that_is_installed_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "best_installed", lambda scale=None: catalog.resolve("hat"))
    assert opening.for_photos([75], scale=4) is None
