"""Photoshop files: the flattened picture, 8 and 16 bits; those saved without one are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from support.pictures import noise, rgb_profile
from support.psds import psd
from support.readers import exiftool_tags

from hatcli.errors import InputError
from hatcli.image import decode, ifd

NEEDS = "psd_tools"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_flattened_picture_is_read_exactly(channels: int, bits: int, tmp_path: Path) -> None:
    if bits == 16:
        pytest.importorskip(NEEDS)
    made = noise(20, 30, channels, bits=bits)
    (tmp_path / "a.psd").write_bytes(psd(made))
    assert exiftool_tags(tmp_path / "a.psd")["BitDepth"] == bits
    read, told = decode.read(tmp_path / "a.psd"), decode.probe(tmp_path / "a.psd")
    assert np.array_equal(read.pixels, made)
    assert read.pixels.dtype == made.dtype
    assert (told.bits, told.channels, told.width, told.height) == (bits, channels, 30, 20)


def test_opaque_alpha_of_sixteen_bits_leaves_colours_as_they_are() -> None:
    pytest.importorskip(NEEDS)
    made = noise(20, 30, 4, bits=16)
    made[..., 3] = 65535
    read = decode.decode(psd(made))
    assert np.array_equal(read.pixels, made[..., :3])
    assert read.alpha is not None
    assert (read.alpha == 65535).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("mark", [b"8BIM", b"AgHg"])
def test_profile_resolution_exif_and_xmp_are_kept(bits: int, mark: bytes) -> None:
    if bits == 16:
        pytest.importorskip(NEEDS)
    resolution = struct.pack(">IHHIHH", 300 << 16, 1, 1, 300 << 16, 1, 1)
    packet = b"<x:xmpmeta/>"
    block = b"MM\0*\0\0\0\x08" + ifd.layout([ifd.Entry(0x010F, ifd.ASCII, 6, b"Maker\0")], at=8, order=">")
    resources = {1005: resolution, 1039: rgb_profile(), 1058: block, 1060: packet}
    read = decode.decode(psd(noise(20, 30, 3, bits=bits), resources=resources, mark=mark))
    assert (read.icc, read.xmp, read.dpi) == (rgb_profile(), packet, (300.0, 300.0))
    assert read.exif is not None
    assert b"Maker" in read.exif


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_large_files_are_read_exactly(bits: int, channels: int) -> None:
    pytest.importorskip(NEEDS)
    made = noise(20, 30, channels, bits=bits)
    read = decode.decode(psd(made, large=True))
    assert np.array_equal(read.pixels, made)
    assert read.pixels.dtype == made.dtype


def test_gray_keeps_its_transparency() -> None:
    pytest.importorskip(NEEDS)
    made = noise(20, 30, 2)
    made[:10, :, 1] = 255
    data = psd(made, mode=1)
    read = decode.decode(data)
    assert decode.describe(data).alpha
    assert read.alpha is not None
    assert np.array_equal(read.pixels[:10, :, 0], made[:10, :, 0])
    assert np.array_equal(read.alpha, made[..., 1])


def test_further_channels_are_left_out_and_told() -> None:
    assert decode.decode(psd(noise(20, 30, 5))).notes == ("2 further channels left out",)
    assert "1 further channel left out" in decode.decode(psd(noise(20, 30, 5), mode=4)).notes


def test_a_duotone_is_gray_and_says_so() -> None:
    made = noise(20, 30, 1)
    read = decode.decode(psd(made, mode=8))
    assert np.array_equal(read.pixels, made)
    assert read.notes == ("a duotone is read as gray, without its inks",)


@pytest.mark.parametrize(("mode", "bits", "called"), [(4, 16, "CMYK"), (9, 16, "Lab"), (7, 8, "multichannel")])
def test_kinds_that_are_not_read_are_named(mode: int, bits: int, called: str) -> None:
    with pytest.raises(InputError, match=f"a Photoshop file of {bits} bits in {called} cannot be read") as caught:
        decode.decode(psd(noise(20, 30, 4, bits=bits), mode=mode))
    assert "TIFF" in (caught.value.hint or "")


@pytest.mark.parametrize("bits", [8, 16])
def test_a_file_without_its_flattened_picture_is_refused_with_a_hint(bits: int) -> None:
    with pytest.raises(InputError, match="without its flattened picture") as caught:
        decode.decode(psd(noise(20, 30, 3, bits=bits), has_composite=False))
    assert "Maximize Compatibility" in (caught.value.hint or "")


def test_sixteen_bits_without_the_library_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from hatcli.image import extras

    monkeypatch.setattr(extras, "has_module", lambda name: name != NEEDS)
    with pytest.raises(InputError, match="needs psd-tools") as caught:
        decode.decode(psd(noise(20, 30, 3, bits=16)))
    assert caught.value.hint == "pip install 'hatcli[formats]'"
    assert decode.decode(psd(noise(20, 30, 3))).bits == 8


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_a_cut_file_is_refused(share: float) -> None:
    pytest.importorskip(NEEDS)
    data = psd(noise(20, 30, 3, bits=16))
    with pytest.raises(InputError, match="cannot read"):
        decode.decode(data[: int(len(data) * share)])
