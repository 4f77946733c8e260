"""The pages of `hat compare` and `hat attribute` in Chromium, from file:// addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.comparisons import NASTY, pictures

from hatcli.attribution import page as attribution
from hatcli.attribution.comparison import INPUT, Shown, page
from hatcli.attribution.viewer import Pixels

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}
MATRIX = "selector => getComputedStyle(document.querySelector(selector)).transform"
PANES = ("#layerA img", "#layerB img")


@pytest.fixture
def show(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """A function that opens a page's text from a file; no page may raise, or ask for anything outside itself."""
    errors: list[str] = []
    contexts = []

    def opened(text: str, **options: Any) -> Any:
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        context = chromium.new_context(**{"viewport": DESK, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("request", lambda request: outside(request.url))
        tab.goto(file.as_uri())
        return tab

    def outside(address: str) -> None:
        if not address.startswith(("file:", "data:", "blob:")):
            errors.append(f"the page asked for {address}")

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def small() -> str:
    return page(pictures(), title=NASTY, truth=pictures()[0].pixels)


def frames(tab: Any) -> None:
    """Wait until what was asked for is drawn."""
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def panes(tab: Any) -> list[float]:
    """Both panes' transform, which must be one: scale and the place of the corner."""
    frames(tab)
    found = [tab.evaluate(MATRIX, selector) for selector in PANES]
    assert found[0] == found[1]
    numbers = [float(part) for part in re.findall(r"-?[\d.]+(?:e-?\d+)?", found[0])]
    assert numbers[0] == numbers[3]
    return [numbers[0], numbers[4], numbers[5]]


def middle(tab: Any) -> tuple[float, float]:
    box = tab.locator("#stage").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("viewport", [PHONE, DESK, {"width": 320, "height": 568}])
def test_names_are_text_and_nothing_is_wider_than_the_screen(show: Any, viewport: dict[str, int]) -> None:
    tab = show(small(), viewport=viewport)
    assert tab.title() == NASTY
    assert tab.locator("#tagB").inner_text().startswith(NASTY)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.keyboard.press("?")
    box = tab.locator("#keys").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= viewport["width"]


@pytest.mark.parametrize("text", [small(), attribution.page([], title="t")], ids=["compare", "attribute"])
def test_every_control_has_a_name_and_the_theme_turns_by_button_and_key(show: Any, text: str) -> None:
    tab = show(text, color_scheme="dark")
    unnamed = "[...document.querySelectorAll('button, select')].filter(one => !(one.textContent.trim() || "
    unnamed += "one.getAttribute('aria-label') || one.labels?.length)).map(one => one.id)"
    assert tab.evaluate(unnamed) == []
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(paper)
    tab.click("#theme")
    light = tab.evaluate(paper)
    assert light != dark
    tab.keyboard.press("t")
    assert tab.evaluate(paper) == dark


@pytest.mark.parametrize("viewport", [PHONE, DESK])
@pytest.mark.parametrize("size", [(40, 60), (64, 64), (900, 50), (1200, 1800)])
def test_the_page_opens_with_the_first_against_the_second_and_fills_the_window(
    show: Any, size: tuple[int, int], viewport: dict[str, int]
) -> None:
    shown = pictures(*size)
    tab = show(
        page([Shown(INPUT, shown[0].pixels), Shown("hat", shown[1].pixels, 12.34)], title="t"), viewport=viewport
    )
    assert tab.locator("#tagA").inner_text() == INPUT
    assert tab.locator("#tagB").inner_text().split("\n") == ["hat", "12.3 s"]
    for resized in ({}, {"width": 700, "height": 500}):
        if resized:
            tab.set_viewport_size(resized)
        scale, left, top = panes(tab)
        box = tab.locator("#stage").bounding_box()
        margins = (left, top, box["width"] - left - scale * size[1], box["height"] - top - scale * size[0])
        assert min(margins) == pytest.approx(0, abs=0.01)
        assert min(left, top) == pytest.approx(0, abs=0.01)


def test_the_picture_stays_in_the_middle_when_the_bar_above_grows(show: Any) -> None:
    tab = show(small())
    before = tab.locator("#stage").bounding_box()["height"]
    tab.evaluate("document.querySelector('header').style.paddingBottom = '90px'")
    tab.wait_for_function(f"document.getElementById('stage').getBoundingClientRect().height < {before - 70}")
    frames(tab)  # one for the observer; the next ones are awaited with the panes
    scale, left, top = panes(tab)
    box, side = tab.locator("#stage").bounding_box(), small_side(tab)
    assert min(left, top) == pytest.approx(0, abs=0.01)
    assert box["height"] - 2 * top == pytest.approx(scale * side[1], abs=0.1)
    assert box["width"] - 2 * left == pytest.approx(scale * side[0], abs=0.1)


def small_side(tab: Any) -> tuple[int, int]:
    """The size of the pictures, as the page has it."""
    width, height = tab.evaluate(
        "[document.getElementById('stage').viewer.width, document.getElementById('stage').viewer.height]"
    )
    return width, height


def test_a_window_that_grows_leaves_what_was_zoomed_alone(show: Any) -> None:
    tab = show(small())
    tab.keyboard.press("+")
    before = panes(tab)
    tab.set_viewport_size({"width": 900, "height": 700})
    assert panes(tab) == before


def test_keys_move_the_slider_zoom_and_show_the_difference(show: Any) -> None:
    tab = show(small())
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("document.getElementById('divider').getAttribute('aria-valuenow') === '52'")
    before = panes(tab)
    tab.keyboard.press("+")
    assert panes(tab)[0] == pytest.approx(before[0] * 1.25, rel=1e-4)
    tab.keyboard.press("0")
    assert panes(tab) == before
    tab.keyboard.press("d")
    tab.wait_for_function("document.getElementById('canvas').dataset.ready === '0,1'")
    one, two = (entry.pixels.astype(int) for entry in pictures())
    expected = np.minimum(255, 8 * np.abs(one - two))[7, 9].tolist()
    code = "Array.from(document.getElementById('canvas').getContext('2d').getImageData(9, 7, 1, 1).data).slice(0, 3)"
    assert tab.evaluate(code) == expected


def test_each_side_of_the_slider_shows_its_own_picture_pixel_for_pixel(show: Any, tmp_path: Path) -> None:
    halves = [Shown("red", np.full((40, 60, 3), (255, 0, 0), np.uint8)), Shown("blue", np.zeros((40, 60, 3), np.uint8))]
    tab = show(page(halves, title="t"))
    tab.keyboard.press("1")
    scale, left, top = panes(tab)
    assert (scale, left % 1, top % 1) == (1, 0, 0)
    tab.evaluate("for (const id of ['divider', 'zoom']) document.getElementById(id).style.visibility = 'hidden'")
    tab.screenshot(path=tmp_path / "seen.png")
    box = tab.locator("#stage").bounding_box()
    with Image.open(tmp_path / "seen.png") as seen:
        x, y = round(box["x"] + left), round(box["y"] + top)
        shown = np.asarray(seen.convert("RGB"))[y : y + 40, x : x + 60]
    cut = round(box["width"] / 2 - left)
    assert np.array_equal(shown[:, :cut], halves[0].pixels[:, :cut])
    assert np.array_equal(shown[:, cut:], halves[1].pixels[:, cut:])


def test_dragging_moves_both_panes_and_the_wheel_keeps_the_pixel_under_the_pointer(show: Any) -> None:
    tab = show(small())
    x, y = middle(tab)
    _, left, top = panes(tab)
    tab.mouse.move(x + 100, y + 50)
    tab.mouse.down()
    tab.mouse.move(x + 130, y + 10)
    tab.mouse.up()
    scale, moved_left, moved_top = panes(tab)
    assert (moved_left - left, moved_top - top) == (30, -40)
    tab.mouse.wheel(0, -300)
    box = tab.locator("#stage").bounding_box()
    pointer = (x + 130 - box["x"], y + 10 - box["y"])
    larger, new_left, new_top = panes(tab)
    assert larger > scale
    for at, old, new in ((pointer[0], moved_left, new_left), (pointer[1], moved_top, new_top)):
        assert (at - new) / larger == pytest.approx((at - old) / scale, abs=0.01)


def test_two_fingers_zoom_and_move_both_panes(show: Any) -> None:
    tab = show(small(), viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    x, y = middle(tab)
    scale, left, top = panes(tab)
    touch = tab.context.new_cdp_session(tab)

    def fingers(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": at[0], "y": at[1], "id": number} for number, at in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        frames(tab)

    fingers("touchStart", (x - 90, y - 60))
    fingers("touchStart", (x - 90, y - 60), (x - 90, y - 20))
    for step in range(1, 11):  # apart from 40 to 80 pixels, the middle from y - 40 to y
        fingers("touchMove", (x - 90, y - 60 + 2 * step), (x - 90, y - 20 + 6 * step))
    fingers("touchEnd")
    box = tab.locator("#stage").bounding_box()
    larger, new_left, new_top = panes(tab)
    assert larger == pytest.approx(2 * scale, rel=0.02)
    assert (y - box["y"] - new_top) / larger == pytest.approx((y - 40 - box["y"] - top) / scale, abs=1)
    assert (x - 90 - box["x"] - new_left) / larger == pytest.approx((x - 90 - box["x"] - left) / scale, abs=1)
    fingers("touchStart", (x + 60, y + 60))
    fingers("touchMove", (x + 50, y + 80))
    fingers("touchEnd")
    assert panes(tab) == pytest.approx([larger, new_left - 10, new_top + 20])


def test_a_drawn_crop_is_saved_as_png(show: Any, tmp_path: Path) -> None:
    tab = show(small())
    tab.keyboard.press("c")
    x, y = middle(tab)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 60, y + 60)
    tab.mouse.up()
    with tab.expect_download() as download:
        tab.click("#save")
    download.value.save_as(tmp_path / "crop.png")
    with Image.open(tmp_path / "crop.png") as crop:
        assert crop.width > 3 * 120


def test_a_crop_is_chosen_by_keys_alone_and_holds_each_pictures_pixels(show: Any, tmp_path: Path) -> None:
    tab = show(small())
    for key in ("c", "ArrowRight", *["Shift+ArrowLeft"] * 5, *["Shift+ArrowUp"] * 3, *["ArrowLeft"] * 9, "ArrowUp"):
        tab.keyboard.press(key)
    with tab.expect_download() as download:
        tab.keyboard.press("s")
    assert download.value.suggested_filename == "crop_0_0_20x16.png"
    download.value.save_as(tmp_path / "crop.png")
    with Image.open(tmp_path / "crop.png") as crop:
        seen = np.asarray(crop.convert("RGB"))
    factor, gap = 320 // 20, 12
    for number, entry in enumerate(pictures()):
        left = gap + number * (320 + gap) + factor // 2
        assert np.array_equal(seen[gap + factor // 2 :: factor, left::factor][:16, :20], entry.pixels[:16, :20])


def large(count: int, side: int) -> list[Shown]:
    """Pictures that compress as photographs do: soft shapes and a little noise."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    base = np.stack([128 + 90 * np.sin(9 * rows + phase) * np.cos(7 * columns * (phase + 1)) for phase in range(3)], -1)
    random = np.random.default_rng(0)
    shown = []
    for number in range(count):
        grain: Pixels = random.integers(0, 6, (side // 4, side // 4, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        shown.append(Shown(f"model {number}", (base + grain).astype(np.uint8)))
    return shown


def test_four_models_of_2048_squared_load_and_answer_while_zooming(show: Any) -> None:
    tab = show(page(large(4, 2048), title="large"))
    loaded = "stage.viewer.images.every(image => image.complete && image.naturalWidth === 2048)"
    tab.wait_for_function(loaded, timeout=60_000)
    counted = """async () => {
        let drawn = 0, running = true, longest = 0, last = performance.now();
        const count = now => {
            drawn++; longest = Math.max(longest, now - last); last = now;
            if (running) requestAnimationFrame(count);
        };
        requestAnimationFrame(count);
        for (let step = 0; step < 40; step++) {
            const turned = { deltaY: step < 20 ? -120 : 120, clientX: 500 + step, clientY: 400, cancelable: true };
            stage.dispatchEvent(new WheelEvent("wheel", turned));
            if (step % 10 === 9) stage.viewer.turn("b", 1);
            await new Promise(requestAnimationFrame);
        }
        stage.viewer.toggleDifference();
        while (canvas.dataset.ready === undefined) await new Promise(requestAnimationFrame);
        running = false;
        return { drawn, longest };
    }"""
    answer = tab.evaluate(counted)
    assert answer["drawn"] >= 40
    assert answer["longest"] < 5000  # milliseconds; a page that froze would be far above, on any machine
    assert tab.evaluate("document.getElementById('canvas').width") == 2048
