"""Camera raw files: told from TIFFs, developed to the scene's own colours, turned, with their EXIF."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageCms
from support.pictures import ramp, saved, tiff_file
from support.raws import dng, linear_dng
from support.readers import exiftool_tags

from hatcli.errors import InputError
from hatcli.image import decode, encode, formats, ifd, tone
from hatcli.image.codecs import boxes, raw, raw_directories
from hatcli.image.options import RAW_PROFILES, DecodeOptions
from hatcli.image.picture import Picture

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


def test_linear_raw_is_the_scene() -> None:
    read = decode.decode(linear_dng(scene(), channels=3))
    assert np.abs(tone.from_srgb(read.pixels) - scene()).max() < 0.002


@pytest.mark.parametrize("profile", RAW_PROFILES)
def test_a_sensor_without_colours_gives_gray_whatever_the_profile(profile: str) -> None:
    data, options = linear_dng(scene(), channels=1), DecodeOptions(raw_profile=profile)
    read = decode.decode(data, options=options)
    assert decode.describe(data, options=options).channels == read.pixels.shape[2] == 1
    assert read.icc is None
    assert np.array_equal(read.pixels, decode.decode(data).pixels)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_canons_boxes_becomes_one_block(tmp_path: Path, order: str) -> None:
    def part(*fields: ifd.Entry, order: str = "<") -> bytes:
        start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
        return start + ifd.layout(fields, at=8, order=order)

    make = part(ifd.Entry(0x010F, ifd.ASCII, 6, b"Canon\0"), ifd.numbers(0x0112, ifd.SHORT, 6, order="<"))
    details = part(ifd.numbers(0x8827, ifd.SHORT, 400, order=order), order=order)
    position = part(ifd.Entry(0x0001, ifd.ASCII, 2, b"N\0"))
    inside = b"".join(
        boxes.box(kind, body) for kind, body in ((b"CMT1", make), (b"CMT2", details), (b"CMT4", position))
    )
    data = boxes.box(b"ftyp", b"crx \0\0\0\1crx isom") + boxes.box(b"moov", boxes.box(b"uuid", bytes(16) + inside))
    read = raw.RawReader(data, "RAW", 64, 48, "srgb").beside()
    assert read.exif is not None
    encode.write(Picture(ramp(), exif=read.exif), tmp_path / "a.jpg", overwrite=False)
    tags = exiftool_tags(tmp_path / "a.jpg")
    assert (tags["Make"], tags["ISO"], tags["GPSLatitudeRef"]) == ("Canon", 400, "N")
    assert "Orientation" not in tags or tags["Orientation"] == 1
    damaged = data.replace(b"CMT1" + b"II*\0", b"CMT1" + b"IIx\0")
    assert raw.RawReader(damaged, "RAW", 64, 48, "srgb").beside().exif is None


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
    assert not raw_directories.is_raw(saved(ramp(), "TIFF"))
    assert not raw_directories.is_raw(saved(ramp(), "TIFF", compression="tiff_lzw"))
    named = {256: (2,), 257: (2,), 258: (8,), 262: (1,), 271: (1,), 277: (1,), 278: (2,)}
    assert not raw_directories.is_raw(tiff_file([bytes(4)], named))
    assert raw_directories.is_raw(tiff_file([bytes(4)], {**named, 50706: (1,)}))
    assert raw_directories.is_raw(tiff_file([bytes(4)], {**named, 259: (34713,)})), "Nikon's compression"
    assert raw_directories.is_raw(tiff_file([bytes(4)], {**named, 262: (32803,)})), "a mosaic"
    assert raw_directories.is_raw(b"II*\0\x10\0\0\0CR\x02\0" + bytes(40)), "Canon's mark"


def test_a_file_by_phase_one_is_not_its_thumbnail() -> None:
    thumbnail = tiff_file(
        [bytes(12)], {256: (2,), 257: (2,), 258: (8, 8, 8), 262: (2,), 271: (1,), 277: (3,), 278: (2,)}
    )
    assert not raw_directories.is_raw(thumbnail)
    for order, mark in ((b"II*\0", b"IIIICwaR"), (b"MM\0*", b"MMMMRaw\0")):
        assert raw_directories.is_raw(order + b"\x10\0\0\0" + mark + bytes(40))


def test_a_tiff_with_a_cameras_ending_is_not_its_thumbnail() -> None:
    thumbnail = saved(ramp(), "TIFF")
    assert decode.decode(thumbnail, name="a.tif").format == "TIFF"
    with pytest.raises(InputError, match="camera raw file of a kind that cannot be developed"):
        decode.decode(thumbnail, name="a.3FR")


@pytest.mark.parametrize("share", [0.6, 0.75, 0.99])
def test_a_file_without_all_its_samples_is_cut_off_and_not_black(share: float) -> None:
    data = dng(scene(), samples_last=True)
    assert np.array_equal(decode.decode(data).pixels, decode.decode(dng(scene())).pixels)
    for read in (decode.decode, decode.describe):
        with pytest.raises(InputError, match="the file is cut off"):
            read(data[: int(len(data) * share)])


def test_a_file_whose_samples_could_not_be_unpacked_is_damaged_and_not_black() -> None:
    with pytest.raises(InputError, match="it holds no picture"):
        decode.decode(dng(np.zeros((48, 64, 3))))


def test_what_libraw_finds_damaged_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rawpy = pytest.importorskip("rawpy")
    for error, said in ((rawpy.LibRawDataError, "damaged camera raw"), (rawpy.LibRawIOError, "the file is cut off")):

        def fail(*_: object, error: type[Exception] = error, **__: object) -> None:
            raise error("Data error or unsupported file format")

        reader = raw.RawReader(dng(scene()), "RAW", 64, 48, "srgb")
        monkeypatch.setattr(rawpy, "imread", fail)
        with pytest.raises(formats.DamageError, match=said):
            reader.unpack()


@pytest.mark.parametrize("start", [b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0", b"FUJIFILMCCD-RAW ", b"FOVb", b"\0MRM"])
def test_raw_files_that_are_nothing_else_are_refused_as_such(start: bytes) -> None:
    with pytest.raises(InputError, match="camera raw") as caught:
        decode.decode(start + bytes(600), name="a.raw")
    assert caught.value.hint


def test_the_size_is_checked_before_it_is_developed() -> None:
    with pytest.raises(InputError, match="over the limit"):
        decode.decode(dng(scene()), max_pixels=100)
