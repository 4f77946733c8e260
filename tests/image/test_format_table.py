"""The table of docs/formats.md: each cell compared with what a file of that format really holds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.pictures import noise, rgb_profile, saved
from support.psds import psd
from support.raws import dng

from hatcli.errors import OutputError
from hatcli.image import decode, encode, extras, formats, ifd, profiles
from hatcli.image.light import PQ, Light
from hatcli.image.options import DecodeOptions, EncodeOptions
from hatcli.image.picture import Picture

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
EXIF = b"MM\0*\0\0\0\x08" + ifd.layout([ifd.Entry(0x010F, ifd.ASCII, 6, b"Maker\0")], at=8, order=">")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
HDR = Light(9, PQ)
NAMES = {formats.title(name): name for name in formats.READABLE}
NAMES |= {"Photoshop, 8 bits": "PSD 8", "Photoshop, 16 bits": "PSD 16"}
COLUMNS = ("in", "out", "bits", "ICC", "EXIF", "XMP", "alpha", "HDR")


def rows() -> dict[str, dict[str, str]]:
    """Cells by format and column, as the page has them, without the mark of the extra."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip().removesuffix(" *") for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["format", *COLUMNS]
    return {NAMES[row[0]]: dict(zip(COLUMNS, row[1:], strict=True)) for row in cells[2:]}


TABLE = rows()


def smooth(bits: int, *, alpha: bool) -> Picture:
    """A picture with everything, its transparency all or nothing as GIF has it."""
    y, x = np.mgrid[0:64, 0:96]
    peak = 65535 if bits == 16 else 255
    kind: Any = np.uint16 if bits == 16 else np.uint8
    pixels = (np.stack([x / 95, y / 63, 1 - x / 95], axis=2) * peak).astype(kind)
    holes = np.where(x < 48, 0, peak).astype(kind) if alpha else None
    return Picture(pixels, holes, icc=rgb_profile(), exif=EXIF, xmp=XMP)


def made_elsewhere(format: str) -> bytes:
    """A file of a format that is only read."""
    if format == "RAW":
        return dng(np.full((48, 64, 3), 0.3))
    bits = int(format.removeprefix("PSD "))
    return psd(noise(20, 30, 4, bits=bits), resources={1039: rgb_profile(), 1058: EXIF, 1060: XMP})


def round_trip(format: str, bits: int, *, alpha: bool) -> Picture:
    made = smooth(bits, alpha=alpha)
    if format == "EXR":
        made = Picture(made.pixels, made.alpha, exif=EXIF, xmp=XMP)
    return decode.decode(encode.encode(made, format=format, options=EncodeOptions(quality=95)))


def depth(picture: Picture) -> int:
    """Bits a sample that are really told apart."""
    if picture.bits == 8:
        return 8
    steps = picture.pixels * (1023 / 65535)
    return 10 if np.abs(steps - np.rint(steps)).max() < 0.02 else 16


@pytest.mark.parametrize("format", TABLE)
def test_every_cell_is_true(format: str) -> None:
    if not extras.is_there(format) or (format == "PSD 16" and not extras.has_module("psd_tools")):
        pytest.skip("the extra is not installed")
    said = TABLE[format]
    assert said["in"] == "yes"
    assert (format in formats.WRITABLE) == (said["out"] == "yes")
    if said["out"] == "yes":
        read, clear = round_trip(format, 16, alpha=False), round_trip(format, 8, alpha=True)
        assert said["HDR"] == hdr_of(format)
        assert str(depth(read)) == said["bits"]
    else:
        options = DecodeOptions(raw_profile="display-p3")
        read = clear = decode.decode(made_elsewhere(format), options=options)
        assert said["HDR"] == "no"
        assert str(read.bits) == said["bits"]
    wide = read.icc is not None or (format == "JXL" and keeps_wide_gamut())
    assert wide == (said["ICC"] == "yes")
    assert (read.exif is not None and b"Maker" in read.exif) == (said["EXIF"] == "yes")
    assert (read.xmp is not None) == (said["XMP"] == "yes")
    assert (clear.alpha is not None and bool((clear.alpha == 0).any() or "PSD" in format)) == (said["alpha"] == "yes")


def keeps_wide_gamut() -> bool:
    """JPEG XL needs no profile for sRGB; for another one it has it."""
    made = Picture(noise(9, 9, 3), icc=profiles.of_codes(12, 13))
    return decode.decode(encode.encode(made, format="JXL")).icc is not None


def hdr_of(format: str) -> str:
    made = Picture(noise(64, 64, 3, bits=16), light=HDR)
    try:
        again = decode.decode(encode.encode(made, format=format))
    except OutputError:
        return "refused"
    return "yes" if again.light == HDR else "no"


def test_every_format_that_is_written_is_in_the_table() -> None:
    assert set(formats.WRITABLE) <= set(TABLE)
    assert {"RAW", "PSD 8", "PSD 16"} <= set(TABLE)


@pytest.mark.parametrize("name", ["JPEG 2000", "PPM", "ICO", "Targa", "QOI", "SGI"])
def test_formats_beside_the_table_are_read(name: str) -> None:
    assert name in PAGE.read_text("utf-8")
    image, file = Image.fromarray(noise(16, 16, 3)), io.BytesIO()
    kind = {"Targa": "TGA", "JPEG 2000": "JPEG2000"}.get(name, name)
    file.write(saved(image, kind))
    assert decode.decode(file.getvalue(), name="a.tga").format == kind
