"""What results are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hatcli.batch.naming import Naming, check_ending
from hatcli.errors import UsageError


@pytest.mark.parametrize("stem", ["x" * 251, "ü" * 125, "漢" * 83])
def test_a_stem_too_long_for_the_suffix_is_cut_between_letters(stem: str) -> None:
    name = Naming().file_name(Path(f"{stem}.png"), scale=4, width=1, height=1, source_format="PNG")
    assert len(os.fsencode(name)) <= 255
    assert name.endswith("_x4.png")
    assert stem.startswith(name.removesuffix("_x4.png"))


@pytest.mark.parametrize(
    "template", ["a/b", "{nothing}", "{", "{stem.x}", "{stem:d}", "{0}", "{}", "{stem:{foo}}", "{stem!r}", "{stem:>9}"]
)
def test_templates_that_cannot_be_meant_are_refused(template: str) -> None:
    with pytest.raises(UsageError):
        Naming(name=template)


def test_the_endings_of_sources_can_be_part_of_the_name() -> None:
    def named(naming: Naming, name: str, *, apart: bool = False) -> str:
        return naming.file_name(Path(name), scale=4, width=1, height=1, source_format="PNG", apart=apart)

    assert named(Naming(name="{stem}.{ext}"), "a.psd") == "a.psd.png"
    assert named(Naming(), "a.psd", apart=True) == "a_psd_x4.png"
    assert named(Naming(), "a", apart=True) == "a_x4.png"


@pytest.mark.parametrize(("name", "hint"), [("newdir", "in / for a folder"), ("x.dds", ".avif"), ("x.", "in one of")])
def test_an_output_without_a_format_is_told_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_ending(Path(name))
    assert hint in (caught.value.hint or "")
