"""A decoded picture with everything that must survive upscaling; what leads to files lies elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hatcli.image.light import Light

if TYPE_CHECKING:
    import PIL.Image
    import torch

Samples = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Picture:
    """An upright picture and what travels with it.

    Attributes:
        pixels: `[H, W, 3]` RGB or `[H, W, 1]` gray, uint8 or uint16, full range (0..255 or 0..65535).
        alpha: `[H, W]` of the same dtype, straight (not premultiplied), or None where the file has no transparency.
        icc: the ICC profile the pixels are in (an RGB profile for RGB, a gray one for gray), or None.
        exif: a TIFF-structured EXIF block without the `Exif\\0\\0` prefix; orientation already applied and set to 1.
        xmp: an XMP packet, or None.
        dpi: horizontal and vertical pixels an inch, or None.
        format: the container it was decoded from: PNG, JPEG, WEBP, TIFF, AVIF, BMP, GIF, ...
        jpeg_quality: of a JPEG as it was read, 1 to 100, told by its tables; None for anything else.
        light: what the samples mean where that is high dynamic range or a scene's linear light; None: as `icc` says.
        texts: what people and programs wrote about it beside all that, names and values, as PNG holds them.
        notes: one sentence each for everything the reader had to decide, such as `first of 12 frames`.
    """

    pixels: Samples
    alpha: Samples | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    format: str = "PNG"
    notes: tuple[str, ...] = ()
    jpeg_quality: int | None = None
    light: Light | None = None
    texts: tuple[tuple[str, str], ...] = ()

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def is_gray(self) -> bool:
        return bool(self.pixels.shape[2] == 1)

    @property
    def bits(self) -> int:
        """Bits a sample: 8 or 16."""
        return 16 if self.pixels.dtype == np.uint16 else 8

    def to_pil(self) -> PIL.Image.Image:
        """As a Pillow image; see `convert.to_pil`."""
        from hatcli.image import convert

        return convert.to_pil(self)

    def to_numpy(self) -> Samples:
        """As an array `[H, W]` (gray) or `[H, W, C]`; see `convert.to_numpy`."""
        from hatcli.image import convert

        return convert.to_numpy(self)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        quality: int | None = None,
        lossless: bool = False,
        compression: int | None = None,
        strip_metadata: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Write it to a file, which is whole or absent at any time; the name's ending says the format.

        Args:
            quality, lossless, compression, strip_metadata: as in `EncodeOptions`.
            overwrite: replace a file that is there.

        Raises:
            UsageError: the ending is of no known format, an option makes no sense, or the file is there already.
            OutputError: the format cannot hold the picture, or the file cannot be written.
        """
        from hatcli.image import encode
        from hatcli.image.options import EncodeOptions

        options = EncodeOptions(quality, lossless, compression, strip_metadata)
        target = Path(path)
        encode.write(self, target, options=options, overwrite=overwrite)
        return target


def to_tensor(samples: Samples) -> torch.Tensor:
    """Samples `[H, W, C]` (C of 1 or 3) or `[H, W]` to float32 `[3, H, W]`, values in 0..1; gray is repeated."""
    import torch

    peak = 65535.0 if samples.dtype == np.uint16 else 255.0
    planes = samples[..., None] if samples.ndim == 2 else samples
    values = torch.from_numpy(planes.astype(np.float32)).div_(peak).permute(2, 0, 1)
    return values.expand(3, -1, -1).contiguous()


def from_tensor(values: torch.Tensor, *, bits: int, gray: bool = False) -> Samples:
    """A tensor `[3, H, W]`, values nominally in 0..1, to samples `[H, W, 3]` (or `[H, W, 1]` if `gray`).

    Values are clamped and rounded to nearest (half to even), never truncated; gray is the mean of the three channels.
    """
    peak = 65535.0 if bits == 16 else 255.0
    planes = values.float().mean(dim=0, keepdim=True) if gray else values.float()
    samples = planes.clamp(0, 1).mul(peak).round_().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(samples.astype(np.uint16 if bits == 16 else np.uint8))


def with_pixels(picture: Picture, pixels: Samples, alpha: Samples | None) -> Picture:
    """The same picture with other samples: profile, metadata, resolution and notes are kept, traces of JPEG are not."""
    return replace(picture, pixels=pixels, alpha=alpha, jpeg_quality=None)


def split_alpha(block: Samples) -> tuple[Samples, Samples]:
    """`[H, W, C + 1]` to pixels `[H, W, C]` and alpha `[H, W]`."""
    pixels: Any = np.ascontiguousarray(block[..., :-1])
    alpha: Any = np.ascontiguousarray(block[..., -1])
    return pixels, alpha


def eight_bits(samples: Samples) -> NDArray[np.uint8]:
    """16-bit samples rounded to the nearest of 8 bits; those of 8 bits as they are."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
