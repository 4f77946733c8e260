"""What results are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hatcli.batch.naming import Naming
from hatcli.errors import UsageError


@pytest.mark.parametrize("stem", ["x" * 251, "ü" * 125, "漢" * 83])
def test_a_stem_too_long_for_the_suffix_is_cut_between_letters(stem: str) -> None:
    name = Naming().file_name(Path(f"{stem}.png"), scale=4, width=1, height=1, source_format="PNG")
    assert len(os.fsencode(name)) <= 255
    assert name.endswith("_x4.png")
    assert stem.startswith(name.removesuffix("_x4.png"))


@pytest.mark.parametrize("template", ["a/b", "{nothing}", "{", "{stem.x}", "{stem:d}", "{0}", "{}"])
def test_templates_that_cannot_be_meant_are_refused(template: str) -> None:
    with pytest.raises(UsageError):
        Naming(name=template)
