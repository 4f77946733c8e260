"""The compare page and the contact sheet, in text and in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hatcli.attribution.compare import Shown, contact_sheet, page
from hatcli.errors import InputError

NASTY = "</script><script>document.title='broken'</script>&\"'"


def pictures(height: int = 40, width: int = 60) -> list[Shown]:
    noise = np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
    return [Shown("one", noise[0]), Shown(NASTY, noise[1])]


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


@pytest.fixture
def browser_page(tmp_path: Path) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium")
    file = tmp_path / "page.html"
    file.write_text(page(pictures(), title=NASTY, truth=pictures()[0].pixels), encoding="utf-8")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 390, "height": 844})
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(file.as_uri())
        yield opened
        assert errors == []
        browser.close()


@pytest.mark.browser
def test_names_are_text_and_the_page_fits_a_phone(browser_page: Any) -> None:
    assert browser_page.title() == NASTY
    assert browser_page.locator("#tagB").inner_text().startswith(NASTY)
    assert browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_keys_move_the_slider_zoom_and_show_the_difference(browser_page: Any) -> None:
    browser_page.keyboard.press("ArrowRight")
    browser_page.wait_for_function("document.getElementById('divider').getAttribute('aria-valuenow') === '52'")
    before = browser_page.locator("#zoom").inner_text()
    browser_page.keyboard.press("+")
    browser_page.wait_for_function("old => document.getElementById('zoom').textContent !== old", arg=before)
    browser_page.keyboard.press("d")
    browser_page.wait_for_function("document.getElementById('canvas').dataset.ready === '0,1'")
    one, two = (entry.pixels.astype(int) for entry in pictures())
    expected = np.minimum(255, 8 * np.abs(one - two))[7, 9].tolist()
    code = "Array.from(document.getElementById('canvas').getContext('2d').getImageData(9, 7, 1, 1).data).slice(0, 3)"
    assert browser_page.evaluate(code) == expected


@pytest.mark.browser
def test_a_drawn_crop_is_saved_as_png(browser_page: Any, tmp_path: Path) -> None:
    browser_page.keyboard.press("c")
    box = browser_page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    browser_page.mouse.move(x, y)
    browser_page.mouse.down()
    browser_page.mouse.move(x + 60, y + 60)
    browser_page.mouse.up()
    with browser_page.expect_download() as download:
        browser_page.keyboard.press("s")
    download.value.save_as(tmp_path / "crop.png")
    with Image.open(tmp_path / "crop.png") as crop:
        assert crop.width > 3 * 120
