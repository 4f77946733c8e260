"""EXIF blocks: what they say about a picture, and how they are kept true when its size changes; knows no container.

Blocks are changed in place, so that every offset in them stays right, those inside a camera's private MakerNote too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress

from hatcli.image import ifd

PREFIX = b"Exif\0\0"
ORIENTATION, WIDTH, HEIGHT = 0x0112, 0x0100, 0x0101
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
EXIF_POINTER, GPS_POINTER, INTEROPERABILITY_POINTER = 0x8769, 0x8825, 0xA005
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
THUMBNAIL_OFFSETS = ((0x0201, 0x0202), (0x0111, 0x0117))  # (offset, length): JPEG thumbnail, uncompressed thumbnail
INCH, CENTIMETRE = 2, 3
RESOLUTION_TAGS = {X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT}
# The fields of a TIFF's first directory that speak of the picture and not of how its pixels are stored.
DESCRIPTIVE = {
    0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, *RESOLUTION_TAGS,
}  # fmt: skip
_POINTERS = (EXIF_POINTER, GPS_POINTER)


def checked(block: bytes) -> bytes:
    """The block without its prefix; ValueError if its directories cannot be followed."""
    block = block.removeprefix(PREFIX)
    head = _head(block)
    for _ in _directories(block, head):
        pass
    return block


def orientation(block: bytes) -> int | None:
    """How the stored picture must be turned as the block says it (1 to 8, or nonsense), or None if it does not say."""
    with suppress(ValueError):
        head = _head(block)
        entry = ifd.read(block, head.first, order=head.order).entries.get(ORIENTATION)
        return None if entry is None else entry.integer(head.order)
    return None


def resolution(block: bytes) -> tuple[float, float] | None:
    """Horizontal and vertical pixels an inch, or None."""
    try:
        head = _head(block)
        entries = ifd.read(block, head.first, order=head.order).entries
    except ValueError:
        return None
    return entries_resolution(entries, order=head.order)


def entries_resolution(entries: Mapping[int, ifd.Entry], *, order: str) -> tuple[float, float] | None:
    """Horizontal and vertical pixels an inch by the fields of a first directory, or None."""
    with suppress(ValueError, KeyError):
        unit = entries[RESOLUTION_UNIT].integer(order) if RESOLUTION_UNIT in entries else INCH
        per_inch = {INCH: 1.0, CENTIMETRE: 2.54}[unit]
        return (
            entries[X_RESOLUTION].rational(order) * per_inch,
            entries[Y_RESOLUTION].rational(order) * per_inch,
        )
    return None


def for_size(block: bytes, *, width: int, height: int, dpi: tuple[float, float] | None) -> bytes:
    """The block for an upright picture of this size: dimensions and resolution updated, the thumbnail dropped.

    Raises:
        ValueError: the block is broken.
    """
    head = _head(block)
    order = head.order
    data = bytearray(_without_thumbnail(block, head))
    first = ifd.read(bytes(data), head.first, order=order)
    if ORIENTATION in first.entries:
        _set_integer(data, first.entries[ORIENTATION], 1, kind=ifd.SHORT, order=order)
    for tag, length in ((WIDTH, width), (HEIGHT, height)):
        if tag in first.entries:
            _set_integer(data, first.entries[tag], length, kind=ifd.LONG, order=order)
    if EXIF_POINTER in first.entries:
        details = ifd.read(bytes(data), first.entries[EXIF_POINTER].integer(order), order=order)
        for tag, length in ((PIXEL_WIDTH, width), (PIXEL_HEIGHT, height)):
            if tag in details.entries:
                _set_integer(data, details.entries[tag], length, kind=ifd.LONG, order=order)
    now = resolution(bytes(data))
    if dpi is None or (now is not None and all(abs(a - b) < 0.01 for a, b in zip(now, dpi, strict=True))):
        return bytes(data)
    return _with_resolution(bytes(data), dpi)


def from_tiff(data: bytes, first: Mapping[int, ifd.Entry], *, order: str) -> bytes | None:
    """The descriptive fields of a TIFF file's first page as a block of their own, or None if it has none.

    Args:
        data: the whole file.
        first: the fields of its first directory.
        order: the file's byte order, as in struct.

    Raises:
        ValueError: the file's directories are broken.
    """
    big = ifd.header(data).big
    kept = [entry for tag, entry in first.items() if tag in DESCRIPTIVE]
    pointed = {tag: first[tag].integer(order) for tag in _POINTERS if tag in first}
    if not pointed and all(entry.tag in RESOLUTION_TAGS for entry in kept):
        return None
    directories = {}
    for tag, offset in pointed.items():
        directory = ifd.read(data, offset, order=order, big=big)
        directories[tag] = [entry for entry in directory.entries.values() if entry.tag != INTEROPERABILITY_POINTER]
    return _assembled(kept, directories, order=order)


def from_parts(first: bytes, pointed: Mapping[int, bytes]) -> bytes | None:
    """One block of several that hold a directory each, as in Canon's CR3; None if they say nothing.

    Args:
        first: the one whose descriptive fields come first.
        pointed: the others, by the tag that points to them. Fields that are offsets into their own block are left out.

    Raises:
        ValueError: one of them is broken.
    """
    head = _head(first)
    kept = [entry for tag, entry in ifd.read(first, head.first, order=head.order).entries.items() if tag in DESCRIPTIVE]
    directories = {}
    for tag, block in pointed.items():
        own = _head(block)
        entries = ifd.read(block, own.first, order=own.order).entries.values()
        directories[tag] = [
            entry if own.order == head.order else ifd.reordered(entry, own.order, head.order)
            for entry in entries
            if entry.tag not in (INTEROPERABILITY_POINTER, *_POINTERS)
        ]
    return _assembled(kept, directories, order=head.order) if kept or any(directories.values()) else None


def _assembled(kept: list[ifd.Entry], directories: Mapping[int, list[ifd.Entry]], *, order: str) -> bytes:
    """A block of a first directory and those that tags in it point to."""
    placeholders = [ifd.numbers(tag, ifd.LONG, 0, order=order) for tag in directories]
    end = 8 + len(ifd.layout([*kept, *placeholders], at=8, order=order))
    tail, pointers = b"", []
    for tag, entries in directories.items():
        pointers.append(ifd.numbers(tag, ifd.LONG, end + len(tail), order=order))
        tail += ifd.layout(entries, at=end + len(tail), order=order)
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", 8) + ifd.layout([*kept, *pointers], at=8, order=order) + tail


def for_resolution(dpi: tuple[float, float]) -> bytes:
    """A new block that says the resolution and nothing else."""
    return b"II*\0" + struct.pack("<I", 8) + ifd.layout(resolution_fields(dpi, order="<"), at=8, order="<")


def resolution_fields(dpi: tuple[float, float], *, order: str) -> list[ifd.Entry]:
    """The three fields of a first directory that say the resolution."""
    return [
        ifd.rational(X_RESOLUTION, dpi[0], order=order),
        ifd.rational(Y_RESOLUTION, dpi[1], order=order),
        ifd.numbers(RESOLUTION_UNIT, ifd.SHORT, INCH, order=order),
    ]


def without_orientation(block: bytes) -> bytes:
    """The block saying nothing about orientation, for containers whose encoder would take it apart otherwise."""
    head = _head(block)
    first = ifd.read(block, head.first, order=head.order)
    if ORIENTATION not in first.entries:
        return block
    kept = [entry for tag, entry in first.entries.items() if tag != ORIENTATION]
    return _with_first(block, first, kept, order=head.order)


def descriptive_fields(block: bytes, *, order: str) -> list[ifd.Entry]:
    """The fields that speak of the picture and may stand in a TIFF's own directory, resolution left out."""
    head = _head(block)
    entries = ifd.read(block, head.first, order=head.order).entries.values()
    kept = [entry for entry in entries if entry.tag in DESCRIPTIVE and entry.tag not in RESOLUTION_TAGS]
    return [entry if order == head.order else ifd.reordered(entry, head.order, order) for entry in kept]


def pointed_directories(block: bytes, *, order: str) -> dict[int, list[ifd.Entry]]:
    """The fields of the Exif and GPS directories by the tag that points to them; pointers inside are left out."""
    head = _head(block)
    first = ifd.read(block, head.first, order=head.order).entries
    found = {}
    for tag in _POINTERS:
        if tag in first:
            directory = ifd.read(block, first[tag].integer(head.order), order=head.order)
            entries = [entry for entry in directory.entries.values() if entry.tag != INTEROPERABILITY_POINTER]
            found[tag] = [
                entry if order == head.order else ifd.reordered(entry, head.order, order) for entry in entries
            ]
    return found


def pointer(block: bytes, tag: int) -> int:
    """Where in the block the directory lies that `tag` points to."""
    head = _head(block)
    return ifd.read(block, head.first, order=head.order).entries[tag].integer(head.order)


def _head(block: bytes) -> ifd.Header:
    head = ifd.header(block)
    if head.big:
        raise ValueError("an EXIF block is never a BigTIFF")
    return head


def _directories(block: bytes, head: ifd.Header) -> Iterator[ifd.Directory]:
    """The directories that stay when the thumbnail goes: the first one and those it points to."""
    first = ifd.read(block, head.first, order=head.order)
    yield first
    for tag in _POINTERS:
        if tag in first.entries:
            directory = ifd.read(block, first.entries[tag].integer(head.order), order=head.order)
            yield directory
            deeper = directory.entries.get(INTEROPERABILITY_POINTER)
            if deeper is not None:
                with suppress(ValueError):  # a dangling pointer there harms nobody
                    yield ifd.read(block, deeper.integer(head.order), order=head.order)


def _without_thumbnail(block: bytes, head: ifd.Header) -> bytes:
    """The block with the second directory unlinked and its bytes, and the thumbnail's, made zero or cut off."""
    kept = list(_directories(block, head))
    used = [(one.start, one.end) for one in kept]
    used += [(entry.at, entry.at + len(entry.value)) for one in kept for entry in one.entries.values()]
    first = kept[0]
    data = bytearray(block)
    if first.following:
        data[first.end - 4 : first.end] = bytes(4)
        with suppress(ValueError):  # an unreadable second directory is unlinked all the same
            second = ifd.read(block, first.following, order=head.order)
            for start, end in _thumbnail_ranges(second, order=head.order, length=len(block)):
                if not any(start < used_end and used_start < end for used_start, used_end in used):
                    data[start:end] = bytes(end - start)
    last = max([8, *(end for _, end in used)])
    return bytes(data[: max(last, len(data.rstrip(b"\0")))])


def _thumbnail_ranges(second: ifd.Directory, *, order: str, length: int) -> Iterator[tuple[int, int]]:
    yield second.start, second.end
    for entry in second.entries.values():
        yield entry.at, entry.at + len(entry.value)
    for offset_tag, length_tag in THUMBNAIL_OFFSETS:
        if offset_tag in second.entries and length_tag in second.entries:
            start = second.entries[offset_tag].integer(order)
            yield start, min(start + second.entries[length_tag].integer(order), length)


def _set_integer(data: bytearray, entry: ifd.Entry, value: int, *, kind: int, order: str) -> None:
    """Write one integer into an entry where it lies, as SHORT or LONG."""
    field = ifd.numbers(entry.tag, kind, value, order=order)
    packed = struct.pack(order + "HHI", entry.tag, kind, 1) + field.value.ljust(4, b"\0")
    data[entry.position : entry.position + 12] = packed


def _with_resolution(block: bytes, dpi: tuple[float, float]) -> bytes:
    """The block with the resolution `dpi` in its first directory."""
    head = _head(block)
    first = ifd.read(block, head.first, order=head.order)
    others = [entry for tag, entry in first.entries.items() if tag not in RESOLUTION_TAGS]
    return _with_first(block, first, [*others, *resolution_fields(dpi, order=head.order)], order=head.order)


def _with_first(block: bytes, first: ifd.Directory, entries: list[ifd.Entry], *, order: str) -> bytes:
    """The block with another first directory behind everything else, which stays in place."""
    data = bytearray(block + b"\0" * (len(block) % 2))
    data[first.start : first.end] = bytes(first.end - first.start)
    data[4:8] = struct.pack(order + "I", len(data))
    return bytes(data) + ifd.layout(entries, at=len(data), order=order)
