"""Makes the pictures of the README again: `python docs/pictures/make.py`, with the `dev` extra and Chromium installed.

The photograph is Chelsea, by Stéfan van der Walt, CC0, as it comes with scikit-image; no bundled model learnt from it.
The others on the page of `hat serve` come with scikit-image, too: coffee by Rachel Michetti, CC0; the astronaut, the
rocket and the deep field by NASA and SpaceX, public domain.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect, sync_playwright
from skimage import data

import hatcli
from hatcli.attribution.viewer import Pixels
from hatcli.image.resample import imresize

HERE = Path(__file__).parent
FACTOR = 4
EYES = (112, 56, 304, 200)  # left, top, right, bottom of what is shown, in pixels of the original
ZOOM = 2
CAPTION = 26  # pixels


def before_and_after(small: Image.Image, original: Image.Image) -> None:
    """Bicubic, hat and the original beside each other."""
    large = hatcli.load(scale=FACTOR).upscale(small).to_pil()
    bicubic = Image.fromarray(imresize(np.asarray(small), FACTOR))
    shown = {"bicubic": bicubic, "hat, bundled weights": large, "original": original}
    width, height = (EYES[2] - EYES[0]) * ZOOM, (EYES[3] - EYES[1]) * ZOOM
    sheet = Image.new("RGB", (len(shown) * (width + 8) - 8, height + CAPTION), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (name, picture) in enumerate(shown.items()):
        crop = picture.crop(EYES).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(crop, (place * (width + 8), CAPTION))
        pen.text((place * (width + 8) + 4, 4), name, fill="black", font_size=15)
    sheet.save(HERE / "before-after.png", optimize=True)


def compare_page(small: Image.Image) -> None:
    """The page of `hat compare` in a browser."""
    with tempfile.TemporaryDirectory() as folder:
        picture, page = Path(folder, "chelsea.png"), Path(folder, "compare.html")
        small.save(picture)
        subprocess.run([sys.executable, "-m", "hatcli", "compare", picture, "-o", page], check=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
            )
            tab = browser.new_page(viewport={"width": 1000, "height": 640})
            tab.goto(page.as_uri())
            tab.wait_for_timeout(1000)
            tab.screenshot(path=HERE / "compare.png")
            browser.close()


def serving(small: Image.Image) -> None:
    """The page of `hat serve`: the queue, two pictures compared, and a phone."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"chelsea.png": small, "coffee.webp": reduced_to(data.coffee(), 225)}
        given["astronaut.jpg"] = reduced_to(data.astronaut(), 192)
        given["rocket.tif"] = reduced_to(data.rocket(), 240)
        given["deep field.png"] = reduced_to(data.hubble_deep_field(), 640)
        for name, picture in given.items():
            picture.save(Path(folder, name))
        names = [str(Path(folder, name)) for name in given]
        words = ["serve", "--port", "0", "--no-browser", "--json", "--device", "cpu", "--state", str(Path(folder, "s"))]
        server = subprocess.Popen([sys.executable, "-m", "hatcli", *words], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            said = json.loads(server.stdout.readline())
            take(f"{said['url']}/?token={said['token']}", names)
        finally:
            server.terminate()
            server.wait()


def reduced_to(pixels: Pixels, width: int) -> Image.Image:
    """A picture of this width."""
    return Image.fromarray(pixels).resize((width, round(width * pixels.shape[0] / pixels.shape[1])))


def take(address: str, names: list[str]) -> None:
    """The pictures of the page at this address."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        tab = browser.new_page(viewport={"width": 1120, "height": 700})
        tab.goto(address)
        tab.get_by_role("radio", name="4×").check()
        tab.set_input_files("#files", names[:3])
        expect(tab.locator("#held > li")).to_have_count(3)
        tab.click("#start")
        expect(tab.locator("li[data-state=done]")).to_have_count(3, timeout=120_000)
        tab.set_input_files("#files", [names[4], names[3]])
        expect(tab.locator("#held > li")).to_have_count(2)
        tab.get_by_role("button", name="Enlarge now").first.click()
        expect(tab.locator("li[data-state=running] .note")).to_contain_text("left", timeout=120_000)
        tab.mouse.move(5, 5)
        tab.wait_for_timeout(6000)
        shot(tab, "serve.png")
        phone = browser.new_page(viewport={"width": 390, "height": 720}, color_scheme="dark")
        phone.goto(address)
        expect(phone.locator("li[data-state=done]")).to_have_count(3)
        phone.wait_for_timeout(1500)
        shot(phone, "serve-phone.png")
        tab.locator("li[data-state=done]", has_text="chelsea").locator(".thumb").click()
        expect(tab.locator("#stage")).to_have_attribute("data-ready", "true")
        tab.mouse.move(560, 300)
        tab.mouse.wheel(0, -150)
        tab.wait_for_timeout(600)
        shot(tab, "serve-compare.png")
        browser.close()


def shot(tab: Page, name: str) -> None:
    """What is to be seen, in few enough colours for a small file."""
    with Image.open(io.BytesIO(tab.screenshot())) as seen:
        seen.convert("RGB").quantize(255, dither=Image.Dither.FLOYDSTEINBERG).save(HERE / name, optimize=True)


if __name__ == "__main__":
    whole = np.asarray(data.chelsea())
    whole = whole[: whole.shape[0] // FACTOR * FACTOR, : whole.shape[1] // FACTOR * FACTOR]
    reduced = Image.fromarray(imresize(whole, 1 / FACTOR))
    before_and_after(reduced, Image.fromarray(whole))
    compare_page(reduced)
    serving(reduced_to(data.chelsea(), 225))
