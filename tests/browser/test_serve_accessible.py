"""The page of `hat serve` under axe-core, in each of its states: no finding that is serious or critical.

axe-core is no part of this project: its file is named by HAT_AXE (`npm install axe-core`, then `axe.min.js`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Page, expect
from support.serving import Serving, png

pytestmark = pytest.mark.browser
AXE = os.environ.get("HAT_AXE", "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    if not Path(AXE).is_file():
        pytest.skip("no axe-core: HAT_AXE names no file")
    place = tmp_path_factory.mktemp("axe")
    (place / "root").mkdir()
    (place / "root" / "a.png").write_bytes(png())
    with Serving(place / "state", "--root", str(place / "root")) as running:
        yield running


@pytest.fixture(params=[("light", 1280), ("dark", 1280), ("light", 390)], ids=["light", "dark", "phone"])
def tab(request: pytest.FixtureRequest, server: Serving, chromium: Any) -> Iterator[Page]:
    scheme, width = request.param
    size = {"width": width, "height": 800}
    context = chromium.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    context.add_init_script(path=AXE)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/?token={server.token}")
    expect(page.locator("body")).to_have_attribute("data-ready", "true")
    yield page
    context.close()
    for id in server.jobs():
        server.ask("DELETE", f"/api/v1/jobs/{id}")
        server.ask("DELETE", f"/api/v1/jobs/{id}")


def serious(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core finds that keeps somebody out."""
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        (finding["id"], [node["html"][:120] + str(node["any"][:1]) for node in finding["nodes"]])
        for finding in found
        if finding["impact"] in ("serious", "critical")
    ]


def test_no_state_of_the_page_keeps_anybody_out(tab: Page, server: Serving) -> None:
    assert serious(tab) == []
    files = [("a.png", png()), ("b.png", png()), ("slow.png", png(700, 500)), ("broken.png", b"?" * 50)]
    chosen: Any = [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in files]
    tab.set_input_files("#files", chosen)
    expect(tab.locator("#held > li")).to_have_count(3)
    expect(tab.locator("#refused > li")).to_have_count(1)
    for name in ("a.png", "slow.png"):
        tab.get_by_role("button", name=f"Enlarge now: \u2068{name}").click()
    expect(tab.locator("li[data-state=done]")).to_have_count(1, timeout=60_000)
    if tab.locator("#unfold").is_visible():
        tab.click("#unfold")
    for summary in ("#others", "#more"):
        tab.locator(f"{summary} > summary").click()
    tab.get_by_role("radio", name="Other").check()
    assert serious(tab) == []  # ready, running, finished, not taken; everything unfolded
    tab.locator("li[data-state=done] .thumb").click()
    expect(tab.locator("#stage")).to_have_attribute("data-ready", "true")
    assert serious(tab) == []
    tab.keyboard.press("Escape")
    tab.click("#tryModels")
    assert serious(tab) == []
    tab.keyboard.press("Escape")
    for button in ("#help", "#power", "#chooseServer"):
        tab.click(button)
        assert serious(tab) == []
        tab.keyboard.press("Escape")
