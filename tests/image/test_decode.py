"""Every picture is read as what it is (depth, transparency, colours, orientation), or refused in one line."""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.pictures import (
    FILES,
    cmyk_profile,
    corners,
    gray_profile,
    noise,
    picture,
    png_file,
    ramp,
    rgb_profile,
    saved,
    tiff_file,
)

from hatcli.errors import InputError
from hatcli.image import animation, decode, encode, ifd, opening
from hatcli.image.codecs import png, png_reader
from hatcli.image.samples import upright

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
ALL_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP")


def refused(data: bytes, *, name: str = "x", max_pixels: int = decode.DEFAULT_MAX_PIXELS) -> InputError:
    with pytest.raises(InputError) as caught:
        decode.decode(data, name=name, max_pixels=max_pixels)
    assert "\n" not in caught.value.message
    assert " object at 0x" not in caught.value.message
    return caught.value


# Samples


@pytest.mark.parametrize("format", LOSSLESS)
def test_pixels_of_lossless_formats_are_exact(format: str) -> None:
    samples = noise(9, 7, 3)
    got = decode.decode(saved(samples, format, **LOSSLESS[format]))
    assert np.array_equal(got.pixels, samples)
    assert (got.width, got.height, got.bits, got.alpha, got.format) == (7, 9, 8, None, format)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_gray_png_stays_gray_and_its_transparent_colour_is_exact_at_every_depth(depth: int) -> None:
    values = np.arange(16, dtype=np.uint16) * 4369 if depth == 16 else np.arange(16) % 2**depth
    bits = "".join(f"{value:0{depth}b}" for value in values)
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
    key = int(values[1])
    transparency = png.chunk(b"tRNS", struct.pack(">H", key))
    got = decode.decode(png_file([packed], width=16, depth=depth, color=png.GRAY, chunks=[transparency]))
    peak = 65535 if depth == 16 else 255
    assert got.is_gray
    assert got.bits == (16 if depth == 16 else 8)
    assert got.pixels[0, :, 0].tolist() == (values.astype(np.int64) * (peak // (2**depth - 1))).tolist()
    assert got.alpha is not None
    assert got.alpha[0].tolist() == np.where(values == key, 0, peak).tolist()


@pytest.mark.parametrize("depth", [8, 16])
def test_rgb_png_with_a_transparent_colour_compares_whole_samples(depth: int) -> None:
    code = ">u2" if depth == 16 else "u1"
    row = np.array([[1, 2, 3], [1, 2, 4], [258, 2, 3] if depth == 16 else [2, 2, 3]]).astype(code)
    transparency = png.chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    got = decode.decode(png_file([row.tobytes()], width=3, depth=depth, color=png.RGB, chunks=[transparency]))
    peak = 2**depth - 1
    assert got.alpha is not None
    assert got.alpha.tolist() == [[0, peak, peak]]


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_stay_sixteen_bits_exactly(format: str, gray: bool, alpha: bool) -> None:
    made = picture(bits=16, gray=gray, alpha=alpha)
    got = decode.decode(encode.encode(made, format=format))
    assert got.pixels.dtype == np.uint16
    assert np.array_equal(got.pixels, made.pixels)
    assert (got.alpha is None) == (made.alpha is None)
    if got.alpha is not None and made.alpha is not None:
        assert np.array_equal(got.alpha, made.alpha)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_fourth_channel_of_a_tiff_that_does_not_say_what_it_is_is_alpha(tmp_path: Path, kind: type) -> None:
    import cv2

    values: Any = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (12, 16, 4)).astype(kind)
    assert cv2.imwrite(str(tmp_path / "opencv.tif"), values)
    assert decode.probe(tmp_path / "opencv.tif").alpha
    got = decode.read(tmp_path / "opencv.tif")
    assert got.alpha is not None
    assert np.array_equal(got.alpha, values[..., 3])
    assert np.array_equal(got.pixels, values[..., 2::-1])


def test_an_interlaced_png_of_sixteen_bits_is_exact() -> None:
    got = decode.read(FILES / "cs3n2c16.png")
    with Image.open(FILES / "cs3n2c16.png") as image:
        assert np.array_equal(got.pixels >> 8, np.asarray(image))


def test_palettes_become_rgb_and_their_transparency_alpha() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    plain = decode.decode(saved(image, "PNG"))
    assert plain.pixels.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    assert plain.alpha is None
    faded = decode.decode(saved(image, "PNG", transparency=bytes([0, 128])))
    assert faded.alpha is not None
    assert faded.alpha.tolist() == [[0, 128, 255]]


def test_eight_bits_multiplied_by_alpha_are_read_where_channels_lie_one_after_the_other() -> None:
    straight = noise(6, 9, 4)
    shares = straight[..., 3:].astype(float) / 255
    multiplied = np.concatenate([np.rint(straight[..., :3] * shares).astype(np.uint8), straight[..., 3:]], axis=2)
    fields = {256: (9,), 257: (6,), 258: (8,) * 4, 262: (2,), 277: (4,), 278: (6,), 338: (1,)}
    planes = [multiplied[..., channel].tobytes() for channel in range(4)]
    split = decode.decode(tiff_file(planes, {**fields, 284: (2,)}))
    together = decode.decode(tiff_file([multiplied.tobytes()], fields))
    assert split.alpha is not None
    assert np.array_equal(split.alpha, straight[..., 3])
    visible = straight[..., 3] > 100
    assert np.abs(split.pixels[visible].astype(int) - straight[visible][:, :3]).max() <= 2
    assert np.abs(split.pixels[visible].astype(int) - together.pixels[visible]).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_tiff_with_its_channels_one_after_the_other_is_exact(order: str, channels: int) -> None:
    samples = noise(6, 9, channels, bits=16)
    planes = [samples[..., channel].astype(order + "u2").tobytes() for channel in range(channels)]
    photometric = 1 if channels == 2 else 2
    fields = {256: (9,), 257: (6,), 258: (16,) * channels, 262: (photometric,), 277: (channels,), 278: (6,), 284: (2,)}
    if channels != 3:
        fields[338] = (2,)
    got = decode.decode(tiff_file(planes, fields, order=order))
    assert np.array_equal(got.pixels, samples if channels == 3 else samples[..., :-1])
    assert (got.alpha is not None) == (channels != 3)
    assert got.alpha is None or np.array_equal(got.alpha, samples[..., -1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_of_sixteen_bits_is_turned_upright_once(orientation: int) -> None:
    stored = corners().astype(np.uint16) * 257
    fields = {256: (48,), 257: (32,), 258: (16,) * 3, 262: (2,), 274: (orientation,), 277: (3,), 278: (32,)}
    data = tiff_file([stored.astype("<u2").tobytes()], fields)
    assert np.array_equal(decode.decode(data).pixels, upright(stored, orientation))


@pytest.mark.parametrize("bits", [8, 16])
def test_premultiplied_tiffs_become_straight(bits: int) -> None:
    peak = 2**bits - 1
    stored = np.array([[[peak // 2, 0, peak // 4, peak // 2], [0, 0, 0, 0], [9, 8, 7, peak]]])
    code = "<u2" if bits == 16 else "u1"
    fields = {256: (3,), 257: (1,), 258: (bits,) * 4, 262: (2,), 277: (4,), 278: (1,), 338: (1,)}
    got = decode.decode(tiff_file([stored.astype(code).tobytes()], fields))
    assert abs(int(got.pixels[0, 0, 0]) - peak) <= 1
    assert abs(int(got.pixels[0, 0, 2]) - peak // 2) <= peak // 100
    assert got.pixels[0, 2].tolist() == [9, 8, 7]
    assert got.alpha is not None
    assert got.alpha.tolist() == [[peak // 2, 0, peak]]


@pytest.mark.parametrize("bits", [8, 16])
def test_tiffs_whose_white_is_zero_are_not_negatives(bits: int) -> None:
    stored = np.array([[0, 1, 2**bits - 1]])
    fields = {256: (3,), 257: (1,), 258: (bits,), 262: (0,), 277: (1,), 278: (1,)}
    got = decode.decode(tiff_file([stored.astype("<u2" if bits == 16 else "u1").tobytes()], fields))
    assert got.pixels[0, :, 0].tolist() == [2**bits - 1, 2**bits - 2, 0]


@pytest.mark.parametrize("kind", ["P5", "P6"])
def test_pnm_of_more_than_eight_bits_is_read_to_its_own_white(kind: str) -> None:
    values = (np.arange(12) * 93).astype(">u2")
    data = f"{kind}\n# a comment\n{4 if kind == 'P6' else 12} 1\n1023\n".encode() + values.tobytes()
    got = decode.decode(data)
    assert got.bits == 16
    assert got.pixels.reshape(-1).tolist() == np.rint(values.astype(float) * 65535 / 1023).tolist()


def test_floating_point_is_read_with_a_note_and_not_a_number_is_refused() -> None:
    ramp_values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    got = decode.decode(saved(ramp_values, "TIFF"))
    assert got.bits == 16
    assert got.pixels[0, 0, 0] == 0
    assert got.pixels[2, 3, 0] == 65535
    assert "white at 1" in got.notes[0]
    ramp_values[1, 1] = np.nan
    assert "not numbers" in refused(saved(ramp_values, "TIFF")).message


# Colour spaces


def test_cmyk_is_converted_through_its_profile_and_never_read_as_alpha() -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[:4, :, 0] = 255  # cyan, which this profile calls red
    image = Image.frombytes("CMYK", (8, 8), ink.tobytes())
    got = decode.decode(saved(image, "TIFF", icc_profile=cmyk_profile()))
    assert got.alpha is None
    assert got.icc is None
    assert got.pixels[1, 1, 0] > 200
    assert got.pixels[1, 1, 1:].max() < 60
    assert got.pixels[6, 6].min() > 245
    assert "its own profile" in got.notes[0]
    plain = decode.decode(saved(image, "TIFF"))
    assert plain.pixels[1, 1].tolist() == [0, 255, 255]
    assert "no profile" in plain.notes[0]
    damaged = decode.decode(saved(image, "TIFF", icc_profile=cmyk_profile()[:300]))
    assert damaged.pixels[1, 1].tolist() == [0, 255, 255]
    assert "damaged" in damaged.notes[0]


def test_lab_is_converted_to_srgb() -> None:
    lab = Image.frombytes("LAB", (1, 1), bytes([round(54.29 * 2.55), 81, 70]))
    assert np.abs(decode.decode(saved(lab, "TIFF")).pixels[0, 0].astype(int) - (255, 0, 0)).max() <= 6


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_profiles_stay_with_the_pixels_they_describe(format: str) -> None:
    icc = rgb_profile()
    gray = gray_profile()
    assert decode.decode(saved(ramp(), format, icc_profile=icc)).icc == icc
    assert decode.decode(saved(ramp()[..., 0], format, icc_profile=gray)).icc == gray
    misfit = decode.decode(saved(ramp()[..., 0], format, icc_profile=icc))
    assert misfit.icc is None
    assert misfit.is_gray
    assert any("profile for RGB was dropped" in note for note in misfit.notes)
    assert decode.decode(saved(ramp(), format, icc_profile=b"nonsense" * 30)).icc is None


def test_a_colour_description_that_is_not_carried_along_is_told() -> None:
    def notes(*chunks: bytes) -> tuple[str, ...]:
        return decode.decode(png_file([bytes(3)], width=1, depth=8, color=png.RGB, chunks=list(chunks))).notes

    assert notes() == ()
    assert notes(png.chunk(b"gAMA", struct.pack(">I", 45455))) == ()
    assert "gamma of 1 is not kept" in notes(png.chunk(b"gAMA", struct.pack(">I", 100000)))[0]
    assert "HDR (PQ, BT.2020)" in notes(png.chunk(b"cICP", bytes([9, 16, 0, 1])))[0]
    assert notes(png.chunk(b"cICP", bytes([1, 13, 0, 1]))) == ()


# Orientation


@pytest.mark.parametrize("orientation", [0, *range(1, 10)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_ends_upright(tmp_path: Path, format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = corners()
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(stored, format, exif=exif, **options)
    if format == "TIFF":
        fields = {256: (48,), 257: (32,), 258: (8,) * 3, 262: (2,), 274: (orientation,), 277: (3,), 278: (32,)}
        data = tiff_file([stored.tobytes()], fields)
    wanted = upright(stored, orientation if 1 <= orientation <= 8 else 1).astype(int)
    path = tmp_path / "turned"
    path.write_bytes(data)
    got = decode.read(path)
    assert got.pixels.shape == wanted.shape
    off_edges = np.ones(wanted.shape[:2], bool)
    off_edges[wanted.shape[0] // 2 - 8 : wanted.shape[0] // 2 + 8] = False
    off_edges[:, wanted.shape[1] // 2 - 8 : wanted.shape[1] // 2 + 8] = False
    assert np.abs(got.pixels.astype(int) - wanted)[off_edges].max() < 40
    info = decode.probe(path)
    assert (info.width, info.height) == (got.width, got.height)
    again = decode.decode(encode.encode(got, format="PNG"))
    assert np.array_equal(again.pixels, got.pixels)


def test_orientation_in_xmp_alone_counts() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert decode.decode(saved(corners(), "JPEG", xmp=xmp)).pixels.shape == (48, 32, 3)


# Damage, bombs and strangers


@pytest.mark.parametrize("format", ALL_FORMATS)
@pytest.mark.parametrize("percent", [1, 25, 50, 75, 95])
def test_a_cut_file_is_refused(format: str, percent: int) -> None:
    data = saved(noise(60, 60, 3), format)
    refused(data[: len(data) * percent // 100])


def test_a_flipped_bit_in_a_png_is_refused() -> None:
    data = bytearray(saved(noise(60, 60, 3), "PNG"))
    data[len(data) // 2] ^= 1
    assert "checksum" in refused(bytes(data)).message


def test_a_wrong_checksum_over_right_pixels_is_told_and_read() -> None:
    pixels = noise(5, 5, 3)
    data = bytearray(saved(pixels, "PNG"))
    end_of_pixels = data.rindex(b"IEND") - 4
    data[end_of_pixels - 1] ^= 1
    got = decode.decode(bytes(data))
    assert np.array_equal(got.pixels, pixels)
    assert "checksum" in got.notes[0]


def test_a_picture_above_the_limit_is_refused_and_the_limit_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(noise(20, 20, 3), "PNG")
    error = refused(data, max_pixels=399)
    assert "20 x 20" in error.message
    assert "--max-megapixels" in (error.hint or "")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # as if these 400 pixels were more than Pillow allows
    monkeypatch.setattr(opening, "_own_limit", 50)
    assert decode.decode(data, max_pixels=400).width == 20
    assert Image.MAX_IMAGE_PIXELS == 50
    refused(data, max_pixels=100)


def test_a_header_that_claims_too_much_costs_no_memory() -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    pixels = png.chunk(b"IDAT", zlib.compress(b"\0"))
    bomb = png.SIGNATURE + png.chunk(b"IHDR", header) + pixels + png.chunk(b"IEND", b"")
    assert "over the limit" in refused(bomb).message


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not a picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"%PDF-1.7", "PDF"),
        (b"v/1\x01....", "OpenEXR"),
    ],
)
def test_what_is_no_readable_picture_is_called_by_its_name_with_a_hint(data: bytes, word: str) -> None:
    error = refused(data, name="thing.png")
    assert word in error.message
    assert "thing.png" in error.message
    assert error.hint


def test_a_camera_raw_file_is_not_mistaken_for_its_thumbnail() -> None:
    fields = {254: (1,), 256: (2,), 257: (2,), 258: (8,), 262: (1,), 277: (1,), 278: (2,), 50706: (1,)}
    assert "camera raw" in refused(tiff_file([bytes(4)], fields)).message


@pytest.mark.parametrize("name", ["xd3n2c08.png", "chunk_no_fctl.png"])
def test_broken_pngs_are_refused(name: str) -> None:
    refused((FILES / name).read_bytes())


def test_missing_files_and_folders_are_refused_in_a_line(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.png", tmp_path):
        with pytest.raises(InputError, match="cannot read"):
            decode.read(path)


def test_mutated_files_raise_nothing_but_input_errors() -> None:
    chance = random.Random(5)
    kinds = [(bits, gray, alpha) for bits in (8, 16) for gray in (False, True) for alpha in (False, True)]
    seeds = [
        encode.encode(picture(bits=bits, gray=gray, alpha=alpha, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0"), format=format)
        for bits, gray, alpha in kinds
        for format in ("PNG", "TIFF", "JPEG", "WEBP", "GIF")
    ]
    seeds += [(FILES / name).read_bytes() for name in ("mode_16bit.png", "multipage.tiff", "different_durations.png")]
    read = 0
    for _ in range(600):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 2, 8))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            decode.decode(bytes(data))
            read += 1
        except InputError:
            pass
    assert 0 < read < 600


# Frames


def test_of_several_frames_the_first_is_read_and_said_so() -> None:
    frames = [Image.fromarray(noise(8, 8, 1, seed=seed)[..., 0]) for seed in range(3)]
    for format, word in (("GIF", "frames"), ("PNG", "frames"), ("TIFF", "pages")):
        data = saved(frames[0], format, save_all=True, append_images=frames[1:])
        got = decode.decode(data)
        assert got.notes[0] == f"first of 3 {word}"
        assert np.array_equal(got.pixels[..., 0], np.asarray(frames[0]))
    assert decode.read(FILES / "multipage.tiff").notes == ("first of 3 pages",)


@pytest.mark.parametrize("name", ["fuzz-cv2-06.png", "fuzz-cv2-31.png", "decompression_bomb_extents.gif"])
def test_damage_in_a_later_frame_does_not_cost_the_first(name: str) -> None:
    assert decode.read(FILES / name).notes[0].startswith("first of")


def test_only_still_pngs_reach_opencv() -> None:
    animated = (FILES / "mode_16bit.png").read_bytes()
    gated = png.gate(animated)
    assert b"fdAT" in animated
    assert b"fdAT" not in gated.plain_bytes()
    assert b"acTL" not in gated.plain_bytes()
    got = decode.decode(animated)
    assert (got.bits, got.notes) == (16, ("first of 3 frames",))


def test_a_cut_png_never_reaches_opencv() -> None:
    data = encode.encode(picture(bits=16, size=(40, 40)), format="PNG")
    with pytest.raises(ValueError, match="cut off"):
        png_reader.deep_samples(png.gate(data[:-20]))


@pytest.mark.parametrize("channels", [1, 3])
def test_pages_are_counted_only_so_far(channels: int) -> None:
    fields = {256: 2, 257: 1, 258: 16, 259: 1, 262: 2 if channels == 3 else 1, 273: 8, 277: channels, 278: 1}
    entries = [ifd.numbers(tag, ifd.SHORT, value, order="<") for tag, value in {**fields, 279: 4 * channels}.items()]
    data = bytearray(b"II*\0" + struct.pack("<I", 20) + bytes(range(12)))
    for number in range(opening.MOST_FRAMES + 5):
        page = ifd.layout(entries, at=len(data), order="<")
        last = number == opening.MOST_FRAMES + 4
        data += page[:-4] + struct.pack("<I", 0 if last else len(data) + len(page))
    got = decode.decode(bytes(data))
    assert got.notes == (f"first of more than {opening.MOST_FRAMES} pages",)
    assert got.pixels.reshape(-1).tobytes() == bytes(range(4 * channels))
    data[-4:] = struct.pack("<I", 20)  # from the last page back to the first one
    assert decode.decode(bytes(data)).notes == got.notes


def test_frames_are_counted_only_so_far() -> None:
    still = saved(noise(4, 4, 1)[..., 0], "GIF")
    start = still.index(b"\x2c" + bytes(4))
    data = still[:start] + still[start:-1] * (opening.MOST_FRAMES + 5) + b"\x3b"
    got = decode.decode(data)
    assert got.notes == (f"first of more than {opening.MOST_FRAMES} frames",)
    with pytest.raises(InputError, match="more than"):
        animation.read(data, got, name="a.gif", max_pixels=10**9)


# Files of other kinds, and what stands around decoding


@pytest.mark.parametrize(
    ("name", "shape", "bits", "alpha"),
    [
        ("basn0g02.png", (32, 32, 1), 8, False),
        ("basn3p01.png", (32, 32, 3), 8, False),
        ("basn4a16.png", (32, 32, 1), 16, True),
        ("bgan6a08.png", (32, 32, 3), 8, True),
        ("tbwn0g16.png", (32, 32, 1), 16, True),
        ("s05n3p02.png", (5, 5, 3), 8, False),
        ("rgba16.tga", (1, 2, 3), 8, True),
        ("16bit.cropped.j2k", (64, 64, 1), 16, False),
        ("hopper.ico", (16, 16, 3), 8, True),
        ("psd-oob-write-x.psd", (1, 1, 3), 8, False),
        ("alpha_green_under_transparent.png", (64, 64, 3), 8, True),
        ("meta_escape_exif_o6.jpg", (96, 64, 3), 8, False),
        ("exif_orientation_9.jpg", (64, 96, 3), 8, False),
        ("multipage.tiff", (10, 10, 3), 8, False),
        ("mode_16bit.png", (64, 128, 3), 16, True),
    ],
)
def test_odd_files_are_read_as_what_they_are_and_probed_alike(
    name: str, shape: tuple[int, int, int], bits: int, alpha: bool
) -> None:
    got = decode.read(FILES / name)
    assert got.pixels.shape == shape
    assert (got.bits, got.alpha is not None) == (bits, alpha)
    info = decode.probe(FILES / name)
    assert (info.height, info.width, info.channels) == shape
    assert (info.bits, info.alpha, info.format) == (bits, alpha, got.format)
    assert decode.sniff(FILES / name) == got.format


def test_transparent_pixels_are_counted_right_where_pillow_is_wrong() -> None:
    alpha = decode.read(FILES / "tbwn0g16.png").alpha
    assert alpha is not None
    assert int((alpha == 0).sum()) == 453


def test_colours_under_transparency_are_kept() -> None:
    got = decode.read(FILES / "alpha_green_under_transparent.png")
    assert got.alpha is not None
    hidden = got.pixels[got.alpha == 0]
    assert len(hidden) == 3072
    assert (hidden == (0, 255, 0)).all()


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "really a png.jpg"
    path.write_bytes(saved(ramp(), "PNG"))
    assert decode.read(path).format == "PNG"
    assert decode.sniff(path) == "PNG"


def test_sniffing_tells_pictures_from_other_files(tmp_path: Path) -> None:
    for name, content, found in (
        ("notes.png", b"text", None),
        ("a", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
        ("b", b"%PDF-1.7", None),
        ("c", b"", None),
        ("d", saved(ramp(), "WEBP"), "WEBP"),
    ):
        (tmp_path / name).write_bytes(content)
        assert decode.sniff(tmp_path / name) == found
    assert decode.sniff(tmp_path) is None
    assert decode.sniff(tmp_path / "missing.png") is None


def test_a_generous_limit_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved(ramp(), "PNG"))
    assert np.array_equal(decode.read(path, max_pixels=10**13).pixels, ramp())


def test_a_pipe_is_read_no_further_than_the_limit() -> None:
    class Endless(io.BytesIO):
        given = 0

        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= 2**26
            self.given += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(InputError, match="stdin: it is larger"):
        decode.read_open(endless, name="stdin", max_pixels=1000)
    assert endless.given < 2**27


def test_an_open_file_and_bytes_are_read_like_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved(ramp(), "PNG"))
    with path.open("rb") as file:
        data = decode.read_open(file, name="a.png", max_pixels=10**6)
    assert data == path.read_bytes()
    assert decode.describe(data) == decode.probe(path)


def test_libraries_keep_their_warnings_to_themselves(capfd: pytest.CaptureFixture[str]) -> None:
    deflated = bytearray(saved(noise(30, 30, 3), "TIFF", compression="tiff_adobe_deflate"))
    deflated[60:80] = bytes(20)  # libtiff complains about this on its own
    refused(bytes(deflated))
    for name in ("empty_gps_ifd.jpg", "icc-after-SOF.jpg", "decompression_bomb_extents.gif"):
        decode.read(FILES / name)
    refused(saved(noise(30, 30, 3), "TIFF")[:500])
    bad = {256: (2,), 257: (2,), 258: (8,) * 3, 262: (2,), 277: (3000,), 278: (2,)}
    refused(tiff_file([bytes(12)], bad))
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out == ""


def test_threads_decode_different_files_at_once() -> None:
    made = [noise(40, 40, 3, seed=seed) for seed in range(8)]
    files = [saved(samples, "PNG") for samples in made]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda index: decode.decode(files[index % 8]), range(64)))
    assert all(np.array_equal(picture.pixels, made[index % 8]) for index, picture in enumerate(got))


def test_importing_the_decoder_imports_neither_torch_nor_opencv() -> None:
    code = (
        "import sys, hatcli.image.decode, hatcli.image.encode; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'cv2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode.encode(picture(bits=16), format="PNG"))
    opened: list[str] = []

    def counting(original: Any) -> Any:
        def counted(file: Any, *args: Any, **rest: Any) -> Any:
            opened.append(str(file))
            return original(file, *args, **rest)

        return counted

    monkeypatch.setattr("builtins.open", counting(open))
    monkeypatch.setattr("os.open", counting(os.open))
    decode.read(path)
    assert opened.count(str(path)) == 1


@pytest.mark.parametrize("later", [False, True])
def test_what_people_wrote_into_a_png_is_kept(later: bool) -> None:
    data = saved(noise(5, 7, 3), "PNG")
    text = (
        png.chunk(b"tEXt", b"Author\0Me") + png.chunk(b"tEXt", b"date:create\x002024") + png.chunk(b"tEXt", b"Title\0")
    )
    at = len(data) - 12 if later else 33  # in front of IEND, or behind IHDR
    picture = decode.decode(data[:at] + text + data[at:])
    assert picture.texts == (("Author", "Me"), ("date:create", "2024"), ("Title", ""))
    assert (picture.notes, decode.decode(data).notes, decode.decode(data).texts) == ((), (), ())


@pytest.mark.parametrize("said", [0, 1])
def test_a_targas_spare_bit_is_transparency_only_where_the_header_says_so(said: int) -> None:
    values = np.arange(35, dtype="<u2").reshape(5, 7) * 900
    values[0] |= 0x8000
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 7, 5, 16, 0x20 | said)
    data = head + values.tobytes()
    got = decode.decode(data, name="a.tga")
    parts = np.stack([values >> 10 & 31, values >> 5 & 31, values & 31], axis=2)
    assert np.array_equal(got.pixels, parts * 255 // 31)
    assert (got.alpha is not None) == decode.describe(data, name="a.tga").alpha == bool(said)
