"""Every file that is written is read back by others' programs: ffmpeg, libvips, ExifTool, pngcheck, tiffinfo."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.pictures import gray_profile, noise, picture, ramp, rgb_profile
from support.readers import (
    check_png,
    exiftool_tags,
    ffmpeg_frames,
    ffmpeg_frames_of_16_bits,
    ffprobe_durations,
    tiff_fields,
    vips_samples,
)

from hatcli.image import animation, encode, extras, formats, ifd
from hatcli.image.codecs import tiff_writer
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

KINDS = [(bits, gray, alpha) for bits in (8, 16) for gray in (False, True) for alpha in (False, True)]
DURATIONS = (100.0, 250.0, 250.0, 1000.0)


def stacked(made: Picture) -> NDArray[np.generic]:
    return made.pixels if made.alpha is None else np.concatenate([made.pixels, made.alpha[..., None]], axis=2)


# Stills


@pytest.mark.parametrize(("bits", "gray", "alpha"), KINDS)
@pytest.mark.parametrize("compression", [0, 1, 6])
def test_a_png_is_sound_and_keeps_every_sample(
    tmp_path: Path, compression: int, bits: int, gray: bool, alpha: bool
) -> None:
    made = picture(bits=bits, gray=gray, alpha=alpha, size=(33, 41), dpi=(300.0, 150.0))
    path = tmp_path / "a.png"
    encode.write(made, path, options=EncodeOptions(compression=compression), overwrite=False)
    check_png(path)
    assert np.array_equal(vips_samples(path, tmp_path), stacked(made))


def test_a_png_with_texts_is_sound_and_others_read_them(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    texts = (("Title", "Grüße"), ("Description", "日本"), ("Comment", "-".join(["long"] * 900)))
    encode.write(replace(picture(), texts=texts), path, overwrite=False)
    check_png(path)
    tags = exiftool_tags(path)
    assert [next(value for name, value in tags.items() if name.endswith(key)) for key, _ in texts] == [
        value for _, value in texts
    ]


@pytest.mark.parametrize(("bits", "gray", "alpha"), KINDS)
@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_and_a_big_tiff_are_sound_and_keep_every_sample(
    tmp_path: Path, big: bool, compression: int, bits: int, gray: bool, alpha: bool
) -> None:
    made = picture(bits=bits, gray=gray, alpha=alpha, size=(700, 41))
    path = tmp_path / "a.tif"
    with path.open("wb") as file:
        tiff_writer.write(
            file,
            [stacked(made)],  # type: ignore[list-item]
            width=made.width,
            height=made.height,
            channels=stacked(made).shape[2],
            bits=bits,
            level=compression,
            big=big,
        )
    assert np.array_equal(vips_samples(path, tmp_path), stacked(made))
    said = tiff_fields(path)
    assert f"Bits/Sample: {bits}" in said
    assert ("unassoc-alpha" in said) == alpha
    assert ("AdobeDeflate" in said) == bool(compression)


@pytest.mark.parametrize("gray", [False, True])
def test_a_bmp_keeps_every_sample(tmp_path: Path, gray: bool) -> None:
    made = picture(gray=gray, size=(33, 41))
    encode.write(made, tmp_path / "a.bmp", overwrite=False)
    shown = ffmpeg_frames(tmp_path / "a.bmp", width=41, height=33)[0]
    assert (shown[..., :3] == made.pixels).all()


@pytest.mark.parametrize("alpha", [False, True])
def test_a_lossless_webp_keeps_every_sample(tmp_path: Path, alpha: bool) -> None:
    made = picture(alpha=alpha, size=(33, 41))
    encode.write(made, tmp_path / "a.webp", options=EncodeOptions(lossless=True), overwrite=False)
    assert np.array_equal(vips_samples(tmp_path / "a.webp", tmp_path), stacked(made))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_a_lossy_file_stays_close(tmp_path: Path, format: str) -> None:
    made = Picture(ramp(64, 80))
    path = tmp_path / f"a{formats.SUFFIX_OF[format]}"
    encode.write(made, path, overwrite=False)
    assert np.abs(vips_samples(path, tmp_path).astype(int) - made.pixels).mean() < 3
    assert np.abs(ffmpeg_frames(path, width=80, height=64)[0, ..., :3].astype(int) - made.pixels).mean() < 3


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_kind_of_picture_is_shown_as_it_is(
    tmp_path: Path, format: str, gray: bool, alpha: bool, bits: int
) -> None:
    level, opacity = (200, 128) if bits == 8 else (200 * 257, 128 * 257)
    kind: Any = np.uint8 if bits == 8 else np.uint16
    made = Picture(
        np.full((32, 48, 1 if gray else 3), level, kind), np.full((32, 48), opacity, kind) if alpha else None
    )
    path = tmp_path / f"a{formats.SUFFIX_OF[format]}"
    encode.write(made, path, overwrite=False)
    shown = vips_samples(path, tmp_path).astype(int)
    on_white = (200 * 128 + 255 * 127) // 255 if alpha and format == "JPEG" else 200
    assert np.abs(shown[..., :3] - on_white).max() <= 2
    if alpha and format != "JPEG":
        assert np.abs(shown[..., 3] - 128).max() <= 2


def test_a_gif_of_few_colours_is_exact_and_its_transparency_too(tmp_path: Path) -> None:
    made = Picture(noise(40, 50, 3) // 128 * 255, noise(40, 50, 1, seed=3)[..., 0] // 128 * 255)
    encode.write(made, tmp_path / "a.gif", overwrite=False)
    for shown in (
        ffmpeg_frames(tmp_path / "a.gif", width=50, height=40)[0],
        vips_samples(tmp_path / "a.gif", tmp_path),
    ):
        assert made.alpha is not None
        assert np.array_equal(shown[..., 3], made.alpha)
        assert np.array_equal(shown[made.alpha > 0][:, :3], made.pixels[made.alpha > 0])


@pytest.mark.parametrize("format", formats.WRITABLE)
def test_metadata_is_read_by_another_program(tmp_path: Path, format: str) -> None:
    maker = ifd.Entry(0x010F, ifd.ASCII, 6, b"Maker\0")
    block = b"MM\0*\0\0\0\x08" + ifd.layout([maker, ifd.numbers(0x0112, ifd.SHORT, 6, order=">")], at=8, order=">")
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Label="a label"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    made = Picture(ramp(64, 96), icc=rgb_profile(), exif=block, xmp=packet, dpi=(300.0, 300.0))
    path = tmp_path / f"a{formats.SUFFIX_OF[format]}"
    if not extras.is_there(format):
        pytest.skip(f"{extras.LIBRARIES[format]} is not installed")
    encode.write(made, path, overwrite=False)
    tags = exiftool_tags(path)
    assert (tags["ImageWidth"], tags["ImageHeight"]) == (96, 64)
    if format in ("GIF", "EXR"):
        return
    if format == "BMP":
        assert round(tags["PixelsPerMeterX"] * 0.0254) == 300
        return
    assert tags["Make"] == "Maker"
    assert tags.get("Orientation", 1) == 1
    assert tags["Label"] == "a label"
    if format != "JXL":  # where it is among the pixels, as jxlinfo tells
        assert "sRGB" in tags["ProfileDescription"]
    if format == "PNG":
        assert round(tags["PixelsPerUnitX"] * 0.0254) == 300
    else:
        assert tags["XResolution"] == 300


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG"])
def test_a_gray_profile_stays_with_gray(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"a{formats.SUFFIX_OF[format]}"
    encode.write(Picture(ramp()[..., :1], icc=gray_profile()), path, overwrite=False)
    assert exiftool_tags(path)["ColorSpaceData"].strip() == "GRAY"


# Animations


def few_colors(*, alpha: bool, size: tuple[int, int] = (24, 40)) -> tuple[Picture, ...]:
    """Four frames, the middle two alike, of few enough colours for a GIF; with alpha, things come and go."""
    frames = []
    for number in (0, 1, 1, 2):
        pixels = np.zeros((*size, 3), np.uint8)
        pixels[..., number] = 250 - noise(*size, 1, seed=number)[..., 0] // 64
        pixels[2:5, 3:9] = 40 * number
        opacity = np.full(size, 255, np.uint8)
        opacity[6 + 4 * number :, 10 * number :] = 0
        frames.append(Picture(pixels, opacity if alpha else None))
    return tuple(frames)


def written(path: Path, frames: tuple[Picture, ...], *, format: str, loops: int = 0, lossless: bool = True) -> Path:
    whole = animation.Animation(frames, DURATIONS[: len(frames)], loops)
    options = EncodeOptions(lossless=lossless and format == "WEBP")
    with path.open("wb") as file:
        animation.write_into(file, iter(frames), whole, format=format, options=options)
    return path


def assert_shown(shown: NDArray[np.uint8], made: Picture) -> None:
    seen = np.ones(shown.shape[:2], bool) if made.alpha is None else made.alpha >= 128
    if shown.shape[2] == 4:
        assert np.array_equal(shown[..., 3] > 0, seen)
    else:
        assert made.alpha is None
    assert np.array_equal(shown[seen][:, :3], made.pixels[seen])


@pytest.mark.parametrize("size", [(12, 16), (24, 40), (130, 200)])
@pytest.mark.parametrize("alpha", [False, True])
def test_ffmpeg_shows_every_frame_of_a_gif(tmp_path: Path, alpha: bool, size: tuple[int, int]) -> None:
    frames = few_colors(alpha=alpha, size=size)
    path = written(tmp_path / "a.gif", frames, format="GIF")
    shown = ffmpeg_frames(path, width=size[1], height=size[0])
    assert len(shown) == 4
    for seen, made in zip(shown, frames, strict=True):
        assert_shown(seen, made)
    assert [1000 * seconds for seconds in ffprobe_durations(path)[:3]] == list(DURATIONS[:3])


@pytest.mark.parametrize("alpha", [False, True])
def test_libvips_shows_every_frame_of_a_gif(tmp_path: Path, alpha: bool) -> None:
    frames = few_colors(alpha=alpha)
    path = written(tmp_path / "a.gif", frames, format="GIF")
    shown = vips_samples(path, tmp_path, options="n=-1").reshape(4, 24, 40, -1)
    for seen, made in zip(shown, frames, strict=True):
        assert_shown(seen, made)


@pytest.mark.parametrize("colors", [1, 3, 200, 256, 600])
@pytest.mark.parametrize("seed", range(4))
def test_pixels_of_a_gif_come_and_go_as_they_should(tmp_path: Path, colors: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    table = chance.integers(0, 256, (colors, 3)).astype(np.uint8)
    height, width = (int(side) for side in chance.integers(1, 40, 2))
    frames = []
    for seen in chance.permutation([1.0, 1.0, 0.0, 0.1, 0.9]):  # shares of the pixels
        indices = chance.integers(0, colors, (height, width))
        opacity = np.where(chance.random((height, width)) < seen, 255, 0).astype(np.uint8)
        frames.append(Picture(table[indices], opacity))
    whole = animation.Animation(tuple(frames), (100.0,) * 5, 0)
    path = tmp_path / "a.gif"
    with path.open("wb") as file:
        animation.write_into(file, iter(frames), whole, format="GIF", options=EncodeOptions())
    with Image.open(path) as image:
        for number, (shown, made) in enumerate(
            zip(ffmpeg_frames(path, width=width, height=height), frames, strict=True)
        ):
            image.seek(number)
            for theirs in (shown, np.asarray(image.convert("RGBA"))):
                assert made.alpha is not None
                assert np.array_equal(theirs[..., 3], made.alpha)
                off = np.abs(theirs[..., :3].astype(int) - made.pixels)[made.alpha > 0]
                assert off.size == 0 or off.max() <= (0 if colors < 256 else 255)


def moving_photo() -> tuple[Picture, ...]:
    """Four frames of thousands of colours in which a square wanders, and its surroundings flicker by one level."""
    frames = []
    for number in range(4):
        pixels = np.clip(ramp(160, 200).astype(int) + noise(160, 200, 3).astype(int) // 16, 0, 253)
        pixels += noise(160, 200, 3, seed=number) // 128
        pixels[40:72, 30 * number + 5 : 30 * number + 37] = (250, 30, 40)
        frames.append(Picture(pixels.astype(np.uint8)))
    return tuple(frames)


def test_a_gif_of_many_colours_stays_close_and_holds_only_what_changes(tmp_path: Path) -> None:
    frames = moving_photo()
    path = written(tmp_path / "a.gif", frames, format="GIF")
    for seen, made in zip(ffmpeg_frames(path, width=200, height=160), frames, strict=True):
        smaller = [
            block.astype(float).reshape(40, 4, 50, 4, 3).mean(axis=(1, 3)) for block in (seen[..., :3], made.pixels)
        ]
        assert np.abs(smaller[0] - smaller[1]).mean() < 3
    still = written(tmp_path / "first.gif", frames[:1], format="GIF")
    assert path.stat().st_size < 1.5 * still.stat().st_size


def test_a_gif_whose_colours_change_has_new_ones_where_it_needs_them(tmp_path: Path) -> None:
    frames = tuple(Picture(np.roll(ramp(64, 96), number, axis=2) // (number + 1)) for number in range(3))
    shown = ffmpeg_frames(written(tmp_path / "a.gif", frames, format="GIF"), width=96, height=64)
    for seen, made in zip(shown, frames, strict=True):
        assert np.abs(seen[..., :3].astype(int) - made.pixels).mean() < 6


def test_a_gif_of_256_grays_is_exact(tmp_path: Path) -> None:
    grays = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    frames = (Picture(grays), Picture(grays[::-1]), Picture(grays[::-1]))
    shown = ffmpeg_frames(written(tmp_path / "a.gif", frames, format="GIF"), width=16, height=16)
    for seen, made in zip(shown, frames, strict=True):
        assert_shown(seen, made)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_an_apng_is_sound_and_keeps_every_sample_of_every_frame(tmp_path: Path, bits: int, alpha: bool) -> None:
    frames = tuple(
        Picture(
            noise(24, 40, 3, bits=bits, seed=number), noise(24, 40, 1, bits=bits, seed=9)[..., 0] if alpha else None
        )
        for number in range(4)
    )
    path = written(tmp_path / "a.png", frames, format="PNG")
    check_png(path)
    read = ffmpeg_frames if bits == 8 else ffmpeg_frames_of_16_bits
    shown = read(path, width=40, height=24)
    assert len(shown) == 4
    for seen, made in zip(shown, frames, strict=True):
        assert np.array_equal(seen[..., : stacked(made).shape[2]], stacked(made))


@pytest.mark.parametrize("alpha", [False, True])
def test_an_animated_webp_shows_every_frame(tmp_path: Path, alpha: bool) -> None:
    frames = few_colors(alpha=alpha)[1:]
    path = written(tmp_path / "a.webp", frames, format="WEBP")
    shown = vips_samples(path, tmp_path, options="n=-1")
    shown = shown.reshape(-1, 24, 40, shown.shape[2])
    for seen, made in zip(shown, frames, strict=True):
        assert_shown(seen, made)
    with Image.open(path) as image:
        for number, duration in enumerate(DURATIONS[:3]):
            image.seek(number)
            image.load()
            assert image.info["duration"] == duration


def test_an_animated_avif_shows_every_frame(tmp_path: Path) -> None:
    frames = few_colors(alpha=False, size=(64, 64))
    path = written(tmp_path / "a.avif", frames, format="AVIF")
    shown = ffmpeg_frames(path, width=64, height=64)
    for seen, made in zip(shown, frames, strict=True):
        assert np.abs(seen[..., :3].astype(int) - made.pixels).mean() < 8


@pytest.mark.parametrize("format", animation.FORMATS)
def test_an_animation_has_the_metadata_of_its_first_frame(tmp_path: Path, format: str) -> None:
    first, *others = few_colors(alpha=False)
    block = b"MM\0*\0\0\0\x08" + ifd.layout([ifd.Entry(0x010F, ifd.ASCII, 6, b"Maker\0")], at=8, order=">")
    described = Picture(first.pixels, icc=rgb_profile(), exif=block)
    path = written(tmp_path / f"a{formats.SUFFIX_OF[format]}", (described, *others), format=format)
    tags = exiftool_tags(path)
    if format != "GIF":
        assert tags["Make"] == "Maker"
        assert "sRGB" in tags["ProfileDescription"]
    else:
        assert tags["FrameCount"] == 4


def test_rows_that_come_one_by_one_make_the_same_file(tmp_path: Path) -> None:
    made = picture(bits=16, alpha=True, size=(37, 29))
    for format in encode.STREAMED:
        file = io.BytesIO()
        block = stacked(made)
        rows = (block[top : top + 1] for top in range(37))
        encode.write_rows_into(file, rows, made, width=29, height=37, alpha=True, format=format)  # type: ignore[arg-type]
        path = tmp_path / f"a{formats.SUFFIX_OF[format]}"
        path.write_bytes(file.getvalue())
        assert np.array_equal(vips_samples(path, tmp_path), block)
