"""Camera raw files by rawpy, which is LibRaw: developed to 16 bits."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass

from hatcli.errors import InputError
from hatcli.image import exif, formats, ifd, opening, profiles, samples
from hatcli.image.codecs import boxes, raw_directories
from hatcli.image.codecs.reader import Beside, Reader, Shape

_UUID = 16  # bytes in front of what is in such a box
_CANON_PARTS = {exif.EXIF_POINTER: b"CMT2", exif.GPS_POINTER: b"CMT4"}
_TURNED = (5, 6)  # LibRaw's codes for a quarter turn
_SRGB_GAMMA = (2.4, 12.92)  # exponent and slope of the straight part, as LibRaw takes them
_SPACES: dict[str, tuple[str, tuple[float, float], bytes | None]] = {  # LibRaw's name, its curve, the profile to say so
    "srgb": ("sRGB", _SRGB_GAMMA, None),
    "display-p3": (
        "P3D65", _SRGB_GAMMA, profiles.made("Display P3", profiles.P3_PRIMARIES, profiles.SRGB_CURVE)
    ),
    "adobe-rgb": (
        "Adobe", (2.19921875, 0.0), profiles.made("Compatible with Adobe RGB", profiles.ADOBE_PRIMARIES, (2.19921875,))
    ),
    "prophoto": ("ProPhoto", (1.8, 0.0), profiles.made("ProPhoto", profiles.PROPHOTO_PRIMARIES, (1.8,))),
}  # fmt: skip


@dataclass(frozen=True)
class RawReader(Reader):
    """A raw file that LibRaw knows; `channels` is 1 where the sensor sees no colours."""

    width: int
    height: int
    profile: str
    channels: int = 3

    def unpack(self) -> samples.Unpacked:
        import rawpy

        space, gamma, _ = _SPACES[self.profile]
        try:
            with rawpy.imread(io.BytesIO(self.data)) as raw:
                if raw.raw_type == rawpy.RawType.Flat and not raw.raw_image_visible.any():
                    raise formats.DamageError("it holds no picture: no sample is above 0, not even by noise")
                array = raw.postprocess(
                    output_bps=16,
                    use_camera_wb=True,
                    no_auto_bright=True,
                    adjust_maximum_thr=0.0,  # else brightness would depend on what else is in the picture
                    gamma=gamma,
                    output_color=rawpy.ColorSpace[space],
                )
        except rawpy.LibRawIOError as error:  # reading from memory fails where there is no more of it
            raise formats.DamageError("the file is cut off") from error
        except rawpy.LibRawDataError as error:
            raise formats.DamageError("it is a damaged camera raw") from error
        return samples.from_array(array)

    def beside(self) -> Beside:
        block = _exif_of(self.data)
        return Beside(icc=_SPACES[self.profile][2], exif=block, xmp=None, dpi=None, turn=1)

    def shape(self) -> Shape:
        return Shape(self.width, self.height, self.channels, 16, alpha=False)

    def remarks(self, *, has_profile: bool) -> list[str]:
        return [f"developed with the camera's white balance, to {_SPACES[self.profile][0]}"]


def opened(data: bytes, format: str, *, name: str, max_pixels: int, profile: str = "srgb") -> Reader:
    """The reader of a raw file.

    Raises:
        InputError: it is larger than `max_pixels`, or LibRaw does not know it.
        DamageError: samples are missing, which LibRaw would leave black.
        Exception: it is damaged, in whatever way LibRaw puts it.
    """
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            sizes, channels = raw.sizes, 1 if raw.num_colors == 1 else 3
    except rawpy.LibRawFileUnsupportedError as error:
        refusal = formats.refusal("RAW")
        raise InputError(f"cannot read {name}: {refusal.reason}", hint=refusal.hint) from error
    width, height = int(sizes.iwidth), int(sizes.iheight)
    if sizes.flip in _TURNED:
        width, height = height, width
    opening.check_pixels((width, height), name=name, max_pixels=max_pixels)
    if raw_directories.is_cut_off(data):
        raise formats.DamageError("the file is cut off")
    # Gray has no primaries, so that sRGB's curve is all it needs.
    return RawReader(data, format, width, height, profile if channels > 1 else "srgb", channels)


def _exif_of(data: bytes) -> bytes | None:
    """The EXIF block: of the file's own directory, of Canon's boxes, or of the JPEG inside."""
    with_directory = _from_boxes(data) if data[4:8] == b"ftyp" else _from_directory(data)
    if with_directory is not None:
        return with_directory
    start = data.find(b"\xff\xd8\xff\xe1", 0, 1 << 20)
    if start >= 0 and data[start + 6 : start + 12] == exif.PREFIX:
        length = int.from_bytes(data[start + 4 : start + 6], "big")
        return data[start + 12 : start + 4 + length]
    return None


def _from_directory(data: bytes) -> bytes | None:
    try:
        data = raw_directories.as_tiff(data)
        head = ifd.header(data)
        return exif.from_tiff(data, ifd.read(data, head.first, order=head.order).entries, order=head.order)
    except ValueError:
        return None


def _from_boxes(data: bytes) -> bytes | None:
    """The block put together from Canon's CR3, without the notes that only Canon can read."""
    for box in boxes.boxes(boxes.find(data, b"moov") or b""):
        parts = {part.kind: bytes(part.body) for part in boxes.boxes(box.body[_UUID:])} if box.kind == b"uuid" else {}
        if b"CMT1" in parts:
            pointed = {tag: parts[kind] for tag, kind in _CANON_PARTS.items() if kind in parts}
            with suppress(ValueError):
                return exif.from_parts(parts[b"CMT1"], pointed)
    return None
