"""Between a film's samples and RGB: one matrix and one range both ways, so that nothing shifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hatcli.image.picture import Samples
from hatcli.video.opening import library

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

UNKNOWN = 2  # of primaries, transfer and matrix, in the numbers of ITU-T H.273
LIMITED, FULL = 1, 2
PQ, HLG = 16, 18
_BT601 = 5
_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # H.273's matrices to swscale's


@dataclass(frozen=True)
class Colors:
    """What a film says of its colours, in the numbers of ITU-T H.273; `range`: 0 unknown, 1 limited, 2 full."""

    primaries: int = UNKNOWN
    transfer: int = UNKNOWN
    matrix: int = UNKNOWN
    range: int = 0

    @property
    def is_hdr(self) -> bool:
        """Whether its transfer is PQ or HLG."""
        return self.transfer in (PQ, HLG)


def samples_format(*, deep: bool, alpha: bool) -> str:
    """Libav's name of RGB as samples `[H, W, 3]`, or with alpha `[H, W, 4]`."""
    return ("rgba64le" if alpha else "rgb48le") if deep else ("rgba" if alpha else "rgb24")


def has_alpha(pixel_format: str) -> bool:
    """Whether pixels of this format can be transparent."""
    from av.video.format import VideoFormat

    return any(part.is_alpha for part in VideoFormat(pixel_format).components)


def is_rgb(pixel_format: str) -> bool:
    """Whether pixels of this format are red, green and blue, maybe by a palette."""
    from av.video.format import VideoFormat

    format = VideoFormat(pixel_format)
    return bool(format.is_rgb or format.has_palette)


class Conversion:
    """Frames to RGB and back for one film; not for several threads at once.

    Args:
        deep: whether RGB has 16 bits a sample.
        alpha: whether samples have transparency as their last channel.
    """

    def __init__(self, colors: Colors, *, deep: bool, alpha: bool = False) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        library()
        self._colors, self._samples = colors, samples_format(deep=deep, alpha=alpha)
        self._matrix = _SWSCALE.get(colors.matrix, _BT601)
        self._flags = int(
            Interpolation.BICUBIC
            | Interpolation.ACCURATE_RND
            | Interpolation.FULL_CHR_H_INT
            | Interpolation.FULL_CHR_H_INP
            | Interpolation.BITEXACT
        )
        self._to_rgb, self._from_rgb = VideoReformatter(), VideoReformatter()

    def to_rgb(self, frame: VideoFrame, width: int | None = None, height: int | None = None) -> Samples:
        """`[H, W, 3 or 4]`, full range; of another size, if one is given."""
        made = self._to_rgb.reformat(
            frame,
            width=width,
            height=height,
            format=self._samples,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            interpolation=self._flags,
            src_color_range=self._range(frame.format),
            dst_color_range=FULL,
            threads=1,
        )
        samples: Any = made.to_ndarray()
        return np.ascontiguousarray(samples)

    def from_rgb(self, samples: Samples, format: str) -> VideoFrame:
        """A frame of this pixel format that says of its colours what the film said."""
        from av.video.format import VideoFormat
        from av.video.frame import VideoFrame

        frame = VideoFrame.from_ndarray(samples, format=self._samples)
        made = self._from_rgb.reformat(
            frame,
            format=format,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            interpolation=self._flags,
            src_color_range=FULL,
            dst_color_range=self._range(VideoFormat(format)),
            threads=1,
        )
        made.color_primaries, made.color_trc = self._colors.primaries, self._colors.transfer
        made.colorspace, made.color_range = self._colors.matrix, self._colors.range
        return made

    def _range(self, format: Any) -> int:
        if format.is_rgb or format.name.startswith("yuvj"):
            return FULL
        return self._colors.range or LIMITED
