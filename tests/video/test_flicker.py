"""Temporal flicker: the numbers are those that arithmetic gives for films whose flicker is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.commands import refused
from support.films import ffmpeg, film
from typer.testing import CliRunner, Result

pytest.importorskip("av", reason="films need the extra `video`")
from hatcli.cli import app
from hatcli.evaluation.datasets import Pixels
from hatcli.progress import drive
from hatcli.video.film import probe
from hatcli.video.flicker import FilmScores, measured

LUMA = 219 / 255  # levels of luma a level of gray


@pytest.fixture
def gray(tmp_path: Path) -> Path:
    """A film in which nothing happens."""
    path = tmp_path / "gray.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=c=0x808080:size=64x48:rate=10", "-frames:v", "9", "-c:v", "ffv1", "-pix_fmt",
           "bgr0", path)  # fmt: skip
    return path


def offset_by(levels: list[int]) -> Callable[[Pixels], Pixels]:
    """A model that enlarges by repeating, frame after frame so many levels too bright."""
    waiting = iter(levels)

    def enlarge(low: Pixels) -> Pixels:
        return np.repeat(np.repeat(low, 2, axis=0), 2, axis=1) + np.uint8(next(waiting))

    return enlarge


def scores(path: Path, model: Callable[[Pixels], Pixels], *, has_truth: bool = True) -> FilmScores:
    return drive(measured(probe(path), {"model": model}, scale=2, has_truth=has_truth))["model"]


def decibels(error: float) -> float:
    return 20 * math.log10(255 / error)


def test_a_constant_error_does_not_flicker(gray: Path) -> None:
    found = scores(gray, offset_by([5] * 9))
    assert found.psnr_y == pytest.approx(decibels(5 * LUMA))
    assert found.tpsnr_y == math.inf
    assert found.still_change == 0


def test_an_error_that_comes_and_goes_is_counted_in_the_changes(gray: Path) -> None:
    found = scores(gray, offset_by([0, 8] * 4 + [0]))
    assert found.tpsnr_y == pytest.approx(decibels(8 * LUMA))
    assert found.psnr_y == pytest.approx(10 * math.log10(255**2 / (4 / 9 * (8 * LUMA) ** 2)))
    assert found.still_change == pytest.approx(8 * LUMA)
    assert found.still_share == 1


def test_without_a_truth_still_places_tell(gray: Path) -> None:
    found = scores(gray, offset_by([0, 3, 0, 3, 0, 3, 0, 3, 0]), has_truth=False)
    assert (found.psnr_y, found.tpsnr_y) == (None, None)
    assert found.still_change == pytest.approx(3 * LUMA)


def test_what_moves_is_not_counted_as_flicker(tmp_path: Path) -> None:
    path = tmp_path / "half.mkv"
    noisy = "[1]crop=32:48:0:0,noise=alls=90:allf=t[n];[0][n]overlay"
    ffmpeg("-f", "lavfi", "-i", "color=c=0x808080:size=64x48:rate=10", "-f", "lavfi", "-i",
           "testsrc2=size=64x48:rate=10", "-filter_complex", noisy, "-frames:v", "6", "-c:v", "ffv1", "-pix_fmt",
           "bgr0", path)  # fmt: skip

    def enlarge(low: Pixels) -> Pixels:
        large = np.repeat(np.repeat(low, 2, axis=0), 2, axis=1)
        large[:, :60] = np.random.default_rng(int(low.sum())).integers(0, 256, large[:, :60].shape)
        return large

    found = scores(path, enlarge, has_truth=False)
    assert 0.3 < found.still_share < 0.5
    assert found.still_change == 0


def test_where_everything_moves_nothing_is_said_of_still_places(tmp_path: Path) -> None:
    path = tmp_path / "noise.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=c=0x808080:size=64x48:rate=10,noise=alls=90:allf=t", "-frames:v", "5", "-c:v",
           "ffv1", path)  # fmt: skip
    assert scores(path, offset_by([0] * 5), has_truth=False).still_change is None


def test_a_part_of_a_film_is_measured(gray: Path) -> None:
    work = measured(probe(gray), {}, scale=2, start=Fraction(1, 5), length=Fraction(3, 10))
    assert list(work) == [1, 2, 3]


def evaluate(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words), "--cpu"])


def test_the_command_tells_every_model_beside_bicubic_and_the_truth(tmp_path: Path, weights: Path) -> None:
    source = film(tmp_path / "a.mkv", size="64x48", frames=4)
    done = evaluate("--video", source, "--scale", "2", "-n", weights)
    assert done.exit_code == 0, done.stderr
    assert "tPSNR Y" in done.stdout.splitlines()[0]
    assert [line.split()[2] for line in done.stdout.splitlines()[1:]] == ["truth", "bicubic", weights.stem]
    assert "RMS change" in done.stderr
    document = json.loads(evaluate("--video", source, "--scale", "2", "-n", weights, "--json", "--no-truth").stdout)
    [result] = document["results"]
    assert set(result["models"]) == {"bicubic", weights.stem}
    assert result["models"]["bicubic"]["tpsnr_y"] is None
    rows = evaluate("--video", source, "--scale", "2", "-n", weights, "--csv").stdout.splitlines()
    assert rows[0] == "film,scale,model,psnr_y,tpsnr_y,still_change,still_share"
    assert len(rows) == 4


@pytest.mark.parametrize("others", [["folder"], ["--card"], ["--paper"], ["--lr", "folder"], ["--gray", "rgb"]])
def test_what_means_nothing_for_a_film_is_refused(gray: Path, others: list[str]) -> None:
    assert "do not go together" in refused(evaluate("--video", gray, "--scale", "2", *others), 2)


@pytest.mark.parametrize("option", [["--no-truth"], ["--start", "1"], ["--duration", "2s"]])
def test_what_means_nothing_without_a_film_is_refused(tmp_path: Path, option: list[str]) -> None:
    assert f"{option[0]} is for --video" in refused(evaluate(tmp_path, *option), 2)


def test_one_frame_is_refused(gray: Path) -> None:
    assert "one frame does not flicker" in refused(
        evaluate("--video", gray, "--scale", "2", "-n", "bicubic", "--duration", "0.1"), 1
    )
