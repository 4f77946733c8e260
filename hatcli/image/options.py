"""What the user may decide about files that are read and written."""

from __future__ import annotations

from dataclasses import dataclass

FAST_COMPRESSION = 1  # zlib's level; 6 takes five times as long for an eighth less
RAW_PROFILES = ("srgb", "display-p3", "adobe-rgb", "prophoto")


@dataclass(frozen=True)
class DecodeOptions:
    """What the user may decide about how files are read.

    Attributes:
        raw_profile: the colours that camera raw files are developed to, one of `RAW_PROFILES`.
        pages: the first and the last page of a TIFF that are read, counted from 1; None as the last: to the end.
    """

    raw_profile: str = RAW_PROFILES[0]
    pages: tuple[int, int | None] = (1, 1)

    def count_pages(self, there: int) -> int:
        """How many pages are read where so many are there."""
        first, last = self.pages
        return max(1, min(there, last or there) - first + 1)


@dataclass(frozen=True)
class EncodeOptions:
    """What the user may decide about a file.

    Attributes:
        quality: 1 to 100 for JPEG, WebP, AVIF, HEIC and JPEG XL; None for the format's default.
        lossless: WebP and JPEG XL without loss; no effect on formats that never lose anything.
        compression: 0 to 9 for PNG and TIFF, higher is smaller and slower; None for a fast one.
        strip_metadata: leave EXIF and XMP out; the colour profile stays, since colours would change without it.
        dpi: pixels an inch to write instead of the picture's own.
    """

    quality: int | None = None
    lossless: bool = False
    compression: int | None = None
    strip_metadata: bool = False
    dpi: float | None = None

    @property
    def zlib_level(self) -> int:
        """The compression of formats that use zlib, 0 to 9."""
        return FAST_COMPRESSION if self.compression is None else self.compression
