"""HEIC in and out: depth, turn, colours, what lies beside the picture; read back by programs nobody here wrote."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.pictures import corners, noise, picture, ramp, rgb_profile
from support.readers import exiftool_tags, said_by, vips_samples

from hatcli.errors import InputError, OutputError
from hatcli.image import decode, encode, profiles
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

pillow_heif = pytest.importorskip("pillow_heif")


def heic(array: NDArray[Any], mode: str = "RGB", **options: Any) -> bytes:
    """What pillow-heif makes of samples."""
    made = pillow_heif.from_bytes(mode, (array.shape[1], array.shape[0]), array.tobytes())
    file = io.BytesIO()
    made.save(file, **{"quality": 100, "chroma": "444", **options})
    return file.getvalue()


def deep_ramp() -> NDArray[np.uint16]:
    return (ramp(64, 96).astype(np.uint16) * 257).clip(0, 65535)


@pytest.mark.parametrize("bits", [10, 12])
def test_ten_and_twelve_bits_are_kept_as_sixteen(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    data = heic(deep_ramp(), "RGB;16", matrix_coefficients=0)
    read = decode.decode(data)
    assert read.pixels.dtype == np.uint16
    assert decode.describe(data).bits == 16
    assert read.pixels.max() > 65500, "white is white, not the highest value of ten bits shifted"
    assert len(np.unique(read.pixels)) > 200
    assert np.abs(read.pixels.astype(int) - deep_ramp()).max() < 65536 >> (bits - 3)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_picture_is_upright_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = Image.fromarray(corners(64, 96))
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    shown.save(file, "HEIF", quality=95, exif=exif.tobytes())
    read = decode.decode(file.getvalue())
    turned = np.asarray(Image.fromarray(corners(64, 96)).transpose(
        {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}[orientation]
    ))  # fmt: skip
    assert read.pixels.shape == turned.shape
    assert np.abs(read.pixels.astype(int) - turned).mean() < 6
    assert (decode.describe(file.getvalue()).width, decode.describe(file.getvalue()).height) == turned.shape[1::-1]
    if read.exif is not None:
        assert exif_orientation(read.exif) == 1


def exif_orientation(block: bytes) -> int:
    found = Image.Exif()
    found.load(b"Exif\0\0" + block)
    return int(found.get(0x0112, 1))


def test_a_wide_gamut_told_by_codes_becomes_a_profile() -> None:
    read = decode.decode(heic(ramp(64, 96), color_primaries=12, transfer_characteristics=13, matrix_coefficients=6))
    assert read.icc == profiles.of_codes(12, 13)
    assert read.light is None
    plain = decode.decode(heic(ramp(64, 96), color_primaries=1, transfer_characteristics=13, matrix_coefficients=6))
    assert plain.icc is None


def test_a_profile_in_the_file_is_kept() -> None:
    assert decode.decode(heic(ramp(64, 96), icc_profile=rgb_profile())).icc == rgb_profile()


def test_further_pictures_are_left_out_and_told() -> None:
    file = pillow_heif.from_bytes("RGB", (96, 64), ramp(64, 96).tobytes())
    file.add_frombytes("RGB", (96, 64), ramp(64, 96)[::-1].tobytes())
    several = io.BytesIO()
    file.save(several, quality=90)
    read = decode.decode(several.getvalue())
    assert read.notes == ("1 further picture in the file is left out",)
    assert np.abs(read.pixels.astype(int) - ramp(64, 96)).mean() < 6


def test_a_damaged_file_is_refused() -> None:
    whole = heic(ramp(64, 96))
    with pytest.raises(Exception, match="cannot read") as caught:
        decode.decode(whole[: len(whole) // 2])
    assert type(caught.value).__name__ == "InputError"


def test_the_size_is_checked_before_pixels_are_decoded() -> None:
    with pytest.raises(Exception, match="over the limit"):
        decode.decode(heic(ramp(64, 96)), max_pixels=96 * 64 - 1)


@pytest.mark.parametrize(
    ("gray", "alpha", "bits"), [(False, False, 8), (False, True, 8), (True, False, 8), (False, True, 16)]
)
def test_what_is_written_is_what_libheif_shows(tmp_path: Path, gray: bool, alpha: bool, bits: int) -> None:
    made = smooth(gray=gray, alpha=alpha, bits=bits)
    encode.write(made, tmp_path / "a.heic", options=EncodeOptions(quality=95), overwrite=False)
    told = said_by("heif-info", tmp_path / "a.heic").decode()
    assert "image: 96x64" in told
    assert f"alpha channel: {'yes' if alpha else 'no'}" in told
    said_by("heif-convert", tmp_path / "a.heic", tmp_path / "b.png")
    seen = vips_samples(tmp_path / "b.png", tmp_path)
    peak = np.iinfo(seen.dtype).max
    expected = made.pixels.astype(float) / np.iinfo(made.pixels.dtype).max
    assert np.abs(seen[..., : made.pixels.shape[2]] / peak - expected).mean() < 0.01
    if alpha:
        assert made.alpha is not None
        assert np.abs(seen[..., -1] / peak - made.alpha / np.iinfo(made.alpha.dtype).max).mean() < 0.01


def smooth(*, gray: bool, alpha: bool, bits: int) -> Picture:
    pixels: Any = ramp(64, 96)[..., :1] if gray else ramp(64, 96)
    transparency: Any = ramp(64, 96)[..., 1] if alpha else None
    if bits == 16:
        pixels = pixels.astype(np.uint16) * 257
        transparency = None if transparency is None else transparency.astype(np.uint16) * 257
    return Picture(pixels, transparency)


def test_sixteen_bits_are_written_as_ten_and_it_is_said(tmp_path: Path) -> None:
    notes = encode.write(smooth(gray=False, alpha=False, bits=16), tmp_path / "a.heic", overwrite=False)
    assert notes == ["HEIC is written with 10 bits a sample: the 16 bits are rounded"]
    again = decode.read(tmp_path / "a.heic")
    assert again.bits == 16
    assert exiftool_tags(tmp_path / "a.heic")["BitDepthLuma"] == 10


def test_large_pictures_are_cut_into_tiles_that_every_reader_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hatcli.image.codecs import heif

    monkeypatch.setattr(heif, "_TILE", 64)
    made = Picture(ramp(100, 150))
    encode.write(made, tmp_path / "a.heic", overwrite=False)
    file = pillow_heif.open_heif((tmp_path / "a.heic").read_bytes())
    assert (file.info["tiling"]["num_columns"], file.info["tiling"]["num_rows"]) == (3, 2)
    said_by("heif-convert", tmp_path / "a.heic", tmp_path / "b.png")
    seen = vips_samples(tmp_path / "b.png", tmp_path)
    assert np.abs(seen.astype(int) - made.pixels).mean() < 4
    assert np.abs(decode.read(tmp_path / "a.heic").pixels.astype(int) - made.pixels).mean() < 4


def test_transparency_too_large_for_readers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from hatcli.image.codecs import heif

    monkeypatch.setattr(heif, "_MOST_AT_ONCE", 1000)
    with pytest.raises(OutputError, match="too large for HEIC"):
        encode.encode(picture(alpha=True, size=(64, 96)), format="HEIF")


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 65)])
def test_small_and_odd_sizes_come_back(size: tuple[int, int]) -> None:
    again = decode.decode(encode.encode(picture(size=size), format="HEIF"))
    assert (again.height, again.width) == size


def tiled() -> bytes:
    """A picture of 3 x 2 tiles of 64 x 64 pixels, as phones cut theirs."""
    made = pillow_heif.from_bytes("RGB", (192, 128), noise(128, 192, 3).tobytes())
    file = io.BytesIO()
    made.save(file, quality=80, tile_size=64)
    return file.getvalue()


@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
def test_a_picture_without_all_its_tiles_is_cut_off_and_not_green(share: float) -> None:
    data = tiled()
    assert decode.decode(data).width == 192
    for read in (decode.decode, decode.describe):
        with pytest.raises(InputError, match="the file is cut off"):
            read(data[: int(len(data) * share)])


def test_a_damaged_tile_is_told_and_not_green() -> None:
    data = bytearray(tiled())
    middle = (data.find(b"mdat") + len(data)) // 2
    data[middle : middle + 700] = bytes(700)
    with pytest.raises(InputError, match="a tile of the picture is damaged"):
        decode.decode(bytes(data))


def test_dark_green_areas_that_are_no_tiles_are_read() -> None:
    flat = np.zeros((96, 96, 3), np.uint8)
    flat[:48, :, 1] = 136
    assert decode.decode(heic(flat, matrix_coefficients=0)).pixels[10, 10].tolist() == [0, 136, 0]
