"""Makes the pictures of the README again: `python docs/pictures/make.py`, with the `dev` extra and Chromium installed.

The photograph is Chelsea, by Stéfan van der Walt, CC0, as it comes with scikit-image; no bundled model learnt from it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright
from skimage import data

import hatcli
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


if __name__ == "__main__":
    whole = np.asarray(data.chelsea())
    whole = whole[: whole.shape[0] // FACTOR * FACTOR, : whole.shape[1] // FACTOR * FACTOR]
    reduced = Image.fromarray(imresize(whole, 1 / FACTOR))
    before_and_after(reduced, Image.fromarray(whole))
    compare_page(reduced)
