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

from hatcli.attribution.compare import Shown, contact_sheet, page
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
