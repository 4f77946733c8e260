"""OpenEXR: linear light in and out, and the one rule by which other formats show it."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.pictures import picture, ramp
from support.readers import said_by

from hatcli.errors import HatError, InputError, OutputError
from hatcli.image import decode, encode, tone
from hatcli.image.picture import Picture

OpenEXR = pytest.importorskip("OpenEXR")


def exr(channels: dict[str, NDArray[Any]], **header: Any) -> bytes:
    """What OpenEXR makes of channels."""
    file = io.BytesIO()
    said = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    OpenEXR.File(said, {name: np.ascontiguousarray(plane) for name, plane in channels.items()}).write(file)
    return file.getvalue()


def by_hand(channels: dict[str, NDArray[Any]]) -> bytes:
    """An OpenEXR without compression of one full plane, and others of half its resolution; the binding writes none."""
    height, width = max(plane.shape for plane in channels.values())
    steps = {name: 1 if plane.shape == (height, width) else 2 for name, plane in channels.items()}

    def attribute(name: str, kind: str, value: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value

    listed = b"".join(name.encode() + struct.pack("<xiB3xii", 2, 0, step, step) for name, step in steps.items())
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    head = struct.pack("<II", 20000630, 2)
    head += attribute("channels", "chlist", listed + b"\0") + attribute("compression", "compression", b"\0")
    head += attribute("dataWindow", "box2i", window) + attribute("displayWindow", "box2i", window)
    head += attribute("lineOrder", "lineOrder", b"\0") + attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
    head += attribute("screenWindowCenter", "v2f", bytes(8))
    head += attribute("screenWindowWidth", "float", struct.pack("<f", 1)) + b"\0"
    rows = []
    for y in range(height):
        row = b"".join(
            plane[y // steps[name]].astype("<f4").tobytes() for name, plane in channels.items() if y % steps[name] == 0
        )
        rows.append(struct.pack("<ii", y, len(row)) + row)
    at = len(head) + 8 * height + np.cumsum([0, *(len(row) for row in rows[:-1])])
    return bytes(head + at.astype("<u8").tobytes() + b"".join(rows))


def channels_of(data: bytes) -> dict[str, NDArray[Any]]:
    file = OpenEXR.File(io.BytesIO(data), separate_channels=True)
    return {name: channel.pixels for name, channel in file.channels().items()}


def scene(most: float = 40.0) -> NDArray[np.float32]:
    """Linear light `[24, 36, 3]` over seven orders of magnitude."""
    exponents = np.random.default_rng(0).uniform(np.log10(most) - 7, np.log10(most), (24, 36, 3))
    return (10.0**exponents).astype(np.float32)


def rgb(values: NDArray[Any], kind: Any = np.float32) -> dict[str, NDArray[Any]]:
    return {name: values[..., at].astype(kind) for at, name in enumerate("RGB")}


@pytest.mark.parametrize("most", [1.0, 40.0, 5000.0])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_linear_light_comes_back_as_it_was(most: float, kind: Any) -> None:
    values = scene(most)
    back = channels_of(encode.encode(decode.decode(exr(rgb(values, kind))), format="EXR"))
    for at, name in enumerate("RGB"):
        assert back[name].dtype == np.float16
        assert np.allclose(back[name].astype(float), values[..., at], rtol=2e-3, atol=most * 1e-6)


def test_gray_stays_gray_and_alpha_alpha() -> None:
    luminance = scene()[..., 0]
    alpha = np.linspace(0.1, 1, luminance.size, dtype=np.float32).reshape(luminance.shape)
    read = decode.decode(exr({"Y": luminance * alpha, "A": alpha}))
    assert read.is_gray
    assert read.alpha is not None
    back = channels_of(encode.encode(read, format="EXR"))
    assert set(back) == {"Y", "A"}
    assert np.allclose(back["A"], alpha, atol=1e-3)
    assert np.allclose(back["Y"], luminance * alpha, rtol=3e-3, atol=1e-4)


def test_other_formats_show_it_by_the_rule(tmp_path: Path) -> None:
    values = np.zeros((8, 8, 3), np.float32)
    values[:, :, 0], values[:, :, 1], values[:, :, 2] = 0.18, 0.8, 40.0
    read = decode.decode(exr(rgb(values)))
    assert encode.write(read, tmp_path / "a.png", overwrite=False) == [tone.NOTE]
    shown = decode.read(tmp_path / "a.png")
    assert shown.bits == 16
    assert shown.light is None
    red, green, blue = (int(shown.pixels[0, 0, at]) for at in range(3))
    assert abs(red - round(65535 * (1.055 * 0.18 ** (1 / 2.4) - 0.055))) <= 20
    assert abs(green - round(65535 * (1.055 * 0.8 ** (1 / 2.4) - 0.055))) <= 40
    assert blue == 65535


def test_python_programs_get_what_is_shown() -> None:
    read = decode.decode(exr(rgb(np.full((4, 4, 3), 0.18, np.float32))))
    shown = round(65535 * (1.055 * 0.18 ** (1 / 2.4) - 0.055))
    assert abs(int(read.to_numpy()[0, 0, 0]) - shown) <= 20
    assert read.to_pil().getpixel((0, 0)) == (round(shown / 257),) * 3


def test_the_rule_is_the_same_row_by_row(tmp_path: Path) -> None:
    read = decode.decode(exr(rgb(scene())))
    whole = encode.encode(read, format="PNG")
    file = io.BytesIO()
    encode.write_rows_into(
        file, iter([read.pixels[:10], read.pixels[10:]]), read, width=36, height=24, alpha=False, format="PNG"
    )
    assert file.getvalue() == whole


def test_brighter_is_never_shown_darker() -> None:
    values = np.repeat(np.linspace(0, 3, 400, dtype=np.float32)[None, :, None], 3, axis=2)
    read = decode.decode(exr(rgb(values)))
    assert read.light is not None
    shown = tone.shown(read.pixels, read.light)[0, :, 0].astype(int)
    assert (np.diff(shown) >= 0).all()
    assert np.diff(shown)[:150].min() > 0


def test_other_primaries_are_kept_in_exr_and_converted_elsewhere(tmp_path: Path) -> None:
    wide = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    values = np.full((8, 8, 3), (0.3, 0.3, 0.3), np.float32)
    values[4:] = (0.1, 0.5, 0.1)
    read = decode.decode(exr(rgb(values), chromaticities=wide))
    (tmp_path / "a.exr").write_bytes(encode.encode(read, format="EXR"))
    assert "red   (0.708 0.292)" in said_by("exrheader", tmp_path / "a.exr").decode()
    shown = decode.decode(encode.encode(read, format="PNG")).pixels
    assert np.ptp(shown[0, 0].astype(int)) < 60, "gray stays gray"
    assert shown[5, 0, 0] < 0.25 * 65535, "green is more saturated in sRGB than in the wide gamut"


def test_ordinary_pictures_become_linear_light(tmp_path: Path) -> None:
    encode.write(Picture(ramp()), tmp_path / "a.exr", overwrite=False)
    told = said_by("exrheader", tmp_path / "a.exr").decode()
    assert "R, 16-bit floating-point" in told
    back = channels_of((tmp_path / "a.exr").read_bytes())
    assert np.allclose(back["R"].astype(float), tone.from_srgb(ramp())[..., 0], atol=6e-4)


def test_a_profile_of_its_own_is_refused_in_exr() -> None:
    from hatcli.image import profiles

    with pytest.raises(OutputError, match="profile of its own") as caught:
        encode.encode(picture(icc=profiles.of_codes(12, 13)), format="EXR")
    assert "tiff" in (caught.value.hint or "")


def test_what_is_no_number_is_mended_and_told() -> None:
    values = scene()
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -1.0
    read = decode.decode(exr(rgb(values)))
    assert any("not numbers" in note for note in read.notes)
    assert any("below 0" in note for note in read.notes)


def test_light_beyond_half_floats_is_cut_off_told_and_spoils_no_other() -> None:
    values = np.full((4, 4, 3), 0.5, np.float32)
    values[0, 0] = 1e9
    read = decode.decode(exr(rgb(values)))
    assert "values above 65504, the highest of half floats, became 65504" in read.notes
    back = channels_of(encode.encode(read, format="EXR"))["R"].astype(float)
    assert back[0, 0] > 65000
    assert abs(back[2, 2] - 0.5) < 0.002


def test_light_without_coverage_is_told() -> None:
    values, alpha = scene(), np.ones((24, 36), np.float32)
    alpha[3] = 0
    read = decode.decode(exr({**rgb(values), "A": alpha}))
    assert any("light where alpha is 0" in note for note in read.notes)
    values[3] = 0
    assert decode.decode(exr({**rgb(values), "A": alpha})).notes == ()


def test_further_channels_are_left_out_and_told() -> None:
    values = scene()
    read = decode.decode(exr({**rgb(values), "Z": values[..., 0]}))
    assert "1 further channel left out" in read.notes


def test_luminance_and_chroma_are_a_picture_in_colour() -> None:
    y, x = np.mgrid[0:24, 0:36] / 40.0
    values = np.stack([0.2 + x, 0.3 + y, 0.9 - x / 2], axis=2).astype(np.float32)
    luminance = values @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    share = {"RY": values[..., 0] / luminance - 1, "BY": values[..., 2] / luminance - 1}
    data = by_hand({"BY": share["BY"][::2, ::2], "RY": share["RY"][::2, ::2], "Y": luminance})
    read, told = decode.decode(data), decode.describe(data)
    assert (told.channels, told.width, told.height) == (3, 36, 24)
    assert read.notes == ()
    assert read.light is not None
    linear = tone.linear(read.pixels, read.light)
    assert np.allclose(linear[:-1, :-1], values[:-1, :-1], rtol=0.01)


def test_channels_without_colour_are_refused() -> None:
    with pytest.raises(InputError, match="no flat picture") as caught:
        decode.decode(exr({"Z": scene()[..., 0]}))
    assert caught.value.hint


def test_a_cut_file_is_refused() -> None:
    data = exr(rgb(scene()))
    for share in (0.1, 0.5, 0.95):
        with pytest.raises(HatError, match="cannot read"):
            decode.decode(data[: int(len(data) * share)])


def test_the_size_is_checked_before_pixels_are_decoded() -> None:
    with pytest.raises(InputError, match="over the limit"):
        decode.decode(exr(rgb(scene())), max_pixels=100)
