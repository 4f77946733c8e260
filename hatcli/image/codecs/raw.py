"""Camera raw files by rawpy, which is LibRaw: told from the TIFFs they resemble, developed to 16 bits."""

from __future__ import annotations

import io
from dataclasses import dataclass

from hatcli.errors import InputError
from hatcli.image import exif, formats, ifd, opening, profiles, samples
from hatcli.image.codecs.reader import Beside, Reader, Shape

_MAKE, _SUB_DIRECTORIES, _NEW_SUBFILE_TYPE, _REDUCED, _DNG_VERSION = 0x010F, 330, 254, 1, 50706
_COMPRESSION, _PHOTOMETRIC = 259, 262
_RAW_COMPRESSIONS = {32767, 32769, 34713, 65535, 34892}  # Sony, Epson and others, Nikon, Pentax, DNG's lossy JPEG
_RAW_PHOTOMETRICS = {32803, 34892}  # a mosaic of colours, and linear raw
_CR2_MARK = b"CR\x02\0"
_ODD_TIFFS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # TIFFs but for their mark: Olympus, Panasonic
_TIFF_MAGIC = {b"II": b"*\0", b"MM": b"\0*"}
_MOST_DIRECTORIES = 16
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


def is_raw(data: bytes) -> bool:
    """Whether what begins like a TIFF is a camera raw file."""
    if data[8:12] == _CR2_MARK:
        return True
    try:
        head = ifd.header(data)
        first = ifd.read(data, head.first, order=head.order, big=head.big)
    except ValueError:
        return False
    if _DNG_VERSION in first.entries:
        return True
    if _MAKE not in first.entries and _SUB_DIRECTORIES not in first.entries:
        return False
    if _number(first, _NEW_SUBFILE_TYPE, head) == _REDUCED and _SUB_DIRECTORIES in first.entries:
        return True
    return any(_holds_mosaic(directory, head) for directory in _directories(data, first, head))


def _directories(data: bytes, first: ifd.Directory, head: ifd.Header) -> list[ifd.Directory]:
    """The first directory, those it points to as its sub-directories, and the ones that follow."""
    found, waiting = [first], list(_pointers(first, head))
    while waiting and len(found) < _MOST_DIRECTORIES:
        try:
            directory = ifd.read(data, waiting.pop(0), order=head.order, big=head.big)
        except ValueError:
            continue
        found.append(directory)
    return found


def _pointers(first: ifd.Directory, head: ifd.Header) -> list[int]:
    entry = first.entries.get(_SUB_DIRECTORIES)
    places = (
        []
        if entry is None
        else [ifd.Entry(0, entry.kind, 1, entry.value[at : at + 4]) for at in range(0, len(entry.value), 4)]
    )
    offsets = [place.integer(head.order) for place in places if place.kind in (ifd.LONG, 13)]
    return [*offsets, *([first.following] if first.following else [])]


def _holds_mosaic(directory: ifd.Directory, head: ifd.Header) -> bool:
    return (
        _number(directory, _COMPRESSION, head) in _RAW_COMPRESSIONS
        or _number(directory, _PHOTOMETRIC, head) in _RAW_PHOTOMETRICS
    )


def _number(directory: ifd.Directory, tag: int, head: ifd.Header) -> int | None:
    entry = directory.entries.get(tag)
    try:
        return None if entry is None else entry.integer(head.order)
    except ValueError:
        return None


@dataclass(frozen=True)
class RawReader(Reader):
    """A raw file that LibRaw knows."""

    width: int
    height: int
    profile: str

    def unpack(self) -> samples.Unpacked:
        import rawpy

        space, gamma, _ = _SPACES[self.profile]
        with rawpy.imread(io.BytesIO(self.data)) as raw:
            array = raw.postprocess(
                output_bps=16,
                use_camera_wb=True,
                no_auto_bright=True,
                adjust_maximum_thr=0.0,  # else brightness would depend on what else is in the picture
                gamma=gamma,
                output_color=rawpy.ColorSpace[space],
            )
        return samples.from_array(array)

    def beside(self) -> Beside:
        block = _exif_of(self.data)
        return Beside(icc=_SPACES[self.profile][2], exif=block, xmp=None, dpi=None, turn=1)

    def shape(self) -> Shape:
        return Shape(self.width, self.height, 3, 16, alpha=False)

    def remarks(self, *, has_profile: bool) -> list[str]:
        return [f"developed with the camera's white balance, to {_SPACES[self.profile][0]}"]


def opened(data: bytes, format: str, *, name: str, max_pixels: int, profile: str = "srgb") -> Reader:
    """The reader of a raw file.

    Raises:
        InputError: it is larger than `max_pixels`, or LibRaw does not know it.
        Exception: it is damaged, in whatever way LibRaw puts it.
    """
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            sizes = raw.sizes
    except rawpy.LibRawFileUnsupportedError as error:
        refusal = formats.refusal("RAW")
        raise InputError(f"cannot read {name}: {refusal.reason}", hint=refusal.hint) from error
    width, height = int(sizes.iwidth), int(sizes.iheight)
    if sizes.flip in _TURNED:
        width, height = height, width
    opening.check_pixels((width, height), name=name, max_pixels=max_pixels)
    return RawReader(data, format, width, height, profile)


def _exif_of(data: bytes) -> bytes | None:
    """The EXIF block: of the file's own directory, or of the JPEG inside."""
    with_directory = _from_directory(data)
    if with_directory is not None:
        return with_directory
    start = data.find(b"\xff\xd8\xff\xe1", 0, 1 << 20)
    if start >= 0 and data[start + 6 : start + 12] == exif.PREFIX:
        length = int.from_bytes(data[start + 4 : start + 6], "big")
        return data[start + 12 : start + 4 + length]
    return None


def _from_directory(data: bytes) -> bytes | None:
    try:
        data = data[:2] + _TIFF_MAGIC.get(data[:2], b"") + data[4:] if data[:4] in _ODD_TIFFS else data
        head = ifd.header(data)
        return exif.from_tiff(data, ifd.read(data, head.first, order=head.order).entries, order=head.order)
    except ValueError:
        return None
