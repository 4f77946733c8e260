"""Pages, raw profiles and formats of the extra as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import hat, refused
from support.pictures import noise, saved
from support.raws import dng
from support.readers import tiff_fields
from typer.testing import CliRunner

from hatcli.cli import app
from hatcli.image import decode, encode, extras
from hatcli.image.light import PQ, Light
from hatcli.image.picture import Picture


@pytest.fixture
def three_pages(tmp_path: Path) -> Path:
    first, *others = (Image.fromarray(noise(8, 10 + seed, 3, seed=seed)) for seed in range(3))
    path = tmp_path / "in" / "scan.tif"
    path.parent.mkdir()
    path.write_bytes(saved(first, "TIFF", save_all=True, append_images=others))
    return path


def widths(path: Path) -> list[int]:
    with Image.open(path) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(image.size[0])
    return found


@pytest.mark.parametrize(("asked", "made"), [("all", [20, 22, 24]), ("2-3", [22, 24]), ("2-", [22, 24]), ("3", [24])])
def test_pages_become_pages(three_pages: Path, weights: Path, asked: str, made: list[int], tmp_path: Path) -> None:
    result = hat(three_pages, "-o", tmp_path / "a.tif", "-n", weights, "--cpu", "--pages", asked)
    assert result.exit_code == 0, result.stderr
    assert widths(tmp_path / "a.tif") == made
    assert tiff_fields(tmp_path / "a.tif").count("TIFF Directory") == len(made)


def test_several_pages_fit_no_other_format(three_pages: Path, weights: Path, tmp_path: Path) -> None:
    result = hat(three_pages, "-o", tmp_path / "a.png", "-n", weights, "--cpu", "--pages", "all")
    assert "PNG holds one page, not 3" in refused(result, 5)
    assert "--format tiff" in result.stderr
    assert not (tmp_path / "a.png").exists()


def test_a_page_that_is_not_there_is_told(three_pages: Path, weights: Path, tmp_path: Path) -> None:
    assert "it has 3 pages" in refused(hat(three_pages, "-o", tmp_path / "a.tif", "-n", weights, "--pages", "7"), 1)


@pytest.mark.parametrize("text", ["0", "3-2", "x", "-3", "1,2", "1-2-3"])
def test_pages_that_are_none_are_refused(three_pages: Path, text: str) -> None:
    assert "names no pages" in refused(hat(three_pages, f"--pages={text}"), 2)


def test_a_raw_profile_that_is_none_is_refused(three_pages: Path) -> None:
    assert "--raw-profile cmyk" in refused(hat(three_pages, "--raw-profile", "cmyk"), 2)


def test_other_pages_are_other_work_to_the_journal(three_pages: Path, weights: Path, tmp_path: Path) -> None:
    def done(*more: str) -> list[str]:
        result = hat(three_pages.parent, "-o", tmp_path / "out", "-n", weights, "--cpu", "--json", *more)
        assert result.exit_code == 0, result.stderr
        return [event["event"] for event in map(json.loads, result.stdout.splitlines()) if "input" in event][-1:]

    assert done() == ["done"]
    assert done() == ["skipped"]
    assert done("--pages", "all") == ["done"]
    assert widths(tmp_path / "out" / "scan_x2.tif") == [20, 22, 24]
    assert done("--pages", "all") == ["skipped"]


def test_a_dry_run_foresees_pages(three_pages: Path, weights: Path, tmp_path: Path) -> None:
    result = hat(three_pages, "-o", tmp_path / "a.png", "-n", weights, "--cpu", "--pages", "all", "--dry-run")
    assert "PNG holds one page" in result.stderr
    assert not list(tmp_path.glob("a.*"))


def test_a_folder_of_everything_is_done_or_told(tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    made = Picture(noise(64, 64, 3))
    names = {"HEIF": "a.heic", "JXL": "b.jxl", "EXR": "c.exr"}
    there = [format for format in names if extras.is_there(format)]
    for format, name in names.items():
        (folder / name).write_bytes(encode.encode(made, format=format) if format in there else STARTS[format])
    (folder / "d.dng").write_bytes(dng(np.full((32, 48, 3), 0.3)))
    (folder / "e.dcm").write_bytes(bytes(128) + b"DICM" + bytes(300))
    (folder / "f.png").write_bytes(encode.encode(Picture(noise(9, 9, 3, bits=16), light=Light(9, PQ)), format="PNG"))
    result = hat(folder, "-o", tmp_path / "out", "-n", weights, "--cpu", "--json")
    assert result.exit_code == 1
    events = [json.loads(line) for line in result.stdout.splitlines()]
    done = {Path(event["input"]).name for event in events if event["event"] == "done"}
    failed = {Path(event["input"]).name: event["error"] for event in events if event["event"] == "failed"}
    expected = {names[format] for format in there} | {"f.png"} | ({"d.dng"} if extras.is_there("RAW") else set())
    assert done == expected
    assert done | set(failed) == {*names.values(), "d.dng", "e.dcm", "f.png"}
    assert "DICOM" in failed["e.dcm"]
    for name, format in [*((names[format], format) for format in names if format not in there)]:
        assert f"needs {extras.LIBRARIES[format]}" in failed[name]
    assert decode.read(tmp_path / "out" / "f_x2.png").light == Light(9, PQ)


STARTS = {
    "HEIF": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "JXL": b"\0\0\0\x0cJXL \r\n\x87\n",
    "EXR": b"v/1\x01\2\0\0\0",
}


def test_high_dynamic_range_is_refused_where_it_would_be_lost(tmp_path: Path, weights: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(encode.encode(Picture(noise(9, 9, 3, bits=16), light=Light(9, PQ)), format="PNG"))
    result = hat(source, "-o", tmp_path / "a.jpg", "-n", weights, "--cpu")
    assert "HDR (PQ, BT.2020), which JPEG cannot say" in refused(result, 5)
    assert not (tmp_path / "a.jpg").exists()


def test_the_doctor_says_which_formats_are_there() -> None:
    told = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert set(told["formats"]) == {"HEIC", "JPEG XL", "camera raw", "OpenEXR"}
    for format, name in (("HEIF", "HEIC"), ("JXL", "JPEG XL"), ("RAW", "camera raw"), ("EXR", "OpenEXR")):
        assert told["formats"][name] == ("there" if extras.is_there(format) else "missing")
