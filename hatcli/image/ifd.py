"""TIFF directories: read from bytes, laid out as bytes again; knows nothing of what a tag means."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
LONG8 = 16
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {BYTE: "B", SHORT: "H", LONG: "I", 13: "I", LONG8: "Q", 18: "Q"}
_MOST_ENTRIES = 4096


@dataclass(frozen=True)
class Entry:
    """One field: `value` is in the file's byte order; `position` is where the entry lies and `at` where its value."""

    tag: int
    kind: int
    count: int
    value: bytes
    position: int = 0
    at: int = 0

    def integer(self, order: str) -> int:
        """The first number of an integer field; ValueError for another kind of field."""
        if self.kind not in _INTEGERS or not self.value:
            raise ValueError("not an integer field")
        return int(struct.unpack_from(order + _INTEGERS[self.kind], self.value)[0])

    def rational(self, order: str) -> float:
        """The first number of an unsigned rational field; ValueError for another kind of field, or n/0."""
        if self.kind != RATIONAL or len(self.value) < 8:
            raise ValueError("not a rational field")
        numerator, denominator = struct.unpack_from(order + "II", self.value)
        if denominator == 0:
            raise ValueError("a division by zero")
        return float(numerator / denominator)


@dataclass(frozen=True)
class Directory:
    """The fields of one directory by tag, where it begins and ends, and where the next one is said to be."""

    entries: dict[int, Entry]
    start: int
    end: int
    following: int


@dataclass(frozen=True)
class Header:
    """`order` is `<` or `>` as in struct; `big` tells a BigTIFF."""

    order: str
    big: bool
    first: int


def header(data: bytes) -> Header:
    """The header of a TIFF-structured block; ValueError if it is none."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 8:
        raise ValueError("no TIFF header")
    magic = struct.unpack_from(order + "H", data, 2)[0]
    if magic == 42:
        return Header(order, False, struct.unpack_from(order + "I", data, 4)[0])
    if magic == 43 and len(data) >= 16:
        return Header(order, True, struct.unpack_from(order + "Q", data, 8)[0])
    raise ValueError("no TIFF header")


def read(data: bytes, offset: int, *, order: str, big: bool = False) -> Directory:
    """The directory at `offset`. Fields whose value lies outside the data are left out.

    Raises:
        ValueError: the directory itself does not lie inside the data.
    """
    count_format, entry_size, word, pointer = ("Q", 20, 8, "Q") if big else ("H", 12, 4, "I")
    start = offset + struct.calcsize(order + count_format)
    if offset < 8 or start > len(data):
        raise ValueError("a directory outside the data")
    count = struct.unpack_from(order + count_format, data, offset)[0]
    end = start + count * entry_size
    if count > _MOST_ENTRIES or end > len(data):
        raise ValueError("a directory that is cut off")
    entries: dict[int, Entry] = {}
    taken = 0
    for position in range(start, end, entry_size):
        tag, kind, amount = struct.unpack_from(order + "HH" + pointer, data, position)
        size = SIZES.get(kind, 0) * amount
        at = position + entry_size - word
        if size > word:
            at = struct.unpack_from(order + pointer, data, at)[0]
        if 0 < size <= len(data) - at and tag not in entries:
            taken += size
            if taken > len(data):  # values that overlap could make a small file fill the memory
                raise ValueError("values that overlap")
            entries[tag] = Entry(tag, kind, amount, bytes(data[at : at + size]), position, at)
    whole = end + word <= len(data)
    following = struct.unpack_from(order + pointer, data, end)[0] if whole else 0
    return Directory(entries, offset, end + word if whole else end, following)


def places(data: bytes, *, most: int) -> list[int]:
    """Where the directories of a TIFF lie, told by the way from one to the next, followed no further than `most`.

    Raises:
        ValueError: the way leads out of the data.
    """
    head = header(data)
    word, entry_size, number, pointer = (8, 20, "Q", "Q") if head.big else (2, 12, "H", "I")
    seen: dict[int, None] = {}
    at = head.first
    while at and at not in seen and len(seen) < most:
        if at + word > len(data):
            raise ValueError("a directory outside the data")
        seen[at] = None
        end = at + word + struct.unpack_from(head.order + number, data, at)[0] * entry_size
        if end + struct.calcsize(head.order + pointer) > len(data):
            raise ValueError("a directory that is cut off")
        at = struct.unpack_from(head.order + pointer, data, end)[0]
    return list(seen)


def layout(entries: Iterable[Entry], *, at: int, order: str, big: bool = False) -> bytes:
    """A directory that will lie at the even offset `at`, its longer values right behind it, no directory following."""
    count_format, entry_size, word, pointer = ("Q", 20, 8, "Q") if big else ("H", 12, 4, "I")
    ordered = sorted(entries, key=lambda entry: entry.tag)  # readers may rely on ascending tags
    table = struct.pack(order + count_format, len(ordered))
    values = b""
    values_at = at + len(table) + len(ordered) * entry_size + word
    for entry in ordered:
        table += struct.pack(order + "HH" + pointer, entry.tag, entry.kind, entry.count)
        if len(entry.value) <= word:
            table += entry.value.ljust(word, b"\0")
        else:
            table += struct.pack(order + pointer, values_at + len(values))
            values += entry.value + b"\0" * (len(entry.value) % 2)
    return table + b"\0" * word + values


def numbers(tag: int, kind: int, *values: int, order: str) -> Entry:
    """An integer field, ready for `layout`."""
    return Entry(tag, kind, len(values), struct.pack(f"{order}{len(values)}{_INTEGERS[kind]}", *values))


def rational(tag: int, value: float, *, order: str) -> Entry:
    """A field of one unsigned rational number, to four decimals, ready for `layout`."""
    if value == int(value):
        return Entry(tag, RATIONAL, 1, struct.pack(order + "II", int(value), 1))
    return Entry(tag, RATIONAL, 1, struct.pack(order + "II", round(value * 10000), 10000))


def shortened(entry: Entry, order: str) -> Entry:
    """A field of a BigTIFF as a TIFF knows it: numbers of 64 bits become 32 bits long; struct.error if they do not."""
    if entry.kind not in (LONG8, 18):
        return entry
    values = struct.unpack(f"{order}{entry.count}Q", entry.value)
    return numbers(entry.tag, LONG, *values, order=order)


def reordered(entry: Entry, order: str, wanted: str) -> Entry:
    """The same field with its value in another byte order."""
    unit = {5: 4, 10: 4}.get(entry.kind, SIZES[entry.kind])  # a rational is two numbers
    if unit == 1 or order == wanted:
        return entry
    parts = [entry.value[at : at + unit][::-1] for at in range(0, len(entry.value), unit)]
    return Entry(entry.tag, entry.kind, entry.count, b"".join(parts))
