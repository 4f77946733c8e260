"""Odd files through the command line with a network that repeats pixels: the results hold the very pixels of the files.

What the pixels are is told by libvips and ffmpeg. `HAT_TEST_CORPUS` names a folder with more such files and, if its
pictures are to be told from files that must be refused, their INDEX.tsv (columns file, expect, width, height).
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.commands import hat
from support.pictures import FILES
from support.readers import ffmpeg_frames, said_by, vips_header, vips_samples
from support.repeating import write_repeating_weights

MOST_PIXELS = 1_200_000  # of a picture that is enlarged here
REFUSED_HERE = {"README.md", "chunk_no_fctl.png", "xd3n2c08.png"}
LOSSY = {".jpg", ".jpeg", ".webp", ".avif", ".jp2", ".j2k"}  # other decoders may round otherwise
UNLIKE = {  # libvips, or ImageMagick for it, reads these as something else
    "exif_imagemagick_orientation.png": "does not find the orientation in ImageMagick's text",
    "hopper_be.pfm": "has other ideas of white",
    "rgba16.tga": "does not know the bit for transparency",
    "la.tga": "takes gray and alpha for 16-bit gray",
    "rgb32fakealpha.bmp": "takes padding for alpha",
    "Bad_smile-incorrect-image-length.ico": "takes the mask for nothing",
    "multi-channel-z-series.ome.tif": "reads signed samples",
    "huge_IDAT.png": "gives up in the middle",
    "ycbcr_lzw_broken.tif": "reads other rows of the damaged file",
    "bitflip_mid.avif": "reads the damaged part otherwise",
    **dict.fromkeys(
        (
            "relax_tileparts.jp2",
            "issue412.jp2",
            "separate_planar_extra_samples.tiff",
            "12bit.cropped.tif",
            "10ct_32bit_128.tiff",
            "psd-oob-write-x.psd",
        ),
        "cannot read it",
    ),
}
CONVERTED = {"cmyk", "lab"}  # to sRGB, by each program through profiles of its own


@dataclass(frozen=True)
class Enlarged:
    """A file, where its result is if there is one, and whether there must be one."""

    source: Path
    result: Path | None
    is_due: bool


def files() -> list[tuple[Path, bool]]:
    """Every file and whether it is a picture that must be read."""
    found = [(path, path.name not in REFUSED_HERE) for path in sorted(FILES.iterdir())]
    more = os.environ.get("HAT_TEST_CORPUS")
    if more is None:
        return found
    for row in csv.DictReader((Path(more) / "INDEX.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t"):
        path, size = Path(more) / row["file"], int(row["width"] or 0) * int(row["height"] or 0)
        if path.is_file() and size <= MOST_PIXELS:
            found.append((path, row["expect"] in ("ok", "ok-first-frame")))
    return found


@pytest.fixture(scope="module")
def enlarged(tmp_path_factory: pytest.TempPathFactory) -> list[Enlarged]:
    folder = tmp_path_factory.mktemp("corpus")
    weights = write_repeating_weights(folder / "repeating.safetensors")
    inputs, known = folder / "in", {}
    inputs.mkdir()
    for number, (path, is_due) in enumerate(files()):
        name = f"{number:03d}{path.suffix}"
        shutil.copy(path, inputs / name)
        known[name] = (path, is_due)
    result = hat(
        inputs, "-o", folder / "out", "-n", weights, "--scale", "2", "--format", "png", "--frames", "all", "--json",
        "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 1, result.stderr  # some must be refused
    assert "Traceback" not in result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    done = {Path(event["input"]).name: Path(event["output"]) for event in events if event["event"] == "done"}
    return [Enlarged(path, done.get(name), is_due) for name, (path, is_due) in known.items()]


def halved(large: NDArray[Any]) -> NDArray[Any]:
    """One of each four equal samples; they must be equal."""
    small = large[..., ::2, ::2, :]
    for row, column in ((0, 1), (1, 0), (1, 1)):
        assert np.array_equal(small, large[..., row::2, column::2, :])
    return small


def in_rgba(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Samples `[H, W, 1 to 4]` as RGB and alpha, values in 0..255."""
    values = samples.astype(np.float64) * (255 / np.iinfo(samples.dtype).max)
    opaque = np.full((*values.shape[:2], 1), 255.0)
    colors = values[..., :3] if values.shape[2] >= 3 else values[..., :1].repeat(3, axis=2)
    return np.concatenate([colors, values[..., -1:] if values.shape[2] in (2, 4) else opaque], axis=2)


def differences(made: NDArray[Any], told: NDArray[Any], *, is_exact: bool) -> str | None:
    """What is wrong with samples where others tell what they are."""
    if made.shape[:2] != told.shape[:2]:
        return f"{made.shape} instead of {told.shape}"
    ours, theirs = in_rgba(made), in_rgba(told)
    off_alpha = np.abs(ours[..., 3] - theirs[..., 3]).max()
    seen = (ours[..., 3] > 0) & (theirs[..., 3] > 0)
    off = np.abs(ours - theirs)[seen][:, :3]
    largest, mean = (off.max(), off.mean()) if off.size else (0.0, 0.0)
    allowed = (1.01, 0.05) if is_exact else (45.0, 1.0)  # chroma may be enlarged otherwise at sharp edges
    if off_alpha > 1.01 or largest > allowed[0] or mean > allowed[1]:
        return f"off by {largest:.2f} at most, {mean:.3f} in the mean, alpha by {off_alpha:.2f}"
    return None


def by_vips(path: Path, folder: Path) -> NDArray[Any] | None:
    """The samples upright, in gray or sRGB; None if libvips cannot read them or has to convert their colours."""
    header = vips_header(path)
    if header.get("interpretation") in (None, *CONVERTED):
        return None
    upright, settled = folder / "upright.v", folder / "settled.v"
    said_by("vips", "autorot", path, upright)
    is_deep = header["format"] == "ushort"
    said_by("vips", "colourspace", upright, settled, "rgb16" if is_deep else "srgb")
    if header["format"] in ("uchar", "ushort"):
        return vips_samples(settled, folder)
    said_by("vips", "cast", settled, upright, "uchar")
    return vips_samples(upright, folder)


def test_every_picture_is_enlarged_and_nothing_else(enlarged: list[Enlarged]) -> None:
    assert not [str(one.source) for one in enlarged if one.is_due and one.result is None]
    assert not [one.source.name for one in enlarged if one.source.name in REFUSED_HERE and one.result is not None]


def test_results_hold_the_pixels_that_other_programs_see(enlarged: list[Enlarged], tmp_path: Path) -> None:
    wrong, compared = [], 0
    for one in enlarged:
        if one.result is None or one.source.name in UNLIKE:
            continue
        told = by_vips(one.source, tmp_path)
        if told is None:
            continue
        made = halved(vips_samples(one.result, tmp_path))
        found = differences(made, told, is_exact=one.source.suffix.lower() not in LOSSY)
        if found is not None:
            wrong.append(f"{one.source}: {found}")
        compared += 1
    assert not wrong, "\n".join(wrong)
    assert compared >= 25


@pytest.mark.parametrize("name", ["mode_palette_alpha.png", "mode_palette_1bit_alpha.png"])
def test_frames_of_pngs_hold_the_pixels_that_ffmpeg_sees(enlarged: list[Enlarged], name: str) -> None:
    (one,) = (one for one in enlarged if one.source == FILES / name)
    assert one.result is not None
    told = ffmpeg_frames(one.source, width=128, height=64)
    made = halved(ffmpeg_frames(one.result, width=256, height=128))
    assert len(made) == len(told)
    for ours, theirs in zip(made, told, strict=True):
        assert differences(ours, theirs, is_exact=True) is None


def test_frames_of_a_webp_hold_the_pixels_that_libvips_sees(enlarged: list[Enlarged], tmp_path: Path) -> None:
    (one,) = (one for one in enlarged if one.source == FILES / "rotating-squares.webp")
    assert one.result is not None
    told = vips_samples(one.source, tmp_path, options="n=-1").reshape(9, 80, 80, -1)
    made = halved(ffmpeg_frames(one.result, width=160, height=160))
    for ours, theirs in zip(made, told, strict=True):
        assert differences(ours, theirs, is_exact=False) is None


@pytest.mark.parametrize("alpha", [False, True])
def test_an_animated_gif_stays_the_same_gif_but_larger(tmp_path: Path, alpha: bool) -> None:
    frames = []
    for number in range(5):
        pixels = np.zeros((40, 60, 4), np.uint8)
        pixels[..., 3] = 0 if alpha else 255
        pixels[5:25, 8 * number : 8 * number + 20] = (250, 40 * number, 30, 255)
        pixels[30:36, 10:50] = (20, 90, 200, 255)
        frames.append(Image.fromarray(pixels))
    source = tmp_path / "moving.gif"
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=120, loop=0, disposal=2 if alpha else 0)
    weights = write_repeating_weights(tmp_path / "repeating.safetensors")
    result = hat(source, "-o", tmp_path / "large.gif", "-n", weights, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    told = ffmpeg_frames(source, width=60, height=40)
    made = halved(ffmpeg_frames(tmp_path / "large.gif", width=120, height=80))
    assert len(made) == len(told) == 5
    for ours, theirs in zip(made, told, strict=True):
        assert differences(ours, theirs, is_exact=True) is None
    assert (tmp_path / "large.gif").stat().st_size < 4 * source.stat().st_size
