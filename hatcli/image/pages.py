"""Several pages of a TIFF: read one after the other, and written into one file again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from hatcli.errors import InputError
from hatcli.image import decode, encode, saving
from hatcli.image.codecs import tiff_writer
from hatcli.image.codecs.writer import rows_of
from hatcli.image.options import DecodeOptions, EncodeOptions
from hatcli.image.picture import Picture

FORMAT = "TIFF"
_LARGE = 1 << 31  # bytes of pages from which the file is a BigTIFF


def read(
    data: bytes, first: Picture, *, name: str, max_pixels: int, options: DecodeOptions
) -> tuple[Picture, ...] | None:
    """The pages that are wanted, the first of which is there already; None if that one is all.

    Raises:
        InputError: a later page is damaged, or all of them together have more than `max_pixels` pixels.
    """
    if first.format != FORMAT or options.pages[0] == options.pages[1]:
        return None
    start = options.pages[0]
    there = decode.describe(data, name=name, max_pixels=max_pixels, options=options)
    count = there.pages
    if count == 1:
        return None
    pages, left = [first], max_pixels - first.width * first.height
    for number in range(start + 1, start + count):
        if left <= 0:
            break
        wanted = replace(options, pages=(number, number))
        pages.append(decode.decode(data, name=f"page {number} of {name}", max_pixels=max_pixels, options=wanted))
        left -= pages[-1].width * pages[-1].height
    if left < 0 or len(pages) < count:
        raise InputError(
            f"cannot read {name}: {count} pages are over the limit of {max_pixels / 1e6:.1f} megapixels",
            hint=f"raise it with --max-megapixels, or take fewer: --pages {start}-{start + max(len(pages) - 2, 0)}",
        )
    told = f"pages {start} to {start + count - 1} of {there.frames}"
    kept = [note for note in first.notes if not note.endswith("pages") and not note.startswith("page ")]
    return (replace(first, notes=(told, *kept)), *pages[1:])


def write_into(file: BinaryIO, pages: Iterator[Picture], *, count: int, options: EncodeOptions) -> list[str]:
    """Encode `count` pages into an open file that can seek, each as it comes; a sentence for what could not be kept."""
    lost: list[str] = []
    written: tiff_writer.Appended | None = None
    with saving.explained(FORMAT):
        for page in saving.passed_on(pages):
            shown, more = encode.carried(page, width=page.width, height=page.height, options=options)
            lost += more
            is_large = count * page.pixels.nbytes > _LARGE
            written = tiff_writer.write_page(file, rows_of(shown), options, big=is_large or None, page=written)
    return list(dict.fromkeys(lost))
