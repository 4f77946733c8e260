"""Attributions of several models side by side as one page without outside parts; knows pictures and numbers only."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from PIL import Image


@dataclass(frozen=True)
class Section:
    """One model on the page.

    Attributes:
        diffusion_index: 0..100, of the window that is drawn.
        notes: short facts, such as the mean over many windows.
        pictures: caption to picture, in order.
    """

    name: str
    diffusion_index: float
    notes: tuple[str, ...]
    pictures: Mapping[str, Image.Image]


def page(sections: Sequence[Section], *, title: str, settings: str = "") -> str:
    """The whole page as text; every outside string is escaped.

    Args:
        settings: a sentence on how the maps were made.
    """
    text = (files("hatcli.attribution") / "attribute.html").read_text(encoding="utf-8")
    head, tail = text.split("__MODELS__")
    head, between = head.split("__SETTINGS__")
    head = head.replace("__TITLE__", html.escape(title)) + html.escape(settings) + between
    return head + "".join(map(article, sections)) + tail


def article(section: Section) -> str:
    """One model's part of the page."""
    figures = "".join(
        f'<figure><img src="{data_uri(picture)}" alt="{html.escape(f"{caption}, {section.name}")}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, picture in section.pictures.items()
    )
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in section.notes)
    return (
        f"<article><h2>{html.escape(section.name)}</h2>"
        f'<div class="index">{section.diffusion_index:.2f} <small>diffusion index</small></div>'
        f'{notes}<div class="maps">{figures}</div></article>'
    )


def data_uri(picture: Image.Image) -> str:
    """The picture as PNG in an address."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
