"""Camera raw files: told from TIFFs, developed to the scene's own colours, turned, with their EXIF."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageCms
from support.pictures import ramp, saved, tiff_file
from support.raws import dng
from support.readers import exiftool_tags

from hatcli.errors import InputError
from hatcli.image import decode, encode, tone
from hatcli.image.codecs import raw
from hatcli.image.options import RAW_PROFILES, DecodeOptions

pytest.importorskip("rawpy")


def scene(height: int = 48, width: int = 64) -> NDArray[np.float64]:
    """Smooth linear light that a mosaic holds."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([0.1 + 0.6 * x / width, 0.1 + 0.6 * y / height, np.full(x.shape, 0.3)], axis=2)


def test_the_file_is_a_dng_by_other_programs(tmp_path: Path) -> None:
    (tmp_path / "a.dng").write_bytes(dng(scene()))
    assert exiftool_tags(tmp_path / "a.dng")["DNGVersion"] == "1 4 0 0"


def test_white_balance_and_colours_are_the_scenes() -> None:
    read = decode.decode(dng(scene()))
    assert read.format == "RAW"
    assert read.pixels.dtype == np.uint16
    inner = (slice(4, -4), slice(4, -4))
    assert np.abs(tone.from_srgb(read.pixels)[inner] - scene()[inner]).max() < 0.002
    assert "white balance" in read.notes[0]


def test_brightness_does_not_depend_on_what_else_is_there() -> None:
    dark, bright = scene(), scene()
    bright[:8] = 0.95
    one, other = decode.decode(dng(dark)).pixels, decode.decode(dng(bright)).pixels
    assert np.abs(one[16:-4].astype(int) - other[16:-4]).max() < 300


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_the_cameras_turn_is_applied_once(orientation: int) -> None:
    data = dng(scene(), orientation=orientation)
    told, read = decode.describe(data), decode.decode(data)
    assert (told.height, told.width) == read.pixels.shape[:2] == ((64, 48) if orientation > 4 else (48, 64))
    upright = {3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1), 8: lambda a: np.rot90(a)}[orientation](scene())
    assert np.abs(tone.from_srgb(read.pixels) - upright)[6:-6, 6:-6].max() < 0.02
    again = decode.decode(encode.encode(read, format="TIFF"))
    assert again.pixels.shape == read.pixels.shape


def test_exif_goes_through(tmp_path: Path) -> None:
    encode.write(decode.decode(dng(scene(), orientation=6)), tmp_path / "a.jpg", overwrite=False)
    tags = exiftool_tags(tmp_path / "a.jpg")
    assert (tags["Make"], tags["ISO"], tags["ExposureTime"]) == ("Maker", 200, 0.01)
    assert tags.get("Orientation", 1) == 1


@pytest.mark.parametrize("profile", RAW_PROFILES)
def test_every_profile_says_the_colours_it_is_for(profile: str) -> None:
    read = decode.decode(dng(scene()), options=DecodeOptions(raw_profile=profile))
    assert (read.icc is None) == (profile == "srgb")
    if read.icc is None:
        return
    from PIL import Image

    from hatcli.image.picture import eight_bits

    shown = ImageCms.profileToProfile(
        Image.fromarray(eight_bits(read.pixels)),
        ImageCms.ImageCmsProfile(io.BytesIO(read.icc)),
        ImageCms.createProfile("sRGB"),
    )
    plain = eight_bits(decode.decode(dng(scene())).pixels)
    assert shown is not None
    assert np.abs(np.asarray(shown).astype(int) - plain)[4:-4, 4:-4].mean() < 1.5


def test_a_tiff_is_no_raw_file() -> None:
    assert not raw.is_raw(saved(ramp(), "TIFF"))
    assert not raw.is_raw(saved(ramp(), "TIFF", compression="tiff_lzw"))
    named = {256: (2,), 257: (2,), 258: (8,), 262: (1,), 271: (1,), 277: (1,), 278: (2,)}
    assert not raw.is_raw(tiff_file([bytes(4)], named))
    assert raw.is_raw(tiff_file([bytes(4)], {**named, 50706: (1,)}))
    assert raw.is_raw(tiff_file([bytes(4)], {**named, 259: (34713,)})), "Nikon's compression"
    assert raw.is_raw(tiff_file([bytes(4)], {**named, 262: (32803,)})), "a mosaic"
    assert raw.is_raw(b"II*\0\x10\0\0\0CR\x02\0" + bytes(40)), "Canon's mark"


@pytest.mark.parametrize("start", [b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0", b"FUJIFILMCCD-RAW ", b"FOVb", b"\0MRM"])
def test_raw_files_that_are_nothing_else_are_refused_as_such(start: bytes) -> None:
    with pytest.raises(InputError, match="camera raw") as caught:
        decode.decode(start + bytes(600), name="a.raw")
    assert caught.value.hint


def test_the_size_is_checked_before_it_is_developed() -> None:
    with pytest.raises(InputError, match="over the limit"):
        decode.decode(dng(scene()), max_pixels=100)
