"""What the user may decide about a file that is written."""

from __future__ import annotations

from dataclasses import dataclass

FAST_COMPRESSION = 1  # zlib's level; 6 takes five times as long for an eighth less


@dataclass(frozen=True)
class EncodeOptions:
    """What the user may decide about a file.

    Attributes:
        quality: 1 to 100 for JPEG, WebP and AVIF; None for the format's default.
        lossless: WebP without loss; no effect on formats that never lose anything.
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
