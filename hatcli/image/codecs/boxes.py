"""Boxes of ISO media files (HEIC, AVIF, JPEG XL, Canon's CR3): found in bytes, and made."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MOST = 4096  # boxes of one level that are looked at


@dataclass(frozen=True)
class Box:
    """One box: its kind, where it begins, and its body."""

    kind: bytes
    start: int
    body: memoryview


def boxes(data: bytes | memoryview) -> Iterator[Box]:
    """The boxes of one level, up to the first that does not lie inside the data."""
    view, at = memoryview(data), 0
    for _ in range(_MOST):
        if at + 8 > len(view):
            return
        length, kind = struct.unpack_from(">I4s", view, at)
        head = 8
        if length == 1 and at + 16 <= len(view):
            length, head = struct.unpack_from(">Q", view, at + 8)[0], 16
        end = len(view) if length == 0 else at + length
        if end < at + head or end > len(view):
            return
        yield Box(kind, at, view[at + head : end])
        at = end


def find(data: bytes | memoryview, *path: bytes) -> memoryview | None:
    """The body of the first box at the end of a path of kinds, or None."""
    for box in boxes(data):
        if box.kind == path[0]:
            return box.body if len(path) == 1 else find(box.body, *path[1:])
    return None


def box(kind: bytes, body: bytes) -> bytes:
    """A whole box."""
    return struct.pack(">I", len(body) + 8) + kind + body
