"""The compare page and the contact sheet, as text and pixels."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.comparisons import NASTY, pictures

from hatcli.attribution.comparison import Shown, contact_sheet, page
from hatcli.errors import InputError


def data_of(text: str) -> Any:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_pictures_are_inside_without_loss_and_nothing_is_fetched() -> None:
    shown = pictures()
    text = page(shown, title=NASTY)
    models = data_of(text)["models"]
    assert [model["name"] for model in models] == ["one", NASTY]
    for model, entry in zip(models, shown, strict=True):
        encoded = model["source"].split(",")[1]
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))), entry.pixels)
    assert NASTY not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "__" not in re.sub(r"base64,[^\"]*", "", text)


def soft(side: int) -> Shown:
    """A picture that compresses as photographs do."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    waves = [128 + 90 * np.sin(9 * rows + phase) * np.cos(70 * columns * rows * (phase + 1)) for phase in range(3)]
    grain = np.random.default_rng(0).normal(0, 3, (side, side, 3))
    return Shown("soft", np.clip(np.stack(waves, -1) + grain, 0, 255).astype(np.uint8), 1.5)


def test_large_pictures_are_stored_small_and_the_page_says_so() -> None:
    shown = soft(1200)
    small, exact = page([shown], title="t"), page([shown], title="t", lossless=True)
    assert len(small) < len(exact) / 2.5
    kept = np.asarray(Image.open(io.BytesIO(base64.b64decode(data_of(small)["models"][0]["source"].split(",")[1]))))
    assert np.abs(kept.astype(int) - shown.pixels).mean() < 3
    assert ["--lossless" in note for note in data_of(small)["notes"]] == [True]
    assert data_of(exact)["notes"] == []
    assert data_of(page([shown], title="t", notes=["a part"], lossless=True))["notes"] == ["a part"]
    assert data_of(small)["models"][0]["seconds"] == 1.5


def test_scores_are_there_with_a_truth_only_and_equal_pictures_have_no_psnr() -> None:
    shown = pictures()
    models = data_of(page(shown, title="t", truth=shown[0].pixels, border=4))["models"]
    assert models[0]["psnr_y"] is None
    assert models[0]["ssim_y"] == pytest.approx(1)
    assert 5 < models[1]["psnr_y"] < 15
    assert models[2]["name"] == "truth"
    assert "psnr_y" not in models[2]
    assert "psnr_y" not in data_of(page(shown, title="t"))["models"][0]


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="50 x 40"):
        page([*pictures(), Shown("other", np.zeros((40, 50, 3), np.uint8))], title="t")


def test_the_contact_sheet_holds_every_picture_pixel_for_pixel() -> None:
    shown = pictures()
    sheet = np.asarray(contact_sheet(shown, columns=1))
    assert np.array_equal(sheet[12:52, 12:72], shown[0].pixels)
    assert any(np.array_equal(sheet[top : top + 40, 12:72], shown[1].pixels) for top in range(52, 120))
