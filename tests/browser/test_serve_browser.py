"""The page of `hat serve` in Chromium, against a server that really enlarges."""

from __future__ import annotations

import base64
import io
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Page, expect
from support.serving import Serving, size_of, until

pytestmark = pytest.mark.browser
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
HOSTILE = "<img src=x onerror=\"document.title='broken'\">'&amp;.png"
RIGHT_TO_LEFT = "חתול\u202eשלי.png"
SLOW = (720, 540)  # pixels of a picture that is still running when a hand has moved
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("page")
    (found / "root").mkdir()
    return found


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[Serving]:
    with Serving(place / "state", "--max-megabytes", "3", "--root", str(place / "root")) as found:
        yield found


@pytest.fixture
def server(running: Serving) -> Iterator[Serving]:
    """A server without jobs."""
    yield running
    for id in running.jobs():
        running.ask("DELETE", f"/api/v1/jobs/{id}")  # the first ends it ...
        running.ask("DELETE", f"/api/v1/jobs/{id}")  # ... the second removes it


@pytest.fixture
def show(chromium: Any) -> Iterator[Open]:
    """A function that opens the page; it may not fail, break its own policy, or ask for anything elsewhere."""
    errors: list[str] = []
    contexts: list[Any] = []

    def opened(server: Serving, context: Any = None, **options: Any) -> Page:
        if context is None:
            context = chromium.new_context(**{"viewport": DESK, **options})
            contexts.append(context)
        context.set_default_timeout(20_000)
        tab: Page = context.new_page()
        own = (f"http://127.0.0.1:{server.port}/", "blob:", "data:")
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
        tab.on("request", lambda request: None if request.url.startswith(own) else errors.append(request.url))
        tab.goto(f"http://127.0.0.1:{server.port}/?token={server.token}")
        expect(tab.locator("body")).to_have_attribute("data-ready", "true")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def picture(width: int = 24, height: int = 18, seed: int = 0) -> bytes:
    """Soft colours that compress as a photograph does."""
    random = np.random.default_rng(seed)
    few = Image.fromarray(random.integers(0, 255, (5, 6, 3)).astype(np.uint8))
    file = io.BytesIO()
    few.resize((width, height), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def given(name: str, content: bytes) -> Any:
    """A file as a file chooser gives it."""
    return {"name": name, "mimeType": "image/png", "buffer": content}


def drop(tab: Page, files: dict[str, bytes]) -> None:
    """What a browser does when files are let go over the page."""
    packed = [[name, base64.b64encode(content).decode()] for name, content in files.items()]
    made = """files => {
        const moved = new DataTransfer();
        for (const [name, content] of files)
            moved.items.add(new File([Uint8Array.from(atob(content), letter => letter.charCodeAt(0))], name));
        return moved;
    }"""
    tab.dispatch_event("#drop", "drop", {"dataTransfer": tab.evaluate_handle(made, packed)})


def rows(tab: Page, group: str) -> Any:
    return tab.locator(f"#{group} > li")


def named(tab: Page, name: str) -> Any:
    return tab.locator("li.row[data-id]").filter(has_text=name)


def done(tab: Page, number: int) -> None:
    expect(tab.locator("li.row[data-state=done]")).to_have_count(number, timeout=60_000)


def test_three_dropped_pictures_one_cancelled_a_reload_downloads_and_a_zip(
    server: Serving, show: Open, tmp_path: Path
) -> None:
    tab = show(server)
    drop(tab, {"slow.png": picture(*SLOW), "one.png": picture(), "two.png": picture(30, 20)})
    expect(rows(tab, "held")).to_have_count(3)
    assert [row.locator("bdi").inner_text() for row in rows(tab, "held").all()] == ["slow.png", "one.png", "two.png"]
    expect(named(tab, "two.png")).to_contain_text("30 × 20 → 60 × 40")
    tab.get_by_role("radio", name="3×").check()
    expect(named(tab, "two.png")).to_contain_text("30 × 20 → 90 × 60")
    tab.reload()
    expect(rows(tab, "held")).to_have_count(3)
    expect(named(tab, "two.png")).to_contain_text("90 × 60")
    tab.click("text=Enlarge 3 pictures")
    expect(named(tab, "slow.png")).to_have_attribute("data-state", "running", timeout=60_000)
    named(tab, "slow.png").get_by_role("button", name="Cancel").click()
    expect(named(tab, "slow.png")).to_have_attribute("data-state", "cancelled")
    tab.reload()
    done(tab, 2)
    expect(named(tab, "slow.png")).to_contain_text("Cancelled")
    with tab.expect_download() as download:
        named(tab, "two.png").get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "two")
    assert download.value.suggested_filename == "two_x3.png"
    assert size_of((tmp_path / "two").read_bytes()) == (90, 60)
    with tab.expect_download() as download:
        tab.click("text=Download all as zip")
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert {name: size_of(archive.read(name)) for name in archive.namelist()} == {
            "one_x3.png": (72, 54), "two_x3.png": (90, 60),
        }  # fmt: skip


def test_a_picture_is_compared_with_its_bicubic_enlargement_and_zoomed(server: Serving, show: Open) -> None:
    tab = show(server)
    content = picture(60, 40)
    server.submit(content, name="a.png")
    done(tab, 1)
    named(tab, "a.png").get_by_role("button", name="Compare").click()
    expect(tab.locator("#stage")).to_have_attribute("data-ready", "true")
    before = tab.evaluate("""() => {
        const image = document.querySelector("#layerA img"), canvas = document.createElement("canvas");
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        const pen = canvas.getContext("2d"); pen.drawImage(image, 0, 0);
        return Array.from(pen.getImageData(0, 0, canvas.width, canvas.height).data);
    }""")
    seen = np.array(before).reshape(80, 120, 4)[8:-8, 8:-8, :3]
    with Image.open(io.BytesIO(content)) as opened:
        wanted = np.asarray(opened.resize((120, 80), Image.Resampling.BICUBIC))[8:-8, 8:-8].astype(int)
    assert np.abs(seen - wanted).max() <= 2
    zoom, divider = tab.locator("#zoom"), tab.locator("#divider")
    tab.keyboard.press("1")
    expect(zoom).to_have_text("100 %")
    tab.keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "52")
    box = tab.locator("#stage").bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + 300, box["y"] + 200)
    tab.mouse.wheel(0, -400)
    expect(zoom).not_to_have_text("100 %")
    tab.mouse.move(*middle(divider))
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 4, box["y"] + 100)
    tab.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")
    tab.get_by_role("button", name="Difference").click()
    expect(tab.locator("#canvas")).to_have_attribute("data-ready", "0,1")
    expect(tab.get_by_role("button", name="Difference")).to_have_attribute("aria-pressed", "true")
    tab.keyboard.press("Escape")
    expect(tab.locator("#compare")).not_to_be_visible()
    expect(named(tab, "a.png").get_by_role("button", name="Compare")).to_be_focused()


def test_two_fingers_zoom_and_move_the_compared_pictures(server: Serving, show: Open) -> None:
    tab = show(server, viewport=PHONE, has_touch=True, is_mobile=True)
    server.submit(picture(60, 40), name="a.png")
    done(tab, 1)
    named(tab, "a.png").get_by_role("button", name="Compare").tap()
    expect(tab.locator("#stage")).to_have_attribute("data-ready", "true")
    box = tab.locator("#stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 3  # away from the slider
    hand = tab.context.new_cdp_session(tab)

    def touch(kind: str, *spread: float) -> None:
        points = [{"x": x + side * half, "y": y, "id": side + 1} for half in spread for side in (-1, 1)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def zoom() -> int:
        return int(tab.locator("#zoom").inner_text().split()[0])

    before = zoom()
    touch("touchStart", 20)
    for half in (25, 30, 35, 40):
        touch("touchMove", half)
    touch("touchEnd")
    until(lambda: 1.8 * before <= zoom() <= 2.2 * before, zoom)
    spot = tab.evaluate("[stage.viewer.view.x, stage.viewer.view.zoom]")
    touch("touchStart", 40)
    for half in (30, 20):
        touch("touchMove", half)
    touch("touchEnd")
    until(lambda: 0.9 * before <= zoom() <= 1.1 * before, zoom)
    assert tab.evaluate("[stage.viewer.view.x, stage.viewer.view.zoom]") != spot
    assert tab.evaluate("visualViewport.scale") == 1  # the pictures grow, not the page
    expect(tab.locator("#divider")).to_have_attribute("aria-valuenow", "50")


def test_a_long_list_is_folded_until_all_of_it_is_asked_for(server: Serving, show: Open) -> None:
    for number in range(30):
        server.submit(picture(), name=f"{number}.png", hold=1)
    tab = show(server)
    expect(tab.locator("#heldTitle")).to_have_text("Ready (30)")
    expect(rows(tab, "held")).to_have_count(10)
    expect(tab.locator("#start")).to_have_text("Enlarge 30 pictures")
    tab.click("text=Show all 30")
    expect(rows(tab, "held")).to_have_count(30)
    expect(named(tab, "10.png").locator(".thumb")).to_be_focused()
    expect(tab.locator("#heldRest")).not_to_be_visible()


def middle(locator: Any) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_what_is_too_large_is_told_before_it_is_sent_and_the_rest_goes_on(server: Serving, show: Open) -> None:
    tab = show(server)
    expect(tab.locator("#limits")).to_contain_text("Up to 3 MB")
    sent: list[str] = []
    tab.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    wide = bytearray(picture())
    wide[16:24] = (100_000).to_bytes(4, "big") * 2  # what the header says of its size
    drop(tab, {"long.png": b"\x89PNG" + bytes(3_100_000), "wide.png": bytes(wide), "good.png": picture()})
    expect(rows(tab, "held")).to_have_count(1)
    expect(tab.locator("#refused")).to_contain_text("3.1 MB is more than the 3 MB")
    expect(tab.locator("#refused")).to_contain_text("100000 × 100000 is more than")
    assert [url for url in sent if "long.png" in url or "wide.png" in url] == []
    drop(tab, {"no picture.png": b"nothing of the kind"})
    expect(tab.locator("#refused > li")).to_have_count(3)  # this one the server refused
    tab.click("text=Dismiss")
    expect(tab.locator("#refusedGroup")).not_to_be_visible()


@pytest.mark.parametrize("viewport", [PHONE, {"width": 320, "height": 568}, DESK])
def test_names_are_text_and_nothing_is_wider_than_the_screen(
    server: Serving, show: Open, viewport: dict[str, int]
) -> None:
    tab = show(server, viewport=viewport)
    long = "a" * 150 + ".png"
    drop(tab, {HOSTILE: picture(), RIGHT_TO_LEFT: picture(), long: picture(), "broken.png": b"?" * 40})
    expect(rows(tab, "held")).to_have_count(3)
    expect(tab.locator("#refused > li")).to_have_count(1)
    shown = [row.locator("bdi").inner_text() for row in rows(tab, "held").all()]
    assert shown[0] == HOSTILE
    assert "\u202e" not in shown[1]
    assert tab.locator("img[src=x]").count() == 0
    assert "broken" not in tab.title()
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert tab.evaluate(fits)
    rows(tab, "held").first.locator(".thumb").click()
    expect(tab.locator("#compareTitle")).to_have_text(HOSTILE)
    assert tab.evaluate(fits)
    tab.keyboard.press("Escape")
    if tab.locator("#unfold").is_visible():
        tab.click("#unfold")
    tab.click("#tryModels")
    assert tab.evaluate(fits)


def test_dark_follows_the_system_and_a_choice_is_kept(server: Serving, show: Open) -> None:
    tab = show(server, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(paper)
    tab.keyboard.press("t")
    light = tab.evaluate(paper)
    assert sum(numbers(light)) > 600 > 150 > sum(numbers(dark))
    tab.reload()
    expect(tab.locator("body")).to_have_attribute("data-ready", "true")
    assert tab.evaluate(paper) == light


def numbers(color: str) -> list[int]:
    return [int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def test_everything_can_be_done_by_keys_alone(server: Serving, show: Open) -> None:
    tab = show(server)
    tab.on("filechooser", lambda chooser: None)  # early: the browser takes a moment to hand its dialogs over
    while tab.evaluate("document.activeElement.id") != "choose":
        tab.keyboard.press("Tab")
    with tab.expect_file_chooser() as chooser:
        tab.keyboard.press("Enter")
    files = [("slow.png", SLOW), ("one.png", (24, 18)), ("two.png", (30, 20))]
    chooser.value.set_files([given(name, picture(*size)) for name, size in files])
    expect(rows(tab, "held")).to_have_count(3)
    tab.keyboard.press("Control+Enter")
    expect(rows(tab, "queue")).to_have_count(3)
    expect(named(tab, "slow.png")).to_have_attribute("data-state", "running", timeout=60_000)
    while "Look at: \u2068slow.png" not in (tab.evaluate("document.activeElement.getAttribute('aria-label')") or ""):
        tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Alt+ArrowUp")
    expect(rows(tab, "queue").nth(1).locator("bdi")).to_have_text("two.png")
    expect(tab.locator("#said")).to_contain_text("place 1 of 2")
    assert tab.evaluate("document.activeElement.closest('li').textContent").startswith("two.png")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("Delete")
    expect(named(tab, "slow.png")).to_have_attribute("data-state", "cancelled")
    done(tab, 2)
    named(tab, "two.png").locator(".thumb").focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("#compareTitle")).to_have_text("two.png")
    tab.keyboard.press("n")
    expect(tab.locator("#compareTitle")).not_to_have_text("two.png")
    tab.keyboard.press("Escape")
    named(tab, "one.png").locator(".thumb").focus()
    tab.keyboard.press("Delete")
    expect(tab.locator("#askText")).to_contain_text("one.png")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(named(tab, "one.png")).to_have_count(0)
    assert tab.evaluate("document.activeElement !== document.body")


def test_a_waiting_picture_is_dragged_to_another_place(server: Serving, show: Open) -> None:
    tab = show(server)
    drop(tab, {"a.png": picture(), "b.png": picture(), "c.png": picture()})
    expect(rows(tab, "held")).to_have_count(3)
    named(tab, "c.png").hover()
    tab.mouse.move(*middle(named(tab, "c.png").locator(".grip")))
    tab.mouse.down()
    x, y = middle(named(tab, "a.png"))
    tab.mouse.move(x, y - 15, steps=8)
    tab.mouse.up()

    def names() -> list[str]:
        return [str(job["name"]) for job in server.ask("GET", "/api/v1/jobs").json["jobs"]]

    until(lambda: names() == ["c.png", "a.png", "b.png"], names)
    expect(rows(tab, "held").locator("bdi")).to_have_text(["c.png", "a.png", "b.png"])


def test_a_second_tab_sees_what_the_first_one_does(server: Serving, show: Open) -> None:
    first = show(server)
    second = show(server, context=first.context)
    drop(first, {"a.png": picture(), "b.png": picture()})
    expect(rows(second, "held")).to_have_count(2)
    second.get_by_role("button", name="Enlarge now: \u2068a.png").click()
    done(first, 1)
    done(second, 1)
    first.get_by_role("button", name="Remove \u2068b.png").click()
    expect(rows(second, "held")).to_have_count(0)


def test_a_server_killed_and_started_again_has_lost_nothing(chromium: Any, show: Open, tmp_path: Path) -> None:
    with Serving(tmp_path) as server:
        port = str(server.port)
        tab = show(server)
        drop(tab, {"held.png": picture(), "slow.png": picture(300, 240)})
        expect(rows(tab, "held")).to_have_count(2)
        tab.get_by_role("button", name="Enlarge now: \u2068slow.png").click()
        expect(named(tab, "slow.png")).to_have_attribute("data-state", "running", timeout=60_000)
        server.end(signal.SIGKILL)
        expect(tab.locator("#offline")).to_contain_text("Nothing is lost")
    with Serving(tmp_path, "--port", port):
        expect(tab.locator("#offline")).not_to_be_visible(timeout=30_000)
        done(tab, 1)
        expect(rows(tab, "held")).to_have_count(1)
        tab.close()


def test_a_piece_is_enlarged_by_each_model_and_the_one_taken_is_kept(server: Serving, show: Open) -> None:
    tab = show(server)
    drop(tab, {"a.png": picture(260, 220)})
    expect(rows(tab, "held")).to_have_count(1)
    tab.click("#tryModels")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight"):
        tab.keyboard.press(key)
    label = "Piece of 200 × 200 pixels at 60 from the left, 0 from the top"
    expect(tab.get_by_role("button", name=label)).to_be_focused()
    tab.click("text=Enlarge this piece")
    expect(tab.locator("button.shown img")).to_have_count(2, timeout=60_000)
    asked = [job for job in server.ask("GET", "/api/v1/jobs").json["jobs"] if job["kind"] == "preview"]
    assert {(job["model"], job["width"], job["height"]) for job in asked} == {
        ("hat-t", 400, 400), ("hat-t-photo", 400, 400),
    }  # fmt: skip
    tab.get_by_role("button", name="Compare HAT-T with").click()
    expect(tab.locator("#leftSide option")).to_have_text(["before (bicubic)", "HAT-T", "HAT-T photo"])
    tab.keyboard.press("Escape")
    tab.click("text=Take HAT-T photo")
    expect(rows(tab, "held")).to_have_count(1)  # pieces are no pictures of the queue
    tab.reload()
    expect(tab.get_by_role("radio", name="HAT-T photo")).to_be_checked()
    tab.click("text=Enlarge 1 picture")
    done(tab, 1)
    expect(named(tab, "a.png")).to_contain_text("HAT-T photo")


def test_settings_become_the_job_and_a_picture_is_made_again_with_others(server: Serving, show: Open) -> None:
    tab = show(server)
    drop(tab, {"a.png": picture()})
    tab.get_by_role("radio", name="Other").check()
    tab.select_option("[name=measure]", "width")
    tab.fill("[name=amount]", "60")
    tab.select_option("[name=format]", "jpeg")
    tab.locator("#more summary").click()
    tab.check("[name=tta]")
    tab.select_option("[name=alpha]", "drop")
    expect(named(tab, "a.png")).to_contain_text("60 × 45")
    tab.click("text=Enlarge 1 picture")
    done(tab, 1)
    (job,) = server.jobs().values()
    wanted = {"width": 60, "format": "jpeg", "quality": 95, "tta": True, "alpha": "drop"}
    assert wanted.items() <= job["parameters"].items()
    assert server.ask("GET", f"/api/v1/jobs/{job['id']}/result").body[:2] == b"\xff\xd8"
    tab.click("text=Back to the usual settings")
    named(tab, "a.png").get_by_role("button", name="Enlarge again").click()
    expect(named(tab, "a.png")).to_contain_text("48 × 36")
    done(tab, 1)
    answer = server.ask("GET", f"/api/v1/jobs/{job['id']}/result")
    assert size_of(answer.body) == (48, 36)
    assert server.ask("GET", f"/api/v1/jobs/{job['id']}/view/result").status == 200


def test_pictures_of_the_server_are_chosen_and_saved_beside_the_originals(
    server: Serving, show: Open, place: Path
) -> None:
    folder = place / "root" / "holi day"
    folder.mkdir()
    (folder / HOSTILE.replace("/", "")).write_bytes(picture())
    (folder / "b.png").write_bytes(picture())
    tab = show(server)
    tab.click("text=From the server")
    tab.get_by_role("button", name="holi day").click()
    expect(tab.locator("#listing")).to_contain_text(HOSTILE)
    tab.get_by_label("b.png").check()
    tab.get_by_role("button", name="Add 1 picture").click()
    tab.click("text=Enlarge 1 picture")
    done(tab, 1)
    expect(named(tab, "b.png")).to_contain_text("saved beside the original")
    assert size_of((folder / "b_x2.png").read_bytes()) == (48, 36)
