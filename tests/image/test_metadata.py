"""Profile, EXIF, XMP and resolution survive, and say the truth about the picture they come out with."""

from __future__ import annotations

import io
import random
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.pictures import FILES, gray_profile, noise, picture, ramp, rgb_profile, saved

from hatcli.image import decode, encode, exif, ifd, metadata
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture, with_pixels

CARRYING = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")
THUMBNAIL = b"\xff\xd8 a small and stale copy \xff\xd9"
MAKER_NOTE = b"MakerNote that counts its offsets from the block's beginning"
XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description '
    b'tiff:Orientation="6" exif:PixelXDimension="10" tiff:XResolution="72/1" xmpNote:HasExtendedXMP="ABC">'
    b"<exif:PixelYDimension>20</exif:PixelYDimension><tiff:Orientation>6</tiff:Orientation><dc:title>Kept</dc:title>"
    b"<xmp:Thumbnails><rdf:Alt><rdf:li>c21hbGw=</rdf:li></rdf:Alt></xmp:Thumbnails>"
    b'</rdf:Description></x:xmpmeta><?xpacket end="w"?>'
)


def camera_exif(order: str = "<", *, orientation: int = 6) -> bytes:
    """A block as cameras write it: Exif and GPS directories, a MakerNote, a second directory with a thumbnail."""

    def text(tag: int, value: bytes) -> ifd.Entry:
        return ifd.Entry(tag, ifd.ASCII, len(value) + 1, value + b"\0")

    def first(details_at: int, position_at: int) -> bytes:
        entries = [
            text(0x010F, b"Maker"),
            text(0x0110, b"Camera Model"),
            ifd.numbers(exif.ORIENTATION, ifd.SHORT, orientation, order=order),
            ifd.rational(exif.X_RESOLUTION, 240, order=order),
            ifd.rational(exif.Y_RESOLUTION, 240, order=order),
            ifd.numbers(exif.RESOLUTION_UNIT, ifd.SHORT, 2, order=order),
            ifd.numbers(exif.EXIF_POINTER, ifd.LONG, details_at, order=order),
            ifd.numbers(exif.GPS_POINTER, ifd.LONG, position_at, order=order),
        ]
        return ifd.layout(entries, at=8, order=order)

    details_at = 8 + len(first(0, 0))
    details = ifd.layout(
        [
            text(0x9003, b"2024:05:06 07:08:09"),
            ifd.Entry(0x927C, ifd.UNDEFINED, len(MAKER_NOTE), MAKER_NOTE),
            ifd.numbers(exif.PIXEL_WIDTH, ifd.SHORT, 4000, order=order),
            ifd.numbers(exif.PIXEL_HEIGHT, ifd.SHORT, 3000, order=order),
        ],
        at=details_at,
        order=order,
    )
    position_at = details_at + len(details)
    position = ifd.layout([text(0x0001, b"N"), text(0x0012, b"WGS-84 and so on")], at=position_at, order=order)
    second_at = position_at + len(position)

    def second(thumbnail_at: int) -> bytes:
        offset, length = exif.THUMBNAIL_OFFSETS[0]
        entries = [
            ifd.numbers(offset, ifd.LONG, thumbnail_at, order=order),
            ifd.numbers(length, ifd.LONG, len(THUMBNAIL), order=order),
        ]
        return ifd.layout(entries, at=second_at, order=order)

    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    front = bytearray(first(details_at, position_at))
    link = 2 + 8 * 12
    front[link : link + 4] = struct.pack(order + "I", second_at)
    thumbnail_at = second_at + len(second(0))
    return start + bytes(front) + details + position + second(thumbnail_at) + THUMBNAIL


def field(block: bytes, tag: int, *, inside: int | None = None) -> ifd.Entry | None:
    head = ifd.header(block)
    entries = ifd.read(block, head.first, order=head.order).entries
    if inside is not None:
        entries = ifd.read(block, entries[inside].integer(head.order), order=head.order).entries
    return entries.get(tag)


def integer(block: bytes, tag: int, *, inside: int | None = None) -> int:
    entry = field(block, tag, inside=inside)
    assert entry is not None
    return entry.integer(ifd.header(block).order)


def enlarged(made: Picture) -> Picture:
    return with_pixels(made, np.repeat(np.repeat(made.pixels, 2, 0), 2, 1), None)


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_exif_block_is_made_true_in_place(order: str) -> None:
    block = camera_exif(order)
    got = exif.for_size(block, width=70000, height=5, dpi=None)
    assert integer(got, exif.ORIENTATION) == 1
    assert integer(got, exif.PIXEL_WIDTH, inside=exif.EXIF_POINTER) == 70000
    assert integer(got, exif.PIXEL_HEIGHT, inside=exif.EXIF_POINTER) == 5
    assert exif.resolution(got) == (240, 240)
    assert got.index(MAKER_NOTE) == block.index(MAKER_NOTE)
    assert THUMBNAIL not in got
    assert len(got) < len(block) - len(THUMBNAIL)
    head = ifd.header(got)
    assert ifd.read(got, head.first, order=head.order).following == 0
    with_pillow = Image.Exif()
    with_pillow.load(exif.PREFIX + got)
    assert with_pillow[0x0110] == "Camera Model"
    assert with_pillow.get_ifd(exif.GPS_POINTER)[0x0012] == "WGS-84 and so on"


def test_making_a_block_true_twice_changes_nothing_more() -> None:
    once = exif.for_size(camera_exif(), width=9, height=9, dpi=(300, 300))
    assert exif.for_size(once, width=9, height=9, dpi=(300, 300)) == once


@pytest.mark.parametrize("order", ["<", ">"])
def test_another_resolution_reaches_the_exif_block(order: str) -> None:
    got = exif.for_size(camera_exif(order), width=9, height=9, dpi=(300, 299.5))
    assert exif.resolution(got) == (300, 299.5)
    assert got.index(MAKER_NOTE) == camera_exif(order).index(MAKER_NOTE)
    assert field(got, 0x010F) is not None


@pytest.mark.parametrize("format", CARRYING)
@pytest.mark.parametrize("order", ["<", ">"])
def test_everything_survives_enlarging_in_every_format_that_can_carry_it(format: str, order: str) -> None:
    icc = rgb_profile()
    source = saved(ramp(), "JPEG", exif=exif.PREFIX + camera_exif(order), icc_profile=icc, xmp=XMP, dpi=(240, 240))
    made = enlarged(decode.decode(source))
    assert (made.height, made.width) == (120, 80)  # it lay on its side
    got = decode.decode(encode.encode(made, format=format))
    assert (got.height, got.width) == (120, 80)
    assert got.icc == icc
    assert got.dpi is not None
    assert np.allclose(got.dpi, (240, 240), atol=0.02)
    assert got.exif is not None
    assert integer(got.exif, exif.PIXEL_WIDTH, inside=exif.EXIF_POINTER) == 80
    assert integer(got.exif, exif.PIXEL_HEIGHT, inside=exif.EXIF_POINTER) == 120
    for tag, inside, value in (
        (0x0110, None, b"Camera Model\0"),
        (0x9003, exif.EXIF_POINTER, b"2024:05:06 07:08:09\0"),
        (0x927C, exif.EXIF_POINTER, MAKER_NOTE),
        (0x0012, exif.GPS_POINTER, b"WGS-84 and so on\0"),
    ):
        entry = field(got.exif, tag, inside=inside)
        assert entry is not None
        assert entry.value == value
    assert THUMBNAIL not in got.exif
    assert got.xmp is not None
    assert b'tiff:Orientation="1"' in got.xmp
    assert b"<tiff:Orientation>1</tiff:Orientation>" in got.xmp
    assert b'exif:PixelXDimension="80"' in got.xmp
    assert b"<exif:PixelYDimension>120</exif:PixelYDimension>" in got.xmp
    assert b'tiff:XResolution="2400000/10000"' in got.xmp
    assert b"<dc:title>Kept</dc:title>" in got.xmp
    assert b"Thumbnails" not in got.xmp
    assert b"HasExtendedXMP" not in got.xmp


def test_metadata_survives_a_walk_through_all_formats() -> None:
    made = picture(exif=camera_exif(orientation=1), xmp=XMP, dpi=(144.0, 144.0), icc=rgb_profile())
    for format in ("TIFF", "PNG", "WEBP", "TIFF", "AVIF", "JPEG", "PNG"):
        made = decode.decode(encode.encode(made, format=format))
    assert made.exif is not None
    entry = field(made.exif, 0x9003, inside=exif.EXIF_POINTER)
    assert entry is not None
    assert entry.value == b"2024:05:06 07:08:09\0"
    assert made.icc == rgb_profile()
    assert made.dpi is not None
    assert np.allclose(made.dpi, 144, atol=0.5)
    assert made.xmp is not None


@pytest.mark.parametrize("format", CARRYING)
def test_other_programs_find_what_is_written(format: str) -> None:
    made = picture(exif=camera_exif(), xmp=XMP, dpi=(300.0, 300.0), icc=rgb_profile())
    with Image.open(io.BytesIO(encode.encode(made, format=format))) as image:
        image.load()
        found = image.getexif()
        assert found[0x0110] == "Camera Model"
        assert found.get(0x0112, 1) == 1
        assert found.get_ifd(exif.EXIF_POINTER)[0x9003] == "2024:05:06 07:08:09"
        assert image.info["icc_profile"] == rgb_profile()
        assert metadata.find_xmp({str(key): value for key, value in image.info.items()}) is not None
        if format in ("PNG", "JPEG", "TIFF"):
            assert np.allclose(image.info["dpi"], 300, atol=0.02)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_carry_metadata_as_well(format: str) -> None:
    made = picture(bits=16, alpha=True, exif=camera_exif(), xmp=XMP, dpi=(300.0, 300.0), icc=rgb_profile())
    got = decode.decode(encode.encode(made, format=format))
    assert got.bits == 16
    assert got.icc == made.icc
    assert got.exif is not None
    assert got.xmp is not None
    assert got.dpi is not None


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_gray_profiles_stay_with_gray_pictures(format: str, bits: int, alpha: bool) -> None:
    made = picture(bits=bits, gray=True, alpha=alpha, icc=gray_profile())
    assert decode.decode(encode.encode(made, format=format)).icc == made.icc


@pytest.mark.parametrize("format", [*CARRYING, "BMP"])
def test_resolution_is_kept_even_alone(format: str) -> None:
    got = decode.decode(encode.encode(picture(dpi=(300.0, 150.0)), format=format))
    assert got.dpi is not None
    assert np.allclose(got.dpi, (300, 150), atol=0.02)
    assert decode.decode(encode.encode(picture(), format=format)).dpi is None


def test_resolution_turns_with_the_picture() -> None:
    block = exif.for_size(camera_exif(orientation=6), width=1, height=1, dpi=(300, 150))
    tag = field(block, exif.ORIENTATION)
    assert tag is not None
    turned = bytearray(block)
    turned[tag.at : tag.at + 2] = struct.pack("<H", 6)
    got = decode.decode(saved(ramp(), "WEBP", exif=bytes(turned)))
    assert got.dpi == (150, 300)


def test_a_wanted_resolution_replaces_the_pictures_own_everywhere() -> None:
    made = picture(exif=camera_exif(), dpi=(240.0, 240.0))
    for format in CARRYING:
        got = decode.decode(encode.encode(made, format=format, options=EncodeOptions(dpi=600)))
        assert got.dpi is not None
        assert np.allclose(got.dpi, 600, atol=0.02)
        assert got.exif is not None
        assert exif.resolution(got.exif) in ((600, 600), None if format != "TIFF" else (600, 600))


@pytest.mark.parametrize("format", CARRYING)
def test_stripping_leaves_the_profile_alone(format: str) -> None:
    made = picture(exif=camera_exif(), xmp=XMP, icc=rgb_profile(), dpi=(300.0, 300.0))
    data = encode.encode(made, format=format, options=EncodeOptions(strip_metadata=True))
    got = decode.decode(data)
    assert (got.exif, got.xmp, got.icc) == (None, None, made.icc)
    assert b"Camera Model" not in data
    assert b"Kept" not in data


@pytest.mark.parametrize("format", CARRYING)
def test_broken_exif_is_dropped_with_a_note_and_the_picture_kept(tmp_path: Path, format: str) -> None:
    broken = b"II*\0\xff\xff\0\0 nothing here"
    made = picture(exif=broken)
    notes = encode.write(made, tmp_path / "a", format=format, overwrite=False)
    assert "damaged EXIF was dropped" in notes
    got = decode.decode(saved(ramp(), "JPEG", exif=exif.PREFIX + broken))
    assert got.exif is None
    assert "damaged EXIF was dropped" in got.notes


def test_mutated_exif_never_stops_a_picture() -> None:
    chance = random.Random(3)
    source = camera_exif()
    kept = 0
    for _ in range(150):
        block = bytearray(source)
        for _ in range(chance.choice((1, 2, 6))):
            block[chance.randrange(len(block))] = chance.choice((0, 1, 255, chance.randrange(256)))
        made = picture(exif=bytes(block[: chance.choice((len(block), chance.randrange(len(block))))]))
        for format in ("TIFF", "PNG", "WEBP", "AVIF", "JPEG"):
            got = decode.decode(encode.encode(made, format=format))
            assert got.pixels.shape == made.pixels.shape
            kept += got.exif is not None
    assert kept > 150


def test_values_that_overlap_cannot_fill_the_memory() -> None:
    entries = [ifd.numbers(tag, ifd.BYTE, 0, order="<") for tag in range(1000)]
    block = bytearray(b"II*\0\x08\0\0\0" + ifd.layout(entries, at=8, order="<") + bytes(10_000))
    for index in range(1000):
        struct.pack_into("<II", block, 10 + index * 12 + 4, 20_000, 0)
    with pytest.raises(ValueError, match="overlap"):
        ifd.read(bytes(block), 8, order="<")


@pytest.mark.parametrize(
    "packet",
    [
        b" " * 400_000,
        b'tiff:Orientation="' * 20_000,
        b"<xmp:Thumbnails>" * 20_000,
        b"tiff:Orientation=" + b" " * 400_000,
    ],
)
def test_hostile_xmp_does_not_hang(packet: bytes) -> None:
    assert len(metadata.xmp_for_size(packet, width=1, height=1, dpi=(1.0, 1.0))) <= len(packet)
    assert metadata.find_orientation(None, packet) == 1


def test_what_is_too_long_for_jpeg_is_left_out_with_a_note(tmp_path: Path) -> None:
    long = camera_exif() + b"x" * 70_000
    notes = encode.write(picture(exif=long, xmp=XMP + b" " * 70_000), tmp_path / "a.jpg", overwrite=False)
    assert any("EXIF of 70 kB" in note for note in notes)
    assert any("XMP of 70 kB" in note for note in notes)
    assert decode.read(tmp_path / "a.jpg").exif is None


def test_nonsense_is_no_resolution() -> None:
    for nonsense in ((0, 0), (-1, 72), (float("nan"), 72), (1e12, 72), None, (72,), ("a", "b")):
        assert metadata.plausible_dpi(nonsense) is None
    assert decode.read(FILES / "empty_gps_ifd.jpg").dpi == (72, 72)


def test_escape_sequences_in_metadata_are_kept_as_bytes_and_in_no_note() -> None:
    got = decode.read(FILES / "meta_escape_exif_o6.jpg")
    assert got.exif is not None
    assert not any("\x1b" in note for note in got.notes)


def test_imagemagicks_text_profile_counts_as_exif() -> None:
    from PIL.PngImagePlugin import PngInfo

    block = exif.PREFIX + camera_exif(orientation=3)
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8d}\n{block.hex()}\n", zip=True)
    pixels = noise(4, 5, 3)
    got = decode.decode(saved(pixels, "PNG", pnginfo=text))
    assert np.array_equal(got.pixels, pixels[::-1, ::-1])
    assert got.exif is not None
    assert integer(got.exif, exif.ORIENTATION) == 1


def test_a_picture_without_metadata_gets_none() -> None:
    for format in CARRYING:
        got = decode.decode(encode.encode(replace(picture(), format=format), format=format))
        assert (got.exif, got.xmp, got.icc, got.dpi) == (None, None, None, None)
