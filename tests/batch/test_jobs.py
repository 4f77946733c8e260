"""Where results go: names that would collide, folders behind links, what cannot be meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.pictures import small_png
from support.repeating import Doubling

from hatcli.batch.inputs import Found, find
from hatcli.batch.jobs import plan_jobs
from hatcli.batch.naming import Naming
from hatcli.batch.plan import Job, Plan
from hatcli.errors import UsageError
from hatcli.image import decode
from hatcli.upscaling.device import choose
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler


def planned(
    *inputs: Path | str,
    output: Path | str | None = None,
    format: str | None = None,
    follow_links: bool = False,
    naming: Naming | None = None,
    target: Target | None = None,
) -> tuple[list[Job], Found]:
    naming = naming or Naming(format=format)
    found = find([str(path) for path in inputs], recursive=True, naming=naming, follow_links=follow_links)
    plan = Plan(target or Target(scale=2), format=format)
    upscaler = Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"))
    given = None if output is None else str(output)
    return plan_jobs(found, given, naming, plan, upscaler, look=decode.probe), found


def outputs(jobs: list[Job]) -> list[str]:
    return [job.output.name for job in jobs if job.output is not None]


def test_sources_that_differ_in_their_ending_alone_get_it_into_their_names(tmp_path: Path) -> None:
    for name in ("photo.psd", "photo.png", "photo.tga", "other.png", "bad.dds", "bad.hdr"):
        small_png(tmp_path / "in" / name)
    jobs, found = planned(tmp_path / "in", output=tmp_path / "out")
    assert outputs(jobs) == [
        "bad_dds_x2.png", "bad_hdr_x2.png", "other_x2.png", "photo_x2.png", "photo_psd_x2.png", "photo_tga_x2.png",
    ]  # fmt: skip
    assert "bad_dds_x2.png" in found.remarks[0]
    assert "1 more" in found.remarks[0]
    jobs, _ = planned(tmp_path / "in", output=tmp_path / "out", format="WEBP")
    assert {"photo_png_x2.webp", "photo_psd_x2.webp"} <= set(outputs(jobs))


def test_names_that_collide_in_spite_of_it_are_refused(tmp_path: Path) -> None:
    one, other = small_png(tmp_path / "a" / "x.png"), small_png(tmp_path / "b" / "x.png")
    with pytest.raises(UsageError, match="both become"):
        planned(one, other, output=tmp_path / "out")


def test_several_pictures_do_not_become_one_file(tmp_path: Path) -> None:
    one, other = small_png(tmp_path / "a.png"), small_png(tmp_path / "b.png")
    with pytest.raises(UsageError, match="one file"):
        planned(one, other, output=tmp_path / "z.png")
    jobs, _ = planned(one, other, output=f"{tmp_path / 'z.png'}/")
    assert outputs(jobs) == ["a_x2.png", "b_x2.png"]


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_nothing_is_written_beside_pictures_behind_links(tmp_path: Path) -> None:
    small_png(tmp_path / "elsewhere" / "b.png")
    small_png(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(UsageError, match="behind a link"):
        planned(tmp_path / "in", follow_links=True)
    jobs, _ = planned(tmp_path / "in", output=tmp_path / "out", follow_links=True)
    assert [job.output for job in jobs] == [tmp_path / "out" / "a_x2.png", tmp_path / "out" / "link" / "b_x2.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["stdin", "pipe"])
def test_what_is_read_but_once_never_gets_a_name_that_guesses(tmp_path: Path, kind: str) -> None:
    given = "-" if kind == "stdin" else str(tmp_path / "63")
    if kind == "pipe":
        os.mkfifo(given)
    other, out = small_png(tmp_path / "b.png"), tmp_path / "out"
    stem = "stdin" if kind == "stdin" else "63"
    for target in (Target(), Target(scale=2)):
        assert outputs(planned(given, other, output=out, target=target)[0])[0] == f"{stem}_x2.png"
    for naming, target in ((Naming(), Target(width=50)), (Naming(name="{stem}_{width}"), Target(scale=2))):
        with pytest.raises(UsageError, match="known when it is read"):
            planned(given, other, output=out, target=target, naming=naming)
    assert outputs(planned(given, other, output=out, target=Target(width=50), naming=Naming("_big"))[0]) == [
        f"{stem}_big.png",
        "b_big.png",
    ]
