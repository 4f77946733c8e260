"""High dynamic range: recognised, told, kept with its marks, or refused; gain maps are told and leave no mark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.pictures import noise, ramp, saved
from support.readers import exiftool_tags, said_by

from hatcli.errors import OutputError
from hatcli.image import decode, encode, extras, formats, gain_maps, light, profiles
from hatcli.image.codecs import png
from hatcli.image.light import HLG, PQ, Light
from hatcli.image.picture import Picture
from hatcli.image.writers import WRITERS

HOLDING = [name for name, writer in WRITERS.items() if writer.holds_light]
ULTRA = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:Container="http://ns.google.com/photos/1.0/container/" '
    b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmp:Label="kept"><Container:Directory><rdf:Seq><rdf:li/></rdf:Seq></Container:Directory></rdf:Description></rdf:RDF>'
    b"</x:xmpmeta>"
)


def test_what_holds_high_dynamic_range_is_known() -> None:
    assert set(HOLDING) >= {"PNG", "HEIF", "JXL"}


@pytest.mark.parametrize("format", HOLDING)
@pytest.mark.parametrize(("primaries", "transfer"), [(9, PQ), (9, HLG), (12, PQ), (1, HLG)])
def test_the_marks_survive(format: str, primaries: int, transfer: int) -> None:
    if not extras.is_there(format):
        pytest.skip(f"{extras.LIBRARIES[format]} is not installed")
    made = Picture(noise(64, 64, 3, bits=16), light=Light(primaries, transfer))
    again = decode.decode(encode.encode(made, format=format))
    assert again.light == made.light
    assert again.bits == 16
    assert "HDR" in again.notes[0]
    assert again.icc is None


def test_png_marks_it_where_other_programs_look(tmp_path: Path) -> None:
    made = Picture(noise(20, 30, 3, bits=16), light=Light(9, PQ))
    encode.write(made, tmp_path / "a.png", overwrite=False)
    body = png.find((tmp_path / "a.png").read_bytes(), b"cICP", before=b"IDAT")
    assert body == bytes([9, 16, 0, 1])
    tags = exiftool_tags(tmp_path / "a.png")
    assert (tags["ColorPrimaries"], tags["TransferCharacteristics"]) == (9, 16)


def test_ten_bits_of_an_avif_are_kept_where_they_matter(tmp_path: Path) -> None:
    pytest.importorskip("opencodecs")
    (tmp_path / "a.png").write_bytes(encode.encode(Picture(ramp(64, 96).astype(np.uint16) * 257), format="PNG"))
    said_by(
        "ffmpeg", "-v", "error", "-i", tmp_path / "a.png", "-vf", "scale=out_color_matrix=bt2020:out_range=full",
        "-c:v", "libaom-av1", "-still-picture", "1", "-crf", "1", "-pix_fmt", "yuv444p10le", "-color_primaries",
        "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc", "-color_range", "pc", tmp_path / "a.avif",
    )  # fmt: skip
    read, told = decode.read(tmp_path / "a.avif"), decode.probe(tmp_path / "a.avif")
    assert (read.bits, told.bits, read.light, told.light) == (16, 16, Light(9, PQ), Light(9, PQ))
    assert len(np.unique(read.pixels)) > 256
    assert np.abs(read.pixels / 65535 - ramp(64, 96) / 255).mean() < 0.004


def test_heic_marks_it_where_other_programs_look(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    encode.write(Picture(noise(64, 64, 3, bits=16), light=Light(9, PQ)), tmp_path / "a.heic", overwrite=False)
    tags = exiftool_tags(tmp_path / "a.heic")
    assert (tags["ColorPrimaries"], tags["TransferCharacteristics"], tags["MatrixCoefficients"]) == (9, 16, 9)
    assert "nclx" in said_by("heif-info", tmp_path / "a.heic").decode()


@pytest.mark.parametrize("format", [name for name in formats.WRITABLE if name not in HOLDING])
def test_formats_that_cannot_say_it_are_refused_before_any_work(format: str) -> None:
    if not extras.is_there(format):
        pytest.skip(f"{extras.LIBRARIES[format]} is not installed")
    hdr = Light(9, PQ)
    with pytest.raises(OutputError, match=r"HDR \(PQ, BT.2020\)") as caught:
        encode.check_format(format, width=9, height=9, bits=16, alpha=False, gray=False, light=hdr)
    assert "--format png" in (caught.value.hint or "")
    with pytest.raises(OutputError, match="HDR"):
        encode.encode(Picture(noise(9, 9, 3, bits=16), light=hdr), format=format)


def test_a_wide_gamut_png_gets_a_profile() -> None:
    chunk = png.chunk(b"cICP", bytes([12, 13, 0, 1]))
    data = saved(ramp(), "PNG")
    read = decode.decode(data[:33] + chunk + data[33:])
    assert read.icc == profiles.of_codes(12, 13)
    assert read.light is None
    assert read.notes == ()


@pytest.mark.parametrize("space", ["gray", "color"])
def test_profiles_made_here_are_valid(tmp_path: Path, space: str) -> None:
    for code in (9, 11, 12):
        made = profiles.of_codes(code, 13)
        assert made is not None
        path = tmp_path / f"{code}.jpg"
        path.write_bytes(saved(ramp(), "JPEG", icc_profile=made))
        assert exiftool_tags(path)["ProfileDescription"]


def test_unknown_primaries_of_high_dynamic_range_are_the_usual_ones() -> None:
    assert light.of_codes(2, PQ) == Light(9, PQ)
    assert light.of_codes(9, 13) is None


def test_a_gain_map_is_told_and_its_marks_are_gone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(ramp(), "JPEG", xmp=ULTRA))
    read = decode.read(tmp_path / "a.jpg")
    assert gain_maps.NOTE in read.notes
    encode.write(read, tmp_path / "b.jpg", overwrite=False)
    result = (tmp_path / "b.jpg").read_bytes()
    assert b"hdrgm:Version" not in result
    assert b"Container:Directory" not in result
    assert exiftool_tags(tmp_path / "b.jpg")["Label"] == "kept"


def test_an_iso_gain_map_is_told() -> None:
    plain = saved(ramp(), "JPEG")
    marked = plain[:2] + b"\xff\xe2\x00\x20urn:iso:std:iso:ts:21496:-1\0\0\0" + plain[2:]
    assert gain_maps.NOTE in decode.decode(marked).notes
    assert decode.decode(plain).notes == ()


def test_an_apple_gain_map_in_heic_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif")
    from hatcli.image.codecs import heif

    class Primary:
        mode, size = "RGB", (4, 4)

        def __init__(self, aux: dict[str, list[int]]) -> None:
            self.info = {"aux": aux, "depth_images": [1], "bit_depth": 8}

    def notes(aux: dict[str, list[int]]) -> list[str]:
        return heif.HeifReader(b"", "HEIF", Primary(aux), 1).remarks(has_profile=False)

    assert notes({"urn:com:apple:photo:2020:aux:hdrgainmap": [2]}) == [
        gain_maps.NOTE, "depth and auxiliary images in it are left out",
    ]  # fmt: skip
