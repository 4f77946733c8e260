"""Directories of camera raw files that resemble TIFFs: told from ordinary ones, and whether all samples are there."""

from __future__ import annotations

import numpy as np

from hatcli.image import ifd

_MAKE, _SUB_DIRECTORIES, _NEW_SUBFILE_TYPE, _REDUCED, _DNG_VERSION = 0x010F, 330, 254, 1, 50706
_COMPRESSION, _PHOTOMETRIC = 259, 262
_RAW_COMPRESSIONS = {32767, 32769, 34713, 65535, 34892}  # Sony, Epson and others, Nikon, Pentax, DNG's lossy JPEG
_RAW_PHOTOMETRICS = {32803, 34892}  # a mosaic of colours, and linear raw
_CR2_MARK = b"CR\x02\0"
_PHASE_ONE_MARKS = (b"IIII", b"waR"), (b"MMMM", b"Raw")  # at 8, and between 12 and 16
_ODD_TIFFS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # TIFFs but for their mark: Olympus, Panasonic
_TIFF_MAGIC = {b"II": b"*\0", b"MM": b"\0*"}
_MOST_DIRECTORIES = 16
_PARTS = ((273, 279), (324, 325), (0x0118, 279))  # where strips, tiles and Panasonic's samples are, and their lengths
_KINDS = {ifd.SHORT: "u2", ifd.LONG: "u4", 13: "u4", ifd.LONG8: "u8"}
_NOWHERE = 0xFFFFFFFF  # what Panasonic says of its strips
_SLACK = 4096  # bytes that may be missing: cameras round their lengths up


def is_raw(data: bytes) -> bool:
    """Whether what begins like a TIFF is a camera raw file."""
    if data[8:12] == _CR2_MARK or any(data[8:12] == mark and word in data[12:16] for mark, word in _PHASE_ONE_MARKS):
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


def as_tiff(data: bytes) -> bytes:
    """The file with a TIFF's own mark, where it is a TIFF but for its mark."""
    return data[:2] + _TIFF_MAGIC[data[:2]] + data[4:] if data[:4] in _ODD_TIFFS else data


def is_cut_off(data: bytes) -> bool:
    """Whether a directory says that samples lie behind the file's end; LibRaw leaves such ones black."""
    try:
        data = as_tiff(data)
        head = ifd.header(data)
        first = ifd.read(data, head.first, order=head.order, big=head.big)
    except ValueError:  # not such a file
        return False
    slack = 0 if _DNG_VERSION in first.entries else _SLACK
    ends = [_end(directory, *tags, head) for directory in _directories(data, first, head) for tags in _PARTS]
    return max(ends) > len(data) + slack


def _end(directory: ifd.Directory, places: int, lengths: int, head: ifd.Header) -> int:
    """Where the last strip or tile ends; 0 if there is none."""
    starts, sizes = (_numbers(directory.entries.get(tag), head) for tag in (places, lengths))
    if not starts or len(starts) != len(sizes):
        return 0
    return max(start + size if start < _NOWHERE else 0 for start, size in zip(starts, sizes, strict=True))


def _numbers(entry: ifd.Entry | None, head: ifd.Header) -> list[int]:
    if entry is None or entry.kind not in _KINDS:
        return []
    return [int(number) for number in np.frombuffer(entry.value, head.order + _KINDS[entry.kind])]
