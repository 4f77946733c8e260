"""JPEG XL by opencodecs, a binding of libjxl: 8 and 16 bits, profiles, EXIF and XMP, in and out."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hatcli.errors import InputError
from hatcli.image import color, exif, gain_maps, metadata, opening, samples
from hatcli.image.codecs import boxes
from hatcli.image.codecs.reader import Beside, Reader, Shape
from hatcli.image.codecs.writer import Writer, carried_by_pillow
from hatcli.image.light import Light, of_codes
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

_SRGB, _LINEAR, _D65 = 13, 8, 1
_GRAY = 1
_MOST_BOX = 1 << 22  # bytes of EXIF or XMP that are unpacked
_WHITE_OF_P3 = {1: 12, 11: 11}  # H.273's code for P3 primaries by libjxl's for the white: daylight, cinema
_P3, _DCI = 11, 11
_LOSSLESS_EFFORT, _EFFORT = 3, 5  # more takes several times as long for a few per cent


@dataclass(frozen=True)
class JxlReader(Reader):
    """A JPEG XL whose header libjxl has read."""

    about: dict[str, Any]
    frames: int

    def unpack(self) -> samples.Unpacked:
        array, colors, profile = self._decoded()
        notes: list[str] = []
        if profile is not None and color.profile_space(profile) == "CMYK":
            raise NotImplementedError("CMYK in JPEG XL")
        if array.dtype.kind == "f":
            array, notes = _whole_numbers(array)
        elif (peak := 2 ** int(self.about["bits_per_sample"]) - 1) != np.iinfo(array.dtype).max:
            array = samples.rescaled(array, peak=peak)
        channels = int(self.about["num_color_channels"]) + bool(self.about["alpha_bits"])
        array = array[..., None] if array.ndim == 2 else array
        if colors["transfer_function"] == _LINEAR and array.dtype == np.uint8:
            notes.append("its colours are linear light of 8 bits: dark ones may show steps")
        return replace(samples.from_array(np.ascontiguousarray(array[..., :channels])), notes=tuple(notes))

    def _decoded(self) -> tuple[NDArray[Any], dict[str, int], bytes | None]:
        """The first frame, upright, what its colours are, and the profile of the samples."""
        from opencodecs.codecs import _jxl

        with _jxl.JxlReader(self.data, parse_color=True) as reader:
            array = next(reader.iter_frames())
            return np.asarray(array), reader.color, reader.icc_profile

    def beside(self) -> Beside:
        found = _metadata_boxes(self.data)
        block = found.get(b"Exif", b"")
        start = 4 + int.from_bytes(block[:4], "big")  # where the block begins is said in front of it
        return Beside(
            icc=self._profile(),
            exif=block[start:].removeprefix(exif.PREFIX) or None,
            xmp=metadata.find_xmp({"xmp": found.get(b"xml ", b"")}),
            dpi=None,
            turn=1,
        )

    def _profile(self) -> bytes | None:
        """The profile, unless it is sRGB's or plain gray, which need none."""
        colors, profile = self.about["color"], self.about["icc"]
        is_plain = colors["transfer_function"] == _SRGB and colors["white_point"] == _D65
        if self.light() is not None or (is_plain and (colors["color_space"] == _GRAY or colors["primaries"] == 1)):
            return None
        return profile if isinstance(profile, bytes) else None

    def light(self) -> Light | None:
        colors = self.about["color"]
        primaries = int(colors["primaries"]) or 1
        if primaries == _P3:
            primaries = _WHITE_OF_P3.get(int(colors["white_point"]), _P3)
        return of_codes(primaries, int(colors["transfer_function"]))

    def shape(self) -> Shape:
        is_deep = int(self.about["bits_per_sample"]) > 8
        channels = int(self.about["num_color_channels"])
        return Shape(
            self.about["xsize"], self.about["ysize"], channels, 16 if is_deep else 8, self.about["alpha_bits"] > 0
        )

    def remarks(self, *, has_profile: bool) -> list[str]:
        notes = []
        if int(self.about["num_extra_channels"]) > bool(self.about["alpha_bits"]):
            notes.append("further channels beside colour and transparency are left out")
        if any(box.kind == b"jhgm" for box in boxes.boxes(self.data)):
            notes.append(gain_maps.NOTE)
        return notes

    def count_frames(self, *, max_pixels: int) -> int:
        return self.frames


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of a JPEG XL.

    Raises:
        InputError: it is larger than `max_pixels`.
        Exception: it is damaged, in whatever way libjxl puts it.
    """
    from opencodecs.codecs import _jxl

    with _jxl.JxlReader(data, parse_color=True) as reader:
        about = {**reader.basic_info, "color": reader.color, "icc": reader.icc_profile}
    about["xsize"], about["ysize"] = int(about["xsize"]), int(about["ysize"])
    opening.check_pixels((about["xsize"], about["ysize"]), name=name, max_pixels=max_pixels)
    frames = 1
    if about["have_animation"]:
        try:
            frames = min(int(_jxl.frame_count(data)), opening.MOST_FRAMES + 1)
        except Exception:  # a later frame is damaged; the first one is what counts
            frames = 0
    return JxlReader(data, format, about, frames)


def _whole_numbers(array: NDArray[Any]) -> tuple[NDArray[np.uint16], list[str]]:
    """Floating-point samples, 1 being white, as 16-bit ones; and what is lost."""
    if not np.isfinite(array).all():
        raise InputError("it holds values that are not numbers (NaN or infinity)", hint="clean it up where it was made")
    lost = bool((array < 0).any() or (array > 1).any())
    notes = ["floating-point samples below 0 and above 1 are cut off"] if lost else []
    return np.rint(array.astype(np.float64).clip(0, 1) * 65535).astype(np.uint16), notes


def _metadata_boxes(data: bytes) -> dict[bytes, bytes]:
    """EXIF and XMP by the kind of their box, unpacked; the first of each."""
    found: dict[bytes, bytes] = {}
    for box in boxes.boxes(data):
        kind, body = box.kind, box.body
        if kind == b"brob" and len(body) > 4:
            kind = bytes(body[:4])
        if kind in (b"Exif", b"xml ") and kind not in found:
            content = _unpacked(bytes(body[4:])) if box.kind == b"brob" else bytes(body[:_MOST_BOX])
            if content is not None:
                found[kind] = content
    return found


def _unpacked(packed: bytes) -> bytes | None:
    """What Brotli has packed; None if it is damaged or too much."""
    from opencodecs.codecs import _brotli

    try:
        return bytes(_brotli.decode(packed, out=_MOST_BOX))
    except Exception:  # damaged, or more than that: no reason to refuse the picture
        return None


def encode(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    """The bytes of a JPEG XL in its container: without any loss, unless a quality is asked for."""
    from opencodecs.codecs import _jxl

    planes: Any = picture.pixels
    if picture.alpha is not None:
        planes = np.concatenate([planes, picture.alpha[..., None]], axis=2)
    light = picture.light
    keywords: dict[str, Any] = {"color": "srgb"}
    if light is not None:
        keywords["color"] = _space(light)
    elif picture.icc is not None:
        keywords = {"icc_profile": picture.icc}
    if options.quality is None or options.lossless:
        keywords.update(lossless=True, effort=_LOSSLESS_EFFORT)
    else:
        keywords.update(distance=_distance(options.quality), effort=_EFFORT)
    made = bytes(_jxl.encode(np.ascontiguousarray(planes), container=True, **keywords))
    beside = carried_by_pillow(picture, options)
    return _with_boxes(made, exif_block=beside["exif"], xmp=beside["xmp"]), []


def _distance(quality: int) -> float:
    """Loss as libjxl measures it, 1 being hardly visible, for a quality as JPEG counts it."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


def _with_boxes(data: bytes, *, exif_block: bytes | None, xmp: bytes | None) -> bytes:
    """The file with EXIF and XMP in front of its pixels."""
    extra = b""
    if exif_block is not None:
        extra += boxes.box(b"Exif", struct.pack(">I", 0) + exif_block)
    if xmp is not None:
        extra += boxes.box(b"xml ", xmp)
    at = next(box.start for box in boxes.boxes(data) if box.kind in (b"jxlc", b"jxlp"))
    return data[:at] + extra + data[at:]


def _space(light: Light) -> Any:
    """High dynamic range as libjxl's binding takes it."""
    from opencodecs.core.color import ColorSpec

    is_p3 = light.primaries in _WHITE_OF_P3.values()
    white = _DCI if light.primaries == _WHITE_OF_P3[_DCI] else _D65
    return ColorSpec(primaries=_P3 if is_p3 else light.primaries, transfer=light.transfer, white_point=white)


WRITER = Writer(
    largest_side=2**30 - 1, largest_area=2**40, encode=encode, holds_depth=True, holds_alpha=True, holds_light=True
)
