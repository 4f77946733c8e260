"""Where a HEIC's primary picture and what it is put together from lie in the file: decodes nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hatcli.image.codecs import boxes

_MOST = 1 << 16  # items or references that are looked at
_INSIDE_FILE = 0  # the construction method of items that are told by their place in the file


def is_cut_off(data: bytes) -> bool:
    """Whether bytes of the primary picture, or of a tile or picture it is made from, lie behind the file's end.

    Decoders fill the tiles that are missing with one colour and say nothing.
    """
    meta = boxes.find(data, b"meta")
    if meta is None:
        return False
    parts = meta[4:]
    try:
        needed = _needed(parts)
        ends = list(_ends(parts))
    except (struct.error, ValueError):  # a table that is damaged; the decoder says so
        return False
    return any(end > len(data) for item, end in ends if item in needed)


def _needed(meta: memoryview) -> set[int]:
    """The primary item, and those it is derived from."""
    primary = boxes.find(meta, b"pitm")
    if primary is None:
        return set()
    wide = primary[0] > 0
    needed, waiting = set[int](), [struct.unpack_from(">I" if wide else ">H", primary, 4)[0]]
    derived = dict(_derivations(meta))
    while waiting and len(needed) < _MOST:
        item = waiting.pop()
        if item not in needed:
            needed.add(item)
            waiting += derived.get(item, ())
    return needed


def _derivations(meta: memoryview) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Each derived item, and the items it is made from."""
    references = boxes.find(meta, b"iref")
    if references is None:
        return
    kind = "I" if references[0] > 0 else "H"
    size = struct.calcsize(kind)
    for box in boxes.boxes(references[4:]):
        if box.kind == b"dimg":
            item, count = struct.unpack_from(f">{kind}H", box.body)
            yield item, struct.unpack_from(f">{count}{kind}", box.body, size + 2)


def _ends(meta: memoryview) -> Iterator[tuple[int, int]]:
    """Where each part of each item ends that is told by its place in the file."""
    table = boxes.find(meta, b"iloc")
    if table is None:
        return
    version = table[0]
    offset_size, length_size = table[4] >> 4, table[4] & 15
    base_size, index_size = table[5] >> 4, (table[5] & 15 if version in (1, 2) else 0)
    item_size = 4 if version == 2 else 2
    count, at = _number(table, 6, item_size), 6 + item_size
    for _ in range(min(count, _MOST)):
        item, at = _number(table, at, item_size), at + item_size
        method = 0
        if version in (1, 2):
            method, at = _number(table, at, 2) & 15, at + 2
        at += 2  # which file: this one
        base, at = _number(table, at, base_size), at + base_size
        extents, at = _number(table, at, 2), at + 2
        for _ in range(extents):
            at += index_size
            offset, at = _number(table, at, offset_size), at + offset_size
            length, at = _number(table, at, length_size), at + length_size
            if method == _INSIDE_FILE:
                yield item, base + offset + length


def _number(table: memoryview, at: int, size: int) -> int:
    if at + size > len(table):
        raise ValueError("a table that is cut off")
    return int.from_bytes(table[at : at + size], "big")
