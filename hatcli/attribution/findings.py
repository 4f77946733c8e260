"""What was found of one network: as pictures, as numbers for JSON, as arrays for further work; saved in a folder."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hatcli.atomic import replacing
from hatcli.attribution import maps
from hatcli.attribution.lam import Attribution
from hatcli.attribution.page import Section, page
from hatcli.attribution.regions import confidence


@dataclass(frozen=True)
class Finding:
    """One network on one picture.

    Attributes:
        density: `[h, w]` in 0..1: the area of contribution.
        other_indices: diffusion indices of further windows.
        groups: each group's map and its blocking index in dB; None where they were not wanted.
        picture: the small picture.
    """

    name: str
    attribution: Attribution
    density: maps.Values
    other_indices: tuple[float, ...]
    groups: tuple[tuple[Image.Image, float | None], ...] | None
    picture: Image.Image
    scale: int

    @cached_property
    def pictures(self) -> dict[str, Image.Image]:
        """Caption to picture: where the window is, saliency, density, both over the picture, maps of the groups."""
        window, small = self.attribution.window, self.picture
        large = small.resize((small.width * self.scale, small.height * self.scale), Image.Resampling.BICUBIC)
        dense = maps.enlarged(maps.reds(self.density), self.scale, smooth=True)
        place = {"top": window.top, "left": window.left, "side": window.side}
        shown = {
            "window": maps.outlined(large, **place),
            "saliency": maps.enlarged(maps.reds(self.attribution.saliency.numpy()), self.scale),
            "density": dense,
            "overlay": maps.outlined(maps.overlay(dense, large), **place),
        }
        for number, (picture, index) in enumerate(self.groups or (), start=1):
            shown[f"group {number}" + ("" if index is None else f": blocking {decibels(index)}")] = picture
        return shown

    @property
    def facts(self) -> dict[str, Any]:
        """Numbers for JSON."""
        found: dict[str, Any] = {"diffusion_index": self.attribution.diffusion_index, "gini": self.attribution.gini}
        if self.other_indices:
            mean, half = confidence(self.other_indices)
            values = list(self.other_indices)
            found["regions"] = {"count": len(values), "mean": mean, "half_width_95": half, "values": values}
        if self.groups:
            found["blocking_index_db"] = [index for _, index in self.groups]
        return found

    @property
    def mean_text(self) -> str:
        """`, mean 12.3 ± 1.2 (95 %)` where many windows were looked at."""
        if not self.other_indices:
            return ""
        mean, half = confidence(self.other_indices)
        return f", mean {mean:.2f}" + ("" if half is None else f" ± {half:.2f} (95 %)")

    @property
    def section(self) -> Section:
        """This network's part of the page."""
        notes = [f"over {len(self.other_indices)} windows{self.mean_text}"] if self.other_indices else []
        notes += ["no groups whose maps could be shown"] if self.groups == () else []
        return Section(self.name, self.attribution.diffusion_index, tuple(notes), self.pictures)

    def arrays(self) -> bytes:
        """The maps as NumPy's .npz; equal findings give equal bytes.

        `signed` `[3, h, w]`, `saliency` and `density` `[h, w]` in 0..1, all float64; `window` (top, left, side in
        output pixels), `scale`, `diffusion_index`, `gini`.
        """
        window, file = self.attribution.window, io.BytesIO()
        np.savez_compressed(
            file,
            signed=self.attribution.signed.numpy(),
            saliency=self.attribution.saliency.numpy(),
            density=self.density,
            window=np.array([window.top, window.left, window.side]),
            scale=np.array(self.scale),
            diffusion_index=np.array(self.attribution.diffusion_index),
            gini=np.array(self.attribution.gini),
        )
        return file.getvalue()


def saved(findings: Iterable[Finding], folder: Path, *, names: Sequence[str]) -> Iterator[Finding]:
    """The same findings, each saved into a folder that exists as soon as it is there.

    Args:
        names: of all that will come, which the files are named after.
    """
    for finding, stem in zip(findings, stems(names), strict=True):
        save(finding, folder, stem=stem)
        yield finding


def write_page(findings: Sequence[Finding], folder: Path, *, title: str, settings: str, numbers: str) -> Path:
    """The page on all of them and the numbers beside it; returns the page.

    Args:
        settings: a sentence on how the maps were made.
        numbers: the JSON document.
    """
    write(folder / "attribution.json", numbers.encode())
    sections = [finding.section for finding in findings]
    write(folder / "index.html", page(sections, title=title, settings=settings).encode("utf-8"))
    return folder / "index.html"


def save(finding: Finding, folder: Path, *, stem: str) -> None:
    """Every picture as PNG, and the maps as numbers, under names that begin with `stem`."""
    for caption, picture in finding.pictures.items():
        file = io.BytesIO()
        picture.save(file, "PNG")
        write(folder / f"{stem}_{caption.split(':')[0].replace(' ', '_')}.png", file.getvalue())
    write(folder / f"{stem}_maps.npz", finding.arrays())


def stems(names: Sequence[str]) -> list[str]:
    """Beginnings of file names, one a network and no two alike, on file systems that ignore case too."""
    found: list[str] = []
    for name in names:
        plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
        taken = {stem.casefold() for stem in found}
        candidates = (plain if number == 1 else f"{plain}-{number}" for number in itertools.count(1))
        found.append(next(stem for stem in candidates if stem.casefold() not in taken))
    return found


def write(path: Path, content: bytes) -> None:
    """A whole file or none."""
    with replacing(path) as file:
        file.write(content)


def decibels(value: float) -> str:
    """`+1.23 dB` or `−1.23 dB`, never broken in two."""
    return f"{value:+.2f}\N{NO-BREAK SPACE}dB".replace("-", "\N{MINUS SIGN}")
