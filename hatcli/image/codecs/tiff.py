"""TIFF read whole: its directory parsed once, samples kept where Pillow would narrow or refuse them, pages counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hatcli.errors import InputError
from hatcli.image import exif, ifd, metadata, opening, samples
from hatcli.image.codecs import tiff_page, tiff_samples
from hatcli.image.codecs.reader import Beside, PillowReader, Shape
from hatcli.image.codecs.tiff_page import Layout, Page


@dataclass(frozen=True)
class TiffReader(PillowReader):
    """A TIFF; `page` is None where its directory is too damaged for this file, and Pillow may try."""

    page: Page | None
    layout: Layout
    whole: bytes

    def unpack(self) -> samples.Unpacked:
        """The samples; Pillow turns upright what it reads, the others are left as they lie."""
        if self.page is None or self.layout is Layout.PILLOW:
            return super().unpack()
        return tiff_samples.unpack(self.page, self.information().get("icc_profile"))

    def beside(self) -> Beside:
        info = self.information()
        if self.page is None:
            return Beside(info.get("icc_profile"), None, metadata.find_xmp(info), None, 1, is_exif_damaged=True)
        packet = self.page.entries.get(tiff_page.XMP)
        try:
            block, is_damaged = exif.from_tiff(self.page.data, self.page.entries, order=self.page.order), False
        except ValueError:
            block, is_damaged = None, True
        turn = self.page.numbers(tiff_page.ORIENTATION, 1)[0]
        dpi = metadata.plausible_dpi(exif.entries_resolution(self.page.entries, order=self.page.order))
        if self.layout is Layout.PILLOW:
            turn, dpi = 1, dpi[::-1] if dpi is not None and 5 <= turn <= 8 else dpi
        return Beside(
            icc=info.get("icc_profile"),
            exif=block,
            xmp=metadata.find_xmp({**info, "xmp": None if packet is None else packet.value}),
            dpi=dpi,
            turn=turn,
            is_exif_damaged=is_damaged,
        )

    def shape(self) -> Shape:
        width, height = self.image.size  # turned by Pillow already
        shape = replace(super().shape(), width=width, height=height)
        if self.page is None or self.layout is Layout.PILLOW:
            return shape
        channels, bits = (1 if self.page.colors == 1 else 3), (8 if self.is_converted or self.page.is_narrow else 16)
        return replace(shape, channels=channels, bits=bits, alpha=self.page.alpha is not None)

    @property
    def is_converted(self) -> bool:
        if self.page is None or self.layout is Layout.PILLOW:
            return super().is_converted
        return self.page.colors == 4

    def stored_bits(self) -> int:
        return 8 if self.page is None else max(self.page.numbers(tiff_page.BITS, 1))

    def count_frames(self, *, max_pixels: int) -> int:
        try:
            return len(ifd.places(self.whole, most=opening.MOST_FRAMES + 1))
        except ValueError:
            return 0

    @property
    def frames_title(self) -> str:
        return "pages"


def opened(data: bytes, format: str, *, name: str, max_pixels: int, page_number: int = 1) -> PillowReader:
    """The reader of a page of a TIFF, counted from 1.

    Raises:
        InputError: it is larger than `max_pixels`, a camera raw file, or has no such page or a compression not known.
    """
    whole = data
    if page_number > 1:
        data = tiff_page.with_page_in_front(data, page_number, name=name)
    try:
        page = tiff_page.first_page(data)
    except ValueError:  # Pillow will say what is wrong
        image = opening.open_image(data, format, name=name, max_pixels=max_pixels)
        return TiffReader(data, format, image, None, Layout.PILLOW, whole)
    if page.unknown_compression is not None:
        reason = f"its compression, {page.unknown_compression}, cannot be undone here"
        raise InputError(f"cannot read {name}: {reason}", hint="write it without, as: tiffcp -c none OLD NEW")
    if page.is_cut_into_units:
        raise NotImplementedError("YCbCr of another resolution, uncompressed")
    image = opening.open_image(page.for_pillow(), format, name=name, max_pixels=max_pixels)
    return TiffReader(page.data, format, image, page, page.layout(), whole)
