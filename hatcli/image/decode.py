"""Picture files to `Picture`: one read into memory, recognised by content, checked, decoded, set upright."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hatcli.errors import InputError
from hatcli.image import color, exif, extras, formats, gain_maps, metadata, opening, samples
from hatcli.image.codecs import raw_directories
from hatcli.image.codecs.reader import Beside, Reader
from hatcli.image.light import Light, hdr_note
from hatcli.image.options import DecodeOptions
from hatcli.image.picture import Picture, Samples
from hatcli.image.readers import open_reader
from hatcli.outside import NotPlainError, open_plain

DEFAULT_MAX_PIXELS = formats.MOST_PIXELS
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
        light: as in `Picture.light`.
        pages: how many pages of a TIFF are to be read.
    """

    width: int
    height: int
    bits: int
    channels: int
    alpha: bool
    format: str
    frames: int
    jpeg_quality: int | None = None
    light: Light | None = None
    pages: int = 1


def read(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS, options: DecodeOptions | None = None) -> Picture:
    """The picture in a file.

    Raises:
        InputError: the file cannot be read, is no picture, is damaged, or has more than `max_pixels` pixels.
    """
    data = read_bytes(path, max_pixels=max_pixels)
    return decode(data, name=str(path), max_pixels=max_pixels, options=options)


def decode(
    data: bytes,
    *,
    name: str = "the picture",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    options: DecodeOptions | None = None,
) -> Picture:
    """The picture in these bytes; `name` is for error lines, and its suffix tells Targa, which has no mark of its own.

    Raises:
        InputError: the bytes are no picture, are damaged, or make more than `max_pixels` pixels.
    """
    format = _recognise(data, name)
    with opening.explained(name, format), opening.pillow_limit(max_pixels):
        reader = open_reader(data, format, name=name, max_pixels=max_pixels, options=options)
        unpacked = reader.unpack()
        beside = reader.beside()
        frames = reader.count_frames(max_pixels=max_pixels)
    return _assemble(reader, unpacked, beside, frames=frames, page=(options or DecodeOptions()).pages[0])


def probe(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS, options: DecodeOptions | None = None) -> PictureInfo:
    """What the picture in a file is, from its header; the pixels are not decoded, so damage in them is not seen.

    Raises:
        InputError: the file cannot be read, is no picture, or has more than `max_pixels` pixels.
    """
    data = read_bytes(path, max_pixels=max_pixels)
    return describe(data, name=str(path), max_pixels=max_pixels, options=options)


def describe(
    data: bytes,
    *,
    name: str = "the picture",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    options: DecodeOptions | None = None,
) -> PictureInfo:
    """The same for bytes that have been read already.

    Raises:
        InputError: they are no picture, or one of more than `max_pixels` pixels.
    """
    format = _recognise(data, name)
    with opening.explained(name, format), opening.pillow_limit(max_pixels):
        reader = open_reader(data, format, name=name, max_pixels=max_pixels, options=options)
        frames = reader.count_frames(max_pixels=max_pixels)
        return PictureInfo(
            **asdict(reader.shape()),
            format=format,
            frames=max(frames, 1),
            jpeg_quality=reader.quality,
            light=reader.light(),
            pages=(options or DecodeOptions()).count_pages(frames) if format == "TIFF" else 1,
        )


def sniff(path: Path) -> str | None:
    """The format of a file by its first bytes, or None if it is no picture; names kinds that cannot be read, too.

    A file that cannot be opened is judged by its suffix: it is for `read` to say what is wrong with it.
    """
    try:
        with open_plain(path) as file:
            head = file.read(formats.HEAD)
            found = formats.identify(head)
            if found is None and len(head) >= 26:
                file.seek(-26, os.SEEK_END)
                found = "TGA" if formats.identify_targa(head, file.read(), suffix=path.suffix) else None
    except (FileNotFoundError, NotPlainError):
        return None
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
        with open_plain(path, pipes=True) as file:
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
        raise InputError(
            f"cannot read {name}: it needs more memory than there is",
            hint="close other programs, or use a machine with more memory",
        ) from error


def _told_size(file: BinaryIO) -> int:
    """Bytes the system says are in a file, so that it is read in one piece; 0 for a pipe."""
    try:
        return os.fstat(file.fileno()).st_size
    except OSError:  # a stream in memory
        return 0


def _within(parts: list[bytes], most: int, name: str) -> list[bytes]:
    if sum(len(part) for part in parts) <= most:
        return parts
    raise InputError(f"cannot read {name}: it is larger than {most / 1e9:.1f} GB", hint=opening.RAISE_LIMIT)


def _refused(name: str, error: OSError) -> InputError:
    text = error.strerror or "the system refuses"
    return InputError(f"cannot read {name}: {text[0].lower()}{text[1:]}", hint="check that it is there and may be read")


def _recognise(data: bytes, name: str) -> str:
    if not data:
        raise InputError(f"cannot read {name}: the file is empty", hint="fetch or export it again")
    found = formats.identify(data[: formats.HEAD])
    if found is None and formats.identify_targa(data[: formats.HEAD], data[-26:], suffix=Path(name).suffix):
        found = "TGA"
    is_named_raw = Path(name).suffix.lower() in formats.RAW_SUFFIXES  # else its thumbnail would be taken
    if found == "TIFF" and (is_named_raw or raw_directories.is_raw(data)):
        found = "RAW"
    if found is None or found not in formats.READABLE or not extras.is_there(found):
        refusal = formats.refusal(found) if found not in formats.READABLE else extras.refusal(found)
        raise InputError(f"cannot read {name}: {refusal.reason}", hint=refusal.hint)
    return found


def _assemble(reader: Reader, unpacked: samples.Unpacked, beside: Beside, *, frames: int, page: int) -> Picture:
    """The samples and what came with them as an upright picture."""
    turn = beside.turn
    pixels = samples.upright(unpacked.pixels, turn)
    block, exif_notes = _settled_exif(beside, width=pixels.shape[1], height=pixels.shape[0])
    icc, icc_notes = _settled_profile(beside.icc, is_converted=reader.is_converted, is_gray=pixels.shape[2] == 1)
    light = unpacked.light or reader.light()
    dpi = beside.dpi
    if dpi is None and block is not None:
        dpi = metadata.plausible_dpi(exif.resolution(block))
    return Picture(
        pixels=pixels,
        alpha=None if unpacked.alpha is None else samples.upright(unpacked.alpha, turn),
        icc=icc,
        exif=block,
        xmp=None if beside.xmp is None else gain_maps.without_marks(beside.xmp),
        dpi=dpi if dpi is None or turn < 5 else dpi[::-1],
        format=reader.format,
        jpeg_quality=reader.quality,
        light=light,
        texts=beside.texts,
        notes=(
            *_frame_notes(reader, frames, page),
            *([] if light is None or light.is_scene else [hdr_note(light)]),
            *reader.remarks(has_profile=icc is not None),
            *unpacked.notes,
            *exif_notes,
            *icc_notes,
            *_depth_notes(reader, pixels),
        ),
    )


def _frame_notes(reader: Reader, frames: int, page: int) -> list[str]:
    title = reader.frames_title
    if page > 1 and title == "pages":
        return [f"page {page} of {frames}"]
    if frames == 0:
        return [f"first of several {title}; some of the others are damaged"]
    if frames > opening.MOST_FRAMES:
        return [f"first of more than {opening.MOST_FRAMES} {title}"]
    return [f"first of {frames} {title}"] if frames > 1 else []


def _settled_exif(beside: Beside, *, width: int, height: int) -> tuple[bytes | None, list[str]]:
    """The EXIF block for the upright picture; a damaged one is dropped, and said so."""
    if not beside.is_exif_damaged:
        try:
            block = beside.exif
            return None if block is None else exif.for_size(block, width=width, height=height, dpi=None), []
        except ValueError:
            pass
    return None, ["damaged EXIF was dropped"]


def _settled_profile(profile: bytes | None, *, is_converted: bool, is_gray: bool) -> tuple[bytes | None, list[str]]:
    """The profile if it fits the samples; it does not where the samples have been converted to sRGB."""
    if not profile or is_converted:
        return None, []
    space = color.profile_space(profile)
    if space is None:
        return None, ["a damaged colour profile was dropped"]
    if space == ("GRAY" if is_gray else "RGB"):
        return profile, []
    return None, [f"a colour profile for {space} was dropped: the picture is {'gray' if is_gray else 'RGB'}"]


def _depth_notes(reader: Reader, pixels: Samples) -> list[str]:
    bits = 0 if pixels.dtype == np.uint16 else reader.stored_bits()
    return [f"{bits}-bit samples were read as 8-bit ones"] if bits > 8 else []
