"""What is written is what was given, as far as the format can carry it; what it cannot is said before the work."""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.pictures import gray_profile, noise, picture, ramp

from hatcli.errors import HatError, MemoryLimitError, OutputError, UsageError
from hatcli.image import animation, decode, encode, exif, extras, formats, ifd
from hatcli.image.codecs import png_writer, tiff_writer
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, Samples

KINDS = [(bits, gray, alpha) for bits in (8, 16) for gray in (False, True) for alpha in (False, True)]


def assert_same(got: Picture, wanted: Picture) -> None:
    assert got.pixels.dtype == wanted.pixels.dtype
    assert np.array_equal(got.pixels, wanted.pixels)
    assert (got.alpha is None) == (wanted.alpha is None)
    if got.alpha is not None and wanted.alpha is not None:
        assert np.array_equal(got.alpha, wanted.alpha)


@pytest.mark.parametrize(("bits", "gray", "alpha"), KINDS)
@pytest.mark.parametrize("compression", [None, 0, 1, 6, 9])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_png_and_tiff_keep_every_sample(
    format: str, compression: int | None, bits: int, gray: bool, alpha: bool
) -> None:
    made = picture(bits=bits, gray=gray, alpha=alpha)
    data = encode.encode(made, format=format, options=EncodeOptions(compression=compression))
    assert_same(decode.decode(data), made)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (700, 600)])
@pytest.mark.parametrize("compression", [1, 6])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_any_size_is_written_whole(format: str, compression: int, size: tuple[int, int]) -> None:
    made = picture(size=size)
    data = encode.encode(made, format=format, options=EncodeOptions(compression=compression))
    assert_same(decode.decode(data), made)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), made.pixels)


def test_higher_compression_makes_smaller_files() -> None:
    made = Picture(np.concatenate([ramp(300, 300), noise(60, 300, 3) // 16]))
    for format in ("PNG", "TIFF"):
        sizes = [
            len(encode.encode(made, format=format, options=EncodeOptions(compression=level))) for level in (0, 1, 6)
        ]
        assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize("level", [0, 1, 6])
def test_a_file_does_not_depend_on_the_blocks_its_rows_come_in(level: int) -> None:
    samples = noise(1001, 301, 3, bits=16)

    def in_blocks(*heights: int) -> list[Samples]:
        cuts = np.cumsum([0, *heights])
        return [samples[top:bottom] for top, bottom in pairwise(cuts)]

    made = set()
    for heights in ((1001,), (1,) * 1001, (640, 360, 1)):
        shape: dict[str, Any] = {"width": 301, "height": 1001, "channels": 3, "bits": 16, "level": level}
        content = b"".join(png_writer.encode(in_blocks(*heights), **shape))
        assert np.array_equal(decode.decode(content).pixels, samples)
        file = io.BytesIO()
        tiff_writer.write(file, in_blocks(*heights), **shape)
        assert np.array_equal(decode.decode(file.getvalue()).pixels, samples)
        made.add((content, file.getvalue()))
    assert len(made) == 1


def test_a_big_tiff_holds_the_same_with_its_metadata() -> None:
    made = picture(bits=8)
    file = io.BytesIO()
    maker = ifd.Entry(0x010F, ifd.ASCII, 6, b"Maker\0")
    named = b"MM\0*\0\0\0\x08" + ifd.layout([maker], at=8, order=">")
    tiff_writer.write(
        file,
        [made.pixels],
        width=made.width,
        height=made.height,
        channels=3,
        bits=8,
        level=1,
        big=True,
        exif_block=named,
        xmp=b"<x/>",
        dpi=(300, 300),
    )
    data = file.getvalue()
    assert data[:4] == b"II+\0"
    got = decode.decode(data)
    assert_same(got, made)
    assert (got.xmp, got.dpi) == (b"<x/>", (300, 300))
    assert got.exif is not None
    assert b"Maker" in got.exif
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), made.pixels)


def test_lossless_webp_keeps_every_sample_under_transparency_too() -> None:
    made = picture(alpha=True)
    assert_same(decode.decode(encode.encode(made, format="WEBP", options=EncodeOptions(lossless=True))), made)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_stay_close_and_quality_counts(format: str) -> None:
    made = Picture(np.clip(ramp(64, 64).astype(int) + noise(64, 64, 3) // 8, 0, 255).astype(np.uint8))
    fine, coarse = (
        encode.encode(made, format=format, options=EncodeOptions(quality=quality)) for quality in (None, 20)
    )
    assert len(coarse) < len(fine)
    assert np.abs(decode.decode(fine).pixels.astype(int) - made.pixels).mean() < 7


def test_jpeg_keeps_the_colour_of_single_pixels() -> None:
    pixels = np.full((16, 16, 3), 128, np.uint8)
    pixels[8, 8] = (255, 0, 0)
    got = decode.decode(encode.encode(Picture(pixels), format="JPEG")).pixels[8, 8].astype(int)
    assert got[0] - got[1] > 180  # with chroma subsampling little of the red would be left


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_transparency_survives_lossy_formats(format: str) -> None:
    alpha = np.zeros((32, 32), np.uint8)
    alpha[8:24, 8:24] = 255
    got = decode.decode(encode.encode(Picture(ramp(32, 32), alpha), format=format))
    assert got.alpha is not None
    assert np.abs(got.alpha.astype(int) - alpha).max() < 16


@pytest.mark.parametrize("format", ["JPEG", "BMP"])
@pytest.mark.parametrize("bits", [8, 16])
def test_formats_without_transparency_lay_the_picture_on_white(tmp_path: Path, format: str, bits: int) -> None:
    dark, half = np.zeros((8, 8, 3), np.uint16), np.full((8, 8), 32767, np.uint16)
    made = Picture(dark, half) if bits == 16 else Picture(dark.astype(np.uint8), (half // 257).astype(np.uint8))
    notes = encode.write(made, tmp_path / "a", format=format, overwrite=False)
    assert any("transparency" in note and "white" in note for note in notes)
    assert np.abs(decode.read(tmp_path / "a").pixels.astype(int) - 128).max() <= 2


def test_an_opaque_alpha_channel_costs_no_note(tmp_path: Path) -> None:
    made = Picture(ramp(), np.full((40, 60), 255, np.uint8))
    assert encode.write(made, tmp_path / "a.jpg", overwrite=False) == []


def test_sixteen_bits_are_rounded_to_eight_not_cut() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    got = decode.decode(encode.encode(Picture(values), format="BMP"))
    assert np.array_equal(got.pixels, np.rint(values / 257).astype(np.uint8))


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_gray_becomes_rgb_through_its_profile_where_the_format_has_no_gray(format: str) -> None:
    gray = np.full((16, 16, 1), 128, np.uint8)
    options = EncodeOptions(lossless=format == "WEBP")
    plain = decode.decode(encode.encode(Picture(gray), format=format, options=options))
    assert np.abs(plain.pixels.astype(int) - 128).max() <= 1
    dark = decode.decode(encode.encode(Picture(gray, icc=gray_profile(1.0)), format=format, options=options))
    assert dark.icc is None
    assert np.abs(dark.pixels.astype(int) - 188).max() <= 2  # half the light is 188 in sRGB


def test_gif_keeps_gray_exactly_and_approximates_colours() -> None:
    gray = Picture(np.arange(256, dtype=np.uint8).reshape(16, 16, 1))
    assert decode.decode(encode.encode(gray, format="GIF")).pixels[..., 0].tolist() == gray.pixels[..., 0].tolist()
    got = decode.decode(encode.encode(Picture(ramp()), format="GIF"))
    assert len(np.unique(got.pixels.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(got.pixels.astype(int) - ramp()).mean() < 12


@pytest.mark.parametrize("gray", [False, True])
def test_gif_pixels_are_seen_or_not(gray: bool) -> None:
    made = picture(gray=gray, alpha=True, size=(30, 30))
    got = decode.decode(encode.encode(made, format="GIF"))
    assert made.alpha is not None
    assert got.alpha is not None
    assert np.array_equal(got.alpha, np.where(made.alpha < 128, 0, 255))


# What a format cannot carry


@pytest.mark.parametrize(
    ("format", "width", "height"),
    [("JPEG", 65501, 1), ("WEBP", 1, 16384), ("AVIF", 32769, 1), ("AVIF", 20000, 20000), ("GIF", 65536, 1)],
)
def test_too_large_for_the_format_is_said_before_the_work_with_a_way_out(format: str, width: int, height: int) -> None:
    with pytest.raises(OutputError) as caught:
        encode.check_format(format, width=width, height=height, bits=8, alpha=False, gray=False)
    assert f"{width} x {height}" in caught.value.message
    assert caught.value.hint is not None
    assert "png" in caught.value.hint


@pytest.mark.parametrize(("format", "side"), [("JPEG", 65500), ("WEBP", 16383), ("GIF", 65535), ("AVIF", 32768)])
def test_the_largest_size_that_passes_the_check_can_be_written(format: str, side: int) -> None:
    long = Picture(np.zeros((1, side, 1), np.uint8))
    assert decode.decode(encode.encode(long, format=format)).width == side


def test_notes_name_what_will_be_lost() -> None:
    def notes(format: str, *, bits: int = 8, alpha: bool = False, gray: bool = False) -> str:
        return " ".join(encode.check_format(format, width=9, height=9, bits=bits, alpha=alpha, gray=gray))

    for format in ("PNG", "TIFF"):
        assert notes(format, bits=16, alpha=True, gray=True) == ""
    assert "white" in notes("JPEG", alpha=True)
    assert "16 bits are rounded" in notes("WEBP", bits=16)
    assert "gray" in notes("AVIF", gray=True)
    assert "256 colours" in notes("GIF")
    assert notes("GIF", gray=True) == ""


def test_what_people_wrote_into_a_png_goes_into_pngs_alone() -> None:
    texts = (("Title", "Grüße"), ("Description", "日本"), ("parameters", "steps " * 500), ("date:create", "2024"))
    made = replace(picture(), texts=texts)

    def notes(format: str, **options: bool) -> list[str]:
        return encode.write_into(io.BytesIO(), made, format=format, options=EncodeOptions(**options))

    with Image.open(io.BytesIO(encode.encode(made, format="PNG"))) as opened:
        assert opened.text == dict(texts)  # type: ignore[attr-defined]
    assert notes("PNG") == []
    for format in ("TIFF", "WEBP"):
        assert notes(format) == ["PNG's texts are left out: Title, Description, parameters"]
        assert notes(format, strip_metadata=True) == []
    bare = encode.encode(made, format="PNG", options=EncodeOptions(strip_metadata=True))
    with Image.open(io.BytesIO(bare)) as opened:
        assert opened.text == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", EncodeOptions(lossless=True)),
        ("AVIF", EncodeOptions(lossless=True)),
        ("WEBP", EncodeOptions(quality=101)),
        ("JPEG", EncodeOptions(quality=0)),
        ("PNG", EncodeOptions(compression=10)),
    ],
)
def test_options_that_cannot_be_met_are_refused(format: str, options: EncodeOptions) -> None:
    with pytest.raises(UsageError) as caught:
        encode.encode(picture(), format=format, options=options)
    assert caught.value.hint


def test_formats_are_found_by_suffix_path_and_name() -> None:
    for text, format in (
        ("a/b.PNG", "PNG"), (".jpg", "JPEG"), ("jpeg", "JPEG"), ("JPEG", "JPEG"), ("x.tif", "TIFF"), ("tiff", "TIFF"),
        ("webp", "WEBP"), ("avif", "AVIF"), ("gif", "GIF"), ("bmp", "BMP"), ("PPM", None), ("a.jp2", None),
        ("same", None), ("", None), ("photo", None),
    ):  # fmt: skip
        assert encode.format_for(text) == format
    assert {encode.format_for(encode.ending_for(format)) for format in formats.WRITABLE} == set(formats.WRITABLE)


# Encoders that fail


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "BMP", "GIF"])
@pytest.mark.parametrize(
    "failure", [struct.error("unpack requires 4 bytes"), TypeError("a"), KeyError(7), OSError("encoder error -2")]
)
def test_whatever_an_encoder_raises_is_that_pictures_failure(
    monkeypatch: pytest.MonkeyPatch, format: str, failure: Exception
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(Image.Image, "save", failing)
    with pytest.raises(OutputError) as caught:
        encode.encode(picture(), format=format)
    assert formats.title(format) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize("format", encode.STREAMED)
@pytest.mark.parametrize("failure", [KeyError("the network"), MemoryError("the network"), OutputError("the network")])
def test_a_failure_of_what_makes_the_rows_is_not_taken_for_the_encoders(format: str, failure: Exception) -> None:
    def rows() -> Iterator[Samples]:
        yield noise(1, 7, 3)
        raise failure

    with pytest.raises(type(failure)) as caught:
        encode.write_rows_into(io.BytesIO(), rows(), picture(), width=7, height=9, alpha=False, format=format)
    assert caught.value is failure


def test_any_byte_of_the_metadata_may_be_wrong(tmp_path: Path) -> None:
    turned = ifd.numbers(0x0112, ifd.SHORT, 1, order=">")
    block = b"MM\0*\0\0\0\x08" + ifd.layout([turned, *exif.resolution_fields((72, 72), order=">")], at=8, order=">")
    frames = tuple(Picture(noise(8, 8, 3, seed=seed)) for seed in range(2))
    for place in range(len(block)):
        changed = bytearray(block)
        changed[place] ^= 0x0F
        first = replace(frames[0], exif=bytes(changed))
        moving = animation.Animation((first, frames[1]), (100.0, 100.0), 0)
        for format in ("JPEG", "WEBP", "AVIF", "TIFF", "PNG"):
            with suppress(HatError):
                encode.encode(first, format=format)
            if format in animation.FORMATS:
                with suppress(HatError):
                    frames_again = iter(moving.frames)
                    animation.write_into(io.BytesIO(), frames_again, moving, format=format, options=EncodeOptions())


# Files


def test_a_file_that_is_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="there already"):
        encode.write(picture(), path, overwrite=False)
    assert path.read_bytes() == b"precious"
    encode.write(picture(), path, overwrite=True)
    assert_same(decode.read(path), picture())


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_half_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    encode_parts = png_writer.encode

    def failing(*arguments: object, **options: object) -> object:
        parts = encode_parts(*arguments, **options)  # type: ignore[arg-type]
        yield next(parts)
        raise failure

    monkeypatch.setattr(png_writer, "encode", failing)
    told: dict[type, type[BaseException]] = {OSError: OutputError, MemoryError: MemoryLimitError}
    expected = told.get(type(failure), type(failure))
    with pytest.raises(expected):
        encode.write(picture(), path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"old"


def test_places_that_cannot_be_written_are_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"")
    too_long = "x" * 300 + ".png"
    for path in (
        tmp_path / "missing" / "a.png",
        tmp_path / "folder.png",
        tmp_path / "file" / "a.png",
        tmp_path / too_long,
    ):
        with pytest.raises(OutputError) as caught:
            encode.write(picture(), path, overwrite=True)
        assert "\n" not in caught.value.message
    assert not list(tmp_path.glob(".hat-*"))


def test_a_suffix_of_no_known_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no suffix that says its format"):
        encode.write(picture(), tmp_path / "a.xyz", overwrite=False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask to speak of")
def test_the_umask_is_honoured(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        encode.write(picture(), tmp_path / "a.png", overwrite=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


@pytest.mark.parametrize("format", formats.WRITABLE)
def test_bytes_for_a_pipe_are_the_bytes_of_a_file(tmp_path: Path, format: str) -> None:
    if not extras.is_there(format):
        pytest.skip(f"{extras.LIBRARIES[format]} is not installed")
    encode.write(picture(), tmp_path / "a", format=format, overwrite=False)
    assert encode.encode(picture(), format=format) == (tmp_path / "a").read_bytes()
