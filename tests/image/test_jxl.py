"""JPEG XL in and out: 16 bits, profiles, metadata; made by cjxl and read back by djxl and jxlinfo."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from support.pictures import corners, noise, picture, ramp, saved
from support.readers import exiftool_tags, said_by, vips_samples

from hatcli.image import decode, encode, profiles
from hatcli.image.codecs import boxes
from hatcli.image.light import HLG, PQ, Light
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

pytest.importorskip("opencodecs")
P3 = profiles.of_codes(12, 13)
assert P3 is not None


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_djxl_shows_exactly_what_was_written(tmp_path: Path, bits: int, gray: bool, alpha: bool) -> None:
    made = picture(bits=bits, gray=gray, alpha=alpha)
    assert encode.write(made, tmp_path / "a.jxl", overwrite=False) == []
    said_by("djxl", tmp_path / "a.jxl", tmp_path / "b.png")
    seen = vips_samples(tmp_path / "b.png", tmp_path)
    assert seen.dtype == made.pixels.dtype
    assert np.array_equal(seen[..., : made.pixels.shape[2]], made.pixels)
    if alpha:
        assert made.alpha is not None
        assert np.array_equal(seen[..., -1], made.alpha)
    again = decode.read(tmp_path / "a.jxl")
    assert np.array_equal(again.pixels, made.pixels)
    assert (again.alpha is None) == (made.alpha is None)


@pytest.mark.parametrize("lossy", [False, True])
def test_a_profile_is_the_codestreams_own(tmp_path: Path, lossy: bool) -> None:
    options = EncodeOptions(quality=95 if lossy else None)
    encode.write(Picture(ramp(64, 96), icc=P3), tmp_path / "a.jxl", options=options, overwrite=False)
    told = said_by("jxlinfo", tmp_path / "a.jxl").decode()
    assert "P3" in told or "ICC profile" in told, told
    assert ("lossy" in told) == lossy


def test_a_profile_comes_back_with_the_pixels_it_is_for() -> None:
    made = Picture(noise(20, 30, 3, bits=16), icc=P3)
    again = decode.decode(encode.encode(made, format="JXL"))
    assert np.array_equal(again.pixels, made.pixels)
    assert again.icc is not None
    assert b"P3" in again.icc or again.icc == made.icc


def test_srgb_needs_no_profile() -> None:
    assert decode.decode(encode.encode(Picture(ramp()), format="JXL")).icc is None


@pytest.mark.parametrize("distance", ["0", "1"])
def test_what_cjxl_makes_is_read(tmp_path: Path, distance: str) -> None:
    (tmp_path / "a.png").write_bytes(saved(ramp(), "PNG", icc_profile=P3))
    said_by("cjxl", tmp_path / "a.png", tmp_path / "a.jxl", "-d", distance)
    read = decode.read(tmp_path / "a.jxl")
    assert np.abs(read.pixels.astype(int) - ramp()).mean() < (0.001 if distance == "0" else 4)
    assert read.icc is not None


@pytest.mark.parametrize("bits", [4, 10, 12])
def test_every_depth_is_read_to_its_own_white(tmp_path: Path, bits: int) -> None:
    (tmp_path / "a.png").write_bytes(saved(ramp(), "PNG"))
    said_by("cjxl", tmp_path / "a.png", tmp_path / "a.jxl", "-d", "0", f"--override_bitdepth={bits}")
    read = decode.read(tmp_path / "a.jxl")
    assert read.bits == decode.probe(tmp_path / "a.jxl").bits == (16 if bits > 8 else 8)
    share = read.pixels.astype(float) / np.iinfo(read.pixels.dtype).max
    assert np.abs(share - ramp() / 255).max() < 1 / 2**bits + 0.005


def test_exif_and_xmp_are_kept_and_packed_ones_read(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    (tmp_path / "a.jpg").write_bytes(saved(corners(), "JPEG", exif=exif.tobytes(), quality=95))
    said_by("cjxl", tmp_path / "a.jpg", tmp_path / "a.jxl")  # the turn is noted in the codestream, EXIF in a packed box
    read = decode.read(tmp_path / "a.jxl")
    assert read.exif is not None
    assert b"Maker" in read.exif
    assert read.pixels.shape[:2] == (48, 32), "turned once"
    encode.write(Picture(read.pixels, exif=read.exif, xmp=packet), tmp_path / "b.jxl", overwrite=False)
    assert exiftool_tags(tmp_path / "b.jxl")["Make"] == "Maker"
    again = decode.read(tmp_path / "b.jxl")
    assert (again.exif, again.xmp) == (read.exif, packet)
    assert again.pixels.shape[:2] == (48, 32)


def test_a_box_that_unpacks_to_too_much_is_left_out() -> None:
    from opencodecs.codecs import _brotli

    whole = encode.encode(Picture(ramp()), format="JXL")
    bomb = boxes.box(b"brob", b"xml " + bytes(_brotli.encode(b"<x/>" * (1 << 24))))
    at = next(box.start for box in boxes.boxes(whole) if box.kind == b"jxlc")
    read = decode.decode(whole[:at] + bomb + whole[at:])
    assert read.xmp is None
    assert np.array_equal(read.pixels, ramp())


@pytest.mark.parametrize(("transfer", "word"), [(PQ, "PQ"), (HLG, "HLG")])
def test_high_dynamic_range_is_marked_by_the_codestream(tmp_path: Path, transfer: int, word: str) -> None:
    made = Picture(noise(20, 30, 3, bits=16), light=Light(9, transfer))
    encode.write(made, tmp_path / "a.jxl", overwrite=False)
    told = said_by("jxlinfo", tmp_path / "a.jxl").decode()
    assert f"{word} transfer function" in told
    assert "Rec.2100 primaries" in told
    again = decode.read(tmp_path / "a.jxl")
    assert again.light == made.light
    assert np.array_equal(again.pixels, made.pixels)


def test_a_quality_makes_a_smaller_file() -> None:
    made = Picture(ramp(96, 128))
    sizes = [len(encode.encode(made, format="JXL", options=EncodeOptions(quality=quality))) for quality in (95, 60, 20)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("data", [b"\xff\x0a\xfa", struct.pack(">I", 12) + b"JXL \r\n\x87\n"])
def test_what_only_begins_so_is_refused(data: bytes) -> None:
    with pytest.raises(Exception, match="cannot read") as caught:
        decode.decode(data)
    assert type(caught.value).__name__ == "InputError"
