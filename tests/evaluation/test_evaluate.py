"""Evaluation: every model on every picture under one protocol, and the tables that come of it."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hatcli.errors import WeightsError
from hatcli.evaluation import tables
from hatcli.evaluation.datasets import SetPicture, find_pairs, load_pair
from hatcli.evaluation.evaluate import Enlarge, ScoredPicture, evaluate, means, through_tensors
from hatcli.evaluation.metrics import Scores, score
from hatcli.evaluation.published import BICUBIC_SCORES, Published, published
from hatcli.image.resample import imresize
from hatcli.models import catalog


def smooth(height: int, width: int, *, shift: float = 0.0) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    planes = [127 + 100 * np.sin(rows / 5 + shift + c) * np.cos(columns / 7) for c in range(3)]
    return np.stack(planes, axis=2).round().astype(np.uint8)


@pytest.fixture
def pairs(tmp_path: Path) -> list[SetPicture]:
    for number in range(3):
        Image.fromarray(smooth(32, 44, shift=number)).save(tmp_path / f"p{number}.png")
    Image.fromarray(smooth(32, 32)[:, :, 0]).save(tmp_path / "gray.png")
    return find_pairs(tmp_path, scale=2)


def nearest(values: torch.Tensor) -> torch.Tensor:
    return values.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)


NEAREST: Enlarge = through_tensors(nearest)


def test_bicubic_is_always_included_and_every_model_sees_every_picture(pairs: list[SetPicture]) -> None:
    results = list(evaluate(pairs, {"nearest": NEAREST}, scale=2))
    assert [(r.image, r.model) for r in results] == [
        (pair.name, model) for pair in pairs for model in ("bicubic", "nearest")
    ]
    assert {r.model for r in evaluate(pairs, {}, scale=2)} == {"bicubic"}


def test_the_scored_pixels_are_the_ones_returned(pairs: list[SetPicture]) -> None:
    for pair, result in zip(pairs, evaluate(pairs, {}, scale=2), strict=True):
        example = load_pair(pair, scale=2)
        assert np.array_equal(result.pixels, imresize(example.low, 2))
        assert result.scores == score(result.pixels, example.truth, border=2)
        assert result.pixels.dtype == np.uint8


def test_a_perfect_model_has_infinite_psnr(pairs: list[SetPicture]) -> None:
    colour = [pair for pair in pairs if pair.name != "gray"]
    truths = iter([load_pair(pair, scale=2).truth for pair in colour])
    results = [r for r in evaluate(colour, {"oracle": lambda low: next(truths)}, scale=2) if r.model == "oracle"]
    assert all(result.scores.psnr_y == math.inf for result in results)


def test_results_are_yielded_before_the_next_picture_is_touched(pairs: list[SetPicture], tmp_path: Path) -> None:
    work = evaluate([pairs[0], SetPicture("gone", tmp_path / "gone.png")], {}, scale=2)
    assert next(work).image == pairs[0].name


def test_gray_pictures_stay_gray_through_a_network(pairs: list[SetPicture]) -> None:
    gray = [result for result in evaluate(pairs, {"nearest": NEAREST}, scale=2) if result.image == "gray"]
    assert [result.pixels.shape for result in gray] == [(32, 32, 1)] * 2
    expanded = evaluate(pairs, {"nearest": NEAREST}, scale=2, gray="rgb")
    assert {result.pixels.shape[2] for result in expanded} == {3}


def test_tensor_results_are_clamped_and_rounded_to_nearest() -> None:
    low = np.full((2, 2, 3), 100, dtype=np.uint8)
    assert (through_tensors(lambda v: nearest(v) + 0.6 / 255)(low) == 101).all()
    assert (through_tensors(lambda v: nearest(v) + 5)(low) == 255).all()
    assert (through_tensors(lambda v: nearest(v) - 5)(low) == 0).all()


def test_a_network_that_gives_nan_is_not_scored(pairs: list[SetPicture]) -> None:
    broken = through_tensors(lambda values: nearest(values) * float("nan"))
    with pytest.raises(WeightsError, match="not numbers"):
        list(evaluate(pairs, {"broken": broken}, scale=2))


def test_a_model_of_another_scale_is_named(pairs: list[SetPicture]) -> None:
    with pytest.raises(WeightsError, match="same made 22 x 16 pixels of p0, not 44 x 32") as raised:
        list(evaluate(pairs[1:], {"same": lambda low: low}, scale=2))
    assert raised.value.hint == "use weights for scale 2"


def scores(psnr: float, ssim: float = 0.9) -> Scores:
    return Scores(psnr, ssim, psnr - 2, ssim - 0.1)


def report() -> tables.Report:
    filled = tables.Report("Set5", 4)
    for model, image, found in [
        ("bicubic", "baby", scores(28.004, 0.8)),
        ("bicubic", "bird|1", scores(29.0, 0.82)),
        ("my,net", "baby", scores(30.5)),
        ("my,net", "bird|1", scores(math.inf, 1.0)),
    ]:
        filled.add(ScoredPicture(model, image, np.zeros((1, 1, 3), dtype=np.uint8), found, 0.1))
    filled.published["bicubic"] = Published(28.42, 0.8104, "a table")
    return filled


def test_means_are_per_model(pairs: list[SetPicture]) -> None:
    results = list(evaluate(pairs, {"nearest": NEAREST}, scale=2))
    found = means(results)
    assert list(found) == ["bicubic", "nearest"]
    expected = np.mean([r.scores.psnr_y for r in results if r.model == "nearest"])
    assert found["nearest"].psnr_y == pytest.approx(float(expected))


def test_the_plain_table_has_a_line_for_each_picture_and_mean_in_columns_of_one_width() -> None:
    lines = tables.plain_text(tables.score_table([report()])).splitlines()
    assert len(lines) == 1 + 2 * 3
    assert lines[0].split() == [
        *["set", "scale", "model", "image"],
        *["PSNR", "Y", "SSIM", "Y", "PSNR", "RGB", "SSIM", "RGB"],
    ]
    assert lines[3].split() == ["Set5", "x4", "bicubic", "mean", "28.50", "0.8100", "26.50", "0.7100"]
    assert len({len(line) for line in lines}) == 1


def test_markdown_keeps_its_columns_when_a_name_holds_a_bar() -> None:
    lines = tables.markdown(tables.score_table([report()])).splitlines()
    assert {line.replace("\\|", "").count("|") for line in lines} == {9}
    assert "bird\\|1" in lines[3]
    assert set(lines[1]) <= set("|-: ")


def test_csv_reads_back_with_full_precision_and_published_means() -> None:
    rows = list(csv.DictReader(io.StringIO(tables.comma_separated([report()]))))
    assert [row["image"] for row in rows] == ["baby", "bird|1", "mean"] * 2
    assert float(rows[0]["psnr_y"]) == 28.004
    assert rows[3]["model"] == "my,net"
    assert (rows[2]["published_psnr_y"], rows[2]["published_ssim_y"]) == ("28.42", "0.8104")
    assert rows[0]["published_psnr_y"] == rows[5]["published_psnr_y"] == ""


def test_json_has_the_documented_shape_and_no_infinity() -> None:
    text = json.dumps(tables.as_json(report()), allow_nan=False)
    found = json.loads(text)
    assert (found["set"], found["scale"], found["border"]) == ("Set5", 4, 4)
    bicubic = found["models"]["bicubic"]
    assert bicubic["psnr_y"] == pytest.approx(28.502)
    assert bicubic["images"]["baby"]["psnr_y"] == 28.004
    assert set(bicubic["images"]["baby"]) == {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}
    assert bicubic["published"] == {"psnr_y": 28.42, "ssim_y": 0.8104, "source": "a table"}
    assert found["models"]["my,net"]["images"]["bird|1"]["psnr_y"] is None
    assert "published" not in found["models"]["my,net"]


def test_the_papers_table_sets_ours_beside_theirs_with_the_difference() -> None:
    table = tables.paper_table([report()])
    assert table.rows[0] == ("Set5", "x4", "bicubic", "28.50", "28.42", "+0.08", "0.8100", "0.8104", "-0.0004")
    assert table.rows[1][4:6] == ("", "")
    assert tables.sources([report(), report()]) == ("bicubic: a table",)


def test_published_numbers_are_those_of_the_model_the_set_and_the_scale() -> None:
    found = published("hat-s", dataset="Set5", scale=4)
    assert found is not None
    assert found.psnr == next(s.psnr for s in catalog.resolve("hat-s-x4").scores if s.dataset == "Set5")
    assert published("hat-s-x4", dataset="Set5", scale=2) is None
    assert published("hat-s", dataset="holiday", scale=4) is None
    assert published("some/file.safetensors", dataset="Set5", scale=4) is None


def test_every_published_number_has_a_source_and_is_plausible() -> None:
    for scale, sets in BICUBIC_SCORES.items():
        for dataset, (psnr, ssim) in sets.items():
            found = published("bicubic", dataset=dataset, scale=scale)
            assert found is not None
            assert found.source
            assert (found.psnr, found.ssim) == (psnr, ssim)
    for entry in catalog.entries():
        for known in entry.scores:
            found = published(entry.id, dataset=known.dataset, scale=entry.scale)
            bicubic = BICUBIC_SCORES[entry.scale].get(known.dataset)
            assert found is None or bicubic is None or bicubic[0] < found.psnr < bicubic[0] + 11
