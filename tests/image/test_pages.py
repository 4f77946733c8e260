"""Pages of a TIFF: one of them, some, or all; each with its own size, depth and metadata; written as one file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.pictures import FILES, noise, picture, rgb_profile, saved
from support.readers import said_by, tiff_fields, vips_samples

from hatcli.batch import reading
from hatcli.errors import InputError
from hatcli.image import decode, ifd, pages
from hatcli.image.options import DecodeOptions, EncodeOptions
from hatcli.image.picture import Picture

MOST = decode.DEFAULT_MAX_PIXELS


def three(sizes: tuple[tuple[int, int], ...] = ((12, 14), (9, 7), (20, 5))) -> tuple[bytes, list[np.ndarray]]:
    """What Pillow makes of three pages of different sizes."""
    made = [noise(*size, 3, seed=seed) for seed, size in enumerate(sizes)]
    first, *others = (Image.fromarray(one) for one in made)
    return saved(first, "TIFF", save_all=True, append_images=others), made


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_page_is_a_picture(number: int) -> None:
    data, made = three()
    options = DecodeOptions(pages=(number, number))
    read = decode.decode(data, options=options)
    assert np.array_equal(read.pixels, made[number - 1])
    told = decode.describe(data, options=options)
    assert (told.height, told.width, told.pages, told.frames) == (*made[number - 1].shape[:2], 1, 3)
    assert reading.from_bytes(data, name="a", max_pixels=MOST, options=options).pages is None


@pytest.mark.parametrize(("asked", "numbers"), [((1, None), [1, 2, 3]), ((2, 3), [2, 3]), ((2, 99), [2, 3])])
def test_several_pages_are_read_in_order(asked: tuple[int, int | None], numbers: list[int]) -> None:
    data, made = three()
    options = DecodeOptions(pages=asked)
    original = reading.from_bytes(data, name="a", max_pixels=MOST, options=options)
    assert original.pages is not None
    assert [page.pixels.shape for page in original.pages] == [made[number - 1].shape for number in numbers]
    for page, number in zip(original.pages, numbers, strict=True):
        assert np.array_equal(page.pixels, made[number - 1])
    assert decode.describe(data, options=options).pages == len(numbers)
    assert original.picture.notes == (f"pages {numbers[0]} to 3 of 3",)


def test_without_asking_the_first_page_is_read_as_ever() -> None:
    data, made = three()
    original = reading.from_bytes(data, name="a", max_pixels=MOST)
    assert original.pages is None
    assert np.array_equal(original.picture.pixels, made[0])
    assert original.picture.notes == ("first of 3 pages",)


def test_a_page_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="it has 3 pages"):
        decode.decode(three()[0], options=DecodeOptions(pages=(4, 4)))


def test_a_damaged_page_is_named() -> None:
    data, _ = three()
    second = ifd.places(data, most=9)[1]
    broken = data[: second + 2] + b"\xff" * 40 + data[second + 42 :]
    with pytest.raises(InputError, match="cannot read"):
        reading.from_bytes(broken, name="a", max_pixels=MOST, options=DecodeOptions(pages=(1, None)))


def test_all_pages_together_keep_to_the_limit() -> None:
    data, made = three()
    most = sum(one.shape[0] * one.shape[1] for one in made)
    options = DecodeOptions(pages=(1, None))
    assert reading.from_bytes(data, name="a", max_pixels=most, options=options).pages is not None
    with pytest.raises(InputError, match="3 pages are over the limit") as caught:
        reading.from_bytes(data, name="a", max_pixels=most - 1, options=options)
    assert "--pages 1-2" in (caught.value.hint or "")


@pytest.mark.parametrize("big", [False, True])
def test_written_pages_are_read_by_other_programs(tmp_path: Path, big: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if big:
        monkeypatch.setattr(pages, "_LARGE", 0)
    maker = ifd.Entry(0x010F, ifd.ASCII, 6, b"Maker\0")
    block = b"MM\0*\0\0\0\x08" + ifd.layout([maker], at=8, order=">")
    made = [
        picture(size=(20, 31), exif=block, dpi=(300.0, 300.0), icc=rgb_profile()),
        picture(size=(9, 8), bits=16, alpha=True, exif=block, xmp=b"<x:xmpmeta/>"),
        picture(size=(7, 70), gray=True),
    ]
    path = tmp_path / "a.tif"
    with open(path, "wb") as file:
        assert pages.write_into(file, iter(made), count=3, options=EncodeOptions()) == []
    told = tiff_fields(path)
    assert told.count("TIFF Directory") == 3
    assert (path.read_bytes()[2] == 43) == big
    for number, page in enumerate(made):
        seen = by_page(path, number, tmp_path)
        assert np.array_equal(seen[..., : page.pixels.shape[2]], page.pixels)
        again = decode.read(path, options=DecodeOptions(pages=(number + 1, number + 1)))
        assert np.array_equal(again.pixels, page.pixels)
        assert (again.dpi, again.icc, again.xmp) == (page.dpi, page.icc, page.xmp)
        assert (again.exif is None) == (page.exif is None)


def by_page(path: Path, number: int, folder: Path) -> np.ndarray:
    said_by("vips", "copy", f"{path}[page={number}]", folder / "page.v")
    return vips_samples(folder / "page.v", folder)


def test_pages_of_a_file_made_elsewhere_are_all_found() -> None:
    data = (FILES / "multipage.tiff").read_bytes()
    count = decode.describe(data).frames
    assert count > 1
    original = reading.from_bytes(data, name="a", max_pixels=MOST, options=DecodeOptions(pages=(1, None)))
    assert original.pages is not None
    file = io.BytesIO()
    pages.write_into(file, iter(original.pages), count=count, options=EncodeOptions())
    with Image.open(file) as again:
        assert again.n_frames == count  # type: ignore[attr-defined]


def test_other_formats_know_no_pages() -> None:
    data = saved(noise(5, 6, 3), "PNG")
    assert decode.describe(data, options=DecodeOptions(pages=(1, None))).pages == 1
    assert isinstance(decode.decode(data, options=DecodeOptions(pages=(2, 3))), Picture)
