"""The attribution page as text."""

from __future__ import annotations

from PIL import Image

from hatcli.attribution.page import Section, page


def test_outside_names_are_escaped_and_nothing_is_fetched() -> None:
    picture = Image.new("RGB", (4, 4))
    text = page([Section("<b>", 12.345, ("<i>",), {'"x"': picture})], title="<u>", settings="<s>")
    assert not any(name in text for name in ("<b>", "<i>", "<u>", "<s>", '"x"', "http", "__"))
    assert "12.35" in text or "12.34" in text
