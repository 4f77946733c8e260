"""Room on the disk: refused only what cannot fit, told what may not."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest
from support.pictures import small_png
from support.repeating import Doubling

from hatcli.batch import estimate, room
from hatcli.batch.decision import decide
from hatcli.batch.inputs import InputFile
from hatcli.batch.plan import Job, Plan
from hatcli.errors import OutputError
from hatcli.image import encode
from hatcli.image.decode import PictureInfo
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.upscaling.device import choose
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler


def check(tmp_path: Path, ending: str, *, side: int, ignore: bool = False) -> list[str]:
    source = small_png(tmp_path / "a.png")
    jobs = [Job(InputFile(source, Path("a.png")), tmp_path / "new" / f"{number}{ending}") for number in range(2)]
    info = PictureInfo(side // 2, side // 2, 8, 3, False, "PNG", 1)
    plan, upscaler = Plan(Target(scale=2)), Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"))
    return room.check_room(
        jobs,
        plan,
        look=lambda path: info,
        decide=lambda picture, job: decide(picture, job, plan, upscaler),
        ignore=ignore,
    )


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=8_000))


def test_results_that_cannot_fit_are_refused_unless_told_otherwise(tmp_path: Path, little_room: None) -> None:
    with pytest.raises(OutputError, match="at least") as caught:
        check(tmp_path, ".bmp", side=100)
    assert "--ignore-free-space" in (caught.value.hint or "")
    assert "may take" in check(tmp_path, ".bmp", side=100, ignore=True)[0]


def test_results_that_may_fit_are_begun_and_told(tmp_path: Path, little_room: None) -> None:
    assert "may take" in check(tmp_path, ".png", side=100)[0]
    assert check(tmp_path, ".png", side=20) == []


def test_where_there_is_plenty_nothing_is_looked_at(tmp_path: Path) -> None:
    job = Job(InputFile(small_png(tmp_path / "a.png"), Path("a.png")), tmp_path / "b.png")

    def asked(*_: object) -> NoReturn:
        raise AssertionError("nobody needs to know")

    assert room.check_room([job], Plan(Target(scale=2)), look=asked, decide=asked) == []


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP", "AVIF", "GIF", "BMP"])
@pytest.mark.parametrize("compression", [None, 0, 9])
def test_no_picture_takes_less_than_the_least(tmp_path: Path, format: str, compression: int | None) -> None:
    flat = Picture(np.zeros((1500, 2000, 1), np.uint8))
    path = tmp_path / f"flat{encode.ending_for(format)}"
    encode.write(flat, path, options=EncodeOptions(compression=compression, quality=1), overwrite=False)
    least = estimate.least_bytes(format, width=2000, height=1500, compression=compression)
    assert least <= path.stat().st_size
