"""Picture files to `Picture`: one read into memory, recognised by content, checked, decoded, set upright."""

from __future__ import annotations

import io
import os
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from hatcli.errors import InputError
from hatcli.image import color, deep, exif, formats, ifd, metadata, opening, png, quality, samples
from hatcli.image.picture import Picture, Samples

DEFAULT_MAX_PIXELS = 178_956_970  # where Pillow refuses, too: 13,377 squared
_XMP_TAG = 700
_HEADROOM = 64 * 2**20  # bytes a file may hold beside its pixels
_BYTES_A_PIXEL = 16  # the most that any format read here stores
_PIECE = 16 * 2**20  # bytes read at a time: a generous limit must cost nothing by itself


@dataclass(frozen=True)
class PictureInfo:
    """What a picture is, told without decoding its pixels.

    Attributes:
        width: of the upright picture.
        height: of the upright picture.
        bits: bits a sample it will be decoded to: 8 or 16.
        channels: 1 for gray, 3 for RGB; alpha is not counted.
        alpha: whether it has transparency.
        format: as in `Picture.format`.
        frames: frames or pages in the file; the first one is decoded.
        jpeg_quality: as in `Picture.jpeg_quality`.
    """

    width: int
    height: int
    bits: int
    channels: int
    alpha: bool
    format: str
    frames: int
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class _Opened:
    """A picture file whose header has been read: its bytes, Pillow's image of them, and who reads the samples."""

    data: bytes
    format: str
    image: Image.Image
    gated: png.Gated | None
    layout: deep.Layout


def read(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
    """The picture in a file.

    Raises:
        InputError: the file cannot be read, is no picture, is damaged, or has more than `max_pixels` pixels.
    """
    return decode(read_bytes(path, max_pixels=max_pixels), name=str(path), max_pixels=max_pixels)


def decode(data: bytes, *, name: str = "the picture", max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
    """The picture in these bytes; `name` is for error lines, and its suffix tells Targa, which has no mark of its own.

    Raises:
        InputError: the bytes are no picture, are damaged, or make more than `max_pixels` pixels.
    """
    format = _recognise(data, name)
    with opening.explained(name, format), opening.pillow_limit(max_pixels):
        opened = _open(data, format, name=name, max_pixels=max_pixels)
        unpacked, is_upright = _unpack(opened)
        info = _information(opened)
        frames = opening.count_frames(opened.image, data, max_pixels=max_pixels)
    return _assemble(opened, unpacked, info=info, frames=frames, is_upright=is_upright)


def probe(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> PictureInfo:
    """What the picture in a file is, from its header; the pixels are not decoded, so damage in them is not seen.

    Raises:
        InputError: the file cannot be read, is no picture, or has more than `max_pixels` pixels.
    """
    return describe(read_bytes(path, max_pixels=max_pixels), name=str(path), max_pixels=max_pixels)


def describe(data: bytes, *, name: str = "the picture", max_pixels: int = DEFAULT_MAX_PIXELS) -> PictureInfo:
    """The same for bytes that have been read already.

    Raises:
        InputError: they are no picture, or one of more than `max_pixels` pixels.
    """
    format = _recognise(data, name)
    with opening.explained(name, format), opening.pillow_limit(max_pixels):
        opened = _open(data, format, name=name, max_pixels=max_pixels)
        return _describe(opened, frames=opening.count_frames(opened.image, data, max_pixels=max_pixels))


def sniff(path: Path) -> str | None:
    """The format of a file by its first bytes, or None if it is no picture; names kinds that cannot be read, too.

    A file that cannot be opened is judged by its suffix: it is for `read` to say what is wrong with it.
    """
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with open(path, "rb") as file:
            head = file.read(formats.HEAD)
            found = formats.identify(head)
            if found is None and len(head) >= 26:
                file.seek(-26, os.SEEK_END)
                found = "TGA" if formats.identify_targa(head, file.read(), suffix=path.suffix) else None
    except OSError:
        return formats.SUFFIXES.get(path.suffix.lower())
    return found if found in (*formats.READABLE, *formats.UNREADABLE) else None


def most_bytes(max_pixels: int) -> int:
    """What a file with a picture of so many pixels may hold at most."""
    return max_pixels * _BYTES_A_PIXEL + _HEADROOM


def read_bytes(path: Path, *, max_pixels: int) -> bytes:
    """The whole file, read once: what is checked is what is decoded.

    Raises:
        InputError: it cannot be read, is a device, or is larger than any picture of `max_pixels` pixels.
    """
    try:
        with open(path, "rb") as file:
            kind = os.fstat(file.fileno()).st_mode
            if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
                raise InputError(f"cannot read {path}: it is a device, not a picture")
            return read_open(file, name=str(path), max_pixels=max_pixels)
    except OSError as error:
        raise _refused(str(path), error) from error


def read_open(file: BinaryIO, *, name: str, max_pixels: int) -> bytes:
    """The rest of a file or pipe that is open, stdin too, read once; `name` is for error lines.

    Raises:
        InputError: it cannot be read, or holds more than any picture of `max_pixels` pixels.
    """
    most = most_bytes(max_pixels)
    parts, left, piece = [], most + 1, max(_PIECE, _told_size(file) + 1)
    try:
        while left > 0 and (part := file.read(min(left, piece))):
            parts.append(part)
            left -= len(part)
            piece = _PIECE
        return b"".join(_within(parts, most, name))
    except OSError as error:
        raise _refused(name, error) from error
    except MemoryError as error:
        raise InputError(f"cannot read {name}: it needs more memory than there is") from error


def _told_size(file: BinaryIO) -> int:
    """Bytes the system says are in a file, so that it is read in one piece; 0 for a pipe."""
    try:
        return os.fstat(file.fileno()).st_size
    except OSError:  # a stream in memory
        return 0


def _within(parts: list[bytes], most: int, name: str) -> list[bytes]:
    if sum(len(part) for part in parts) <= most:
        return parts
    hint = "raise the limit on pixels if the file can be trusted"
    raise InputError(f"cannot read {name}: it is larger than {most / 1e9:.1f} GB", hint=hint)


def _refused(name: str, error: OSError) -> InputError:
    text = error.strerror or "the system refuses"
    return InputError(f"cannot read {name}: {text[0].lower()}{text[1:]}")


def _recognise(data: bytes, name: str) -> str:
    if not data:
        raise InputError(f"cannot read {name}: the file is empty", hint="fetch or export it again")
    found = formats.identify(data[: formats.HEAD])
    if found is None and formats.identify_targa(data[: formats.HEAD], data[-26:], suffix=Path(name).suffix):
        found = "TGA"
    if found is None or found not in formats.READABLE:
        refusal = formats.refusal(found)
        raise InputError(f"cannot read {name}: {refusal.reason}", hint=refusal.hint)
    return found


def _open(data: bytes, format: str, *, name: str, max_pixels: int) -> _Opened:
    opening.quiet()
    gated = None
    if format == "PNG":
        header = png.read_header(data)
        opening.check_pixels((header.width, header.height), name=name, max_pixels=max_pixels)
        gated = png.gate(data)
    if format == "TIFF":
        with suppress(ValueError):  # Pillow will say what is wrong
            data = ifd.single(data)  # or Pillow would go through all pages to load the first one
    layout = deep.layout_of(data, format)
    known = deep.as_gray_tiff(data) if deep.is_gray_alpha_tiff(data, layout) else data
    image = opening.open_image(known, format, name=name, max_pixels=max_pixels)
    return _Opened(data, format, image, gated, layout)


def _unpack(opened: _Opened) -> tuple[samples.Unpacked, bool]:
    """The samples, and whether they have been turned upright already; loads the image wherever Pillow can."""
    data, image, layout = opened.data, opened.image, opened.layout
    if layout is deep.Layout.TIFF_GRAY_ALPHA:
        return samples.from_array(deep.settled_alpha(deep.gray_alpha_tiff(data), data)), False
    if layout is deep.Layout.PNM:
        return samples.from_array(deep.pnm(data)), True
    if layout is deep.Layout.TIFF_RGB:
        return samples.from_array(deep.settled_alpha(deep.rgb_tiff(data), data)), False
    if layout is deep.Layout.TIFF_PLANES:
        planes = [np.asarray(Image.open(io.BytesIO(plane), formats=["TIFF"])) for plane in deep.tiff_planes(data)]
        return samples.from_array(deep.settled_alpha(np.stack(planes, axis=2).astype(np.uint16), data)), False
    image.load()
    if opened.gated is not None:
        return _png_samples(opened.gated, image), False
    unpacked = samples.unpack(image, image.info.get("icc_profile"))
    return (_settled_gray_tiff(unpacked, data), True) if opened.format == "TIFF" else (unpacked, False)


def _png_samples(gated: png.Gated, image: Image.Image) -> samples.Unpacked:
    """PNG samples by the book: Pillow has the transparent colour of gray wrong for all depths but 8 and 1."""
    header = gated.header
    if header.depth == 16:
        unpacked = samples.from_array(deep.png(gated))
    else:
        unpacked = samples.unpack(image, image.info.get("icc_profile"))
    length = {png.GRAY: 2, png.RGB: 6}.get(header.color)
    if length is None or gated.transparency is None or len(gated.transparency) != length:
        return unpacked
    mask = 2**header.depth - 1
    step = 1 if header.depth == 16 else 255 // mask
    key = tuple((value & mask) * step for value in struct.unpack(f">{length // 2}H", gated.transparency))
    return replace(unpacked, alpha=samples.transparent_where(unpacked.pixels, key))


def _settled_gray_tiff(unpacked: samples.Unpacked, data: bytes) -> samples.Unpacked:
    """Gray TIFF samples of more than 8 bits with black at zero and white at 65535, which Pillow leaves as they lie."""
    if unpacked.pixels.dtype != np.uint16 or unpacked.pixels.shape[2] != 1:
        return unpacked
    tiff = deep.TiffFields(data)
    bits = max(tiff.numbers(deep.BITS, 16))
    pixels = unpacked.pixels
    if 8 < bits < 16:
        pixels = deep.widened(pixels, peak=2**bits - 1)
    if bits <= 16 and tiff.numbers(deep.PHOTOMETRIC)[:1] == (deep.WHITE_IS_ZERO,):
        pixels = 65535 - pixels
    return replace(unpacked, pixels=pixels)


def _information(opened: _Opened) -> dict[str, Any]:
    """What Pillow found beside the pixels, before it moves on to other frames; `xmp` and `dpi` are settled for TIFF."""
    info: dict[str, Any] = {str(key): value for key, value in opened.image.info.items()}
    if opened.format == "TIFF":
        info["dpi"] = None
        try:
            tiff = deep.TiffFields(opened.data)
        except ValueError:
            return info
        packet = tiff.entries.get(_XMP_TAG)
        info["xmp"] = None if packet is None else packet.value
        info["dpi"] = exif.entries_resolution(tiff.entries, order=tiff.order)
        info["turn"] = (tiff.numbers(deep.ORIENTATION) or (1,))[0]
    return info


def _assemble(
    opened: _Opened, unpacked: samples.Unpacked, *, info: dict[str, Any], frames: int, is_upright: bool
) -> Picture:
    """The samples and what came with them as an upright picture."""
    xmp = metadata.find_xmp(info)
    block = metadata.find_exif(info)
    turn = 1
    if not is_upright:
        turn = info["turn"] if "turn" in info else metadata.find_orientation(block, xmp)
    pixels = samples.upright(unpacked.pixels, turn)
    block, exif_notes = _settled_exif(opened, block, width=pixels.shape[1], height=pixels.shape[0])
    icc, icc_notes = _settled_profile(info.get("icc_profile"), mode=opened.image.mode, is_gray=pixels.shape[2] == 1)
    dpi = _resolution(info, block, opened.format)
    checks = [] if opened.gated is None else list(opened.gated.notes)
    checks += color.unkept_description(opened.data, opened.format, has_profile=icc is not None)
    return Picture(
        pixels=pixels,
        alpha=None if unpacked.alpha is None else samples.upright(unpacked.alpha, turn),
        icc=icc,
        exif=block,
        xmp=xmp,
        dpi=dpi if dpi is None or turn < 5 else dpi[::-1],
        format=opened.format,
        jpeg_quality=quality.jpeg_quality(opened.image),
        notes=(
            *_frame_notes(opened, frames),
            *checks,
            *unpacked.notes,
            *exif_notes,
            *icc_notes,
            *_depth_notes(opened, pixels),
        ),
    )


def _frame_notes(opened: _Opened, frames: int) -> list[str]:
    kind = "pages" if opened.format == "TIFF" else "pictures" if opened.image.format == "MPO" else "frames"
    if frames == 0:
        return [f"first of several {kind}; some of the others are damaged"]
    if frames > opening.MOST_FRAMES:
        return [f"first of more than {opening.MOST_FRAMES} {kind}"]
    return [f"first of {frames} {kind}"] if frames > 1 else []


def _settled_exif(opened: _Opened, block: bytes | None, *, width: int, height: int) -> tuple[bytes | None, list[str]]:
    """The EXIF block for the upright picture; a damaged one is dropped, and said so."""
    try:
        if opened.format == "TIFF":
            block = exif.from_tiff(opened.data)
        return None if block is None else exif.for_size(block, width=width, height=height, dpi=None), []
    except ValueError:
        return None, ["damaged EXIF was dropped"]


def _settled_profile(profile: bytes | None, *, mode: str, is_gray: bool) -> tuple[bytes | None, list[str]]:
    """The profile if it fits the samples; it does not where the samples have been converted to sRGB."""
    if not profile or mode in ("CMYK", "LAB"):
        return None, []
    space = color.profile_space(profile)
    if space is None:
        return None, ["a damaged colour profile was dropped"]
    if space == ("GRAY" if is_gray else "RGB"):
        return profile, []
    return None, [f"a colour profile for {space} was dropped: the picture is {'gray' if is_gray else 'RGB'}"]


def _resolution(info: dict[str, Any], block: bytes | None, format: str) -> tuple[float, float] | None:
    """Pixels an inch; for JPEG not what Pillow makes of it, which is 72 where nothing is said."""
    if format == "JPEG":
        per_inch = {1: 1.0, 2: 2.54}.get(info.get("jfif_unit", 0))
        said = None if per_inch is None else tuple(value * per_inch for value in info["jfif_density"])
    else:
        said = info.get("dpi")
    dpi = metadata.plausible_dpi(said)
    if dpi is None and block is not None:
        dpi = metadata.plausible_dpi(exif.resolution(block))
    return dpi


def _depth_notes(opened: _Opened, pixels: Samples) -> list[str]:
    if pixels.dtype == np.uint16:
        return []
    bits = deep.stored_bits(opened.data, opened.format)
    return [f"{bits}-bit samples were read as 8-bit ones"] if bits > 8 else []


def _describe(opened: _Opened, *, frames: int) -> PictureInfo:
    image, layout = opened.image, opened.layout
    info = _information(opened)
    width, height = image.size
    xmp = metadata.find_xmp(info)
    block = metadata.find_exif(info) or (png.find(opened.data, b"eXIf") if opened.gated is not None else None)
    if opened.format != "TIFF" and metadata.find_orientation(block, xmp) >= 5:
        width, height = height, width
    is_gray, is_deep = image.mode in samples.GRAY_MODES, image.mode in samples.DEEP_MODES
    has_alpha = samples.has_alpha(image)
    if opened.gated is not None:
        is_gray = opened.gated.header.color in (png.GRAY, png.GRAY_ALPHA)
        has_alpha = opened.gated.transparency is not None or opened.gated.header.color in (
            png.GRAY_ALPHA,
            png.RGB_ALPHA,
        )
    if deep.is_gray_alpha_tiff(opened.data, layout):
        has_alpha = deep.has_alpha(opened.data)
    return PictureInfo(
        width=width,
        height=height,
        bits=16 if is_deep or layout is not deep.Layout.PILLOW else 8,
        channels=1 if is_gray else 3,
        alpha=has_alpha,
        format=opened.format,
        frames=max(frames, 1),
        jpeg_quality=quality.jpeg_quality(image),
    )
