"""GIFs made in code, block by block: partial frames, tables of their own, every disposal, transparency, interlacing."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_PASSES = ((0, 8), (4, 8), (2, 4), (1, 2))  # first row and step of interlaced rows


def coded(indices: NDArray[np.integer], *, bits: int) -> bytes:
    """Indices as GIF's sub-blocks, every code of the same length: the table is cleared before it grows."""
    out, held, length = bytearray(), 0, 0
    clear = 1 << bits
    codes: list[int] = []
    for number, index in enumerate(indices.ravel().tolist()):
        codes += [clear, index] if number % (clear - 2) == 0 else [index]
    for code in [*codes, clear + 1]:
        held |= code << length
        length += bits + 1
        while length >= 8:
            out.append(held & 255)
            held >>= 8
            length -= 8
    out.append(held & 255)
    chain = b"".join(bytes([len(out[at : at + 255])]) + out[at : at + 255] for at in range(0, len(out), 255))
    return bytes([bits]) + chain + b"\0"


def random_gif(seed: int) -> tuple[bytes, int, int, list[int]]:
    """A GIF, its width and height, and the hundredths of a second that its frames say."""
    random = np.random.default_rng(seed)
    width, height = (int(side) for side in random.integers(6, 20, 2))
    bits = int(random.integers(1, 5))
    has_table = random.random() < 0.85
    background = int(random.integers(0, 1 << bits)) if has_table else 0
    data = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80 | bits - 1 if has_table else 0, background, 0)
    data += _table(random, bits) if has_table else b""
    delays = []
    for number in range(int(random.integers(2, 7))):
        size = width, height
        if number or random.random() < 0.3:
            size = int(random.integers(1, width + 1)), int(random.integers(1, height + 1))
        delays.append(int(random.choice([0, 1, 2, 7, 10, 65535])))
        place = int(random.integers(0, width - size[0] + 1)), int(random.integers(0, height - size[1] + 1))
        data += _frame(random, place, size, shared_bits=bits if has_table else 0, delay=delays[-1])
    return data + b";", width, height, delays


def _table(random: np.random.Generator, bits: int) -> bytes:
    return random.integers(0, 256, 3 << bits, dtype=np.uint8).tobytes()


def _frame(
    random: np.random.Generator, place: tuple[int, int], size: tuple[int, int], *, shared_bits: int, delay: int
) -> bytes:
    has_own = not shared_bits or random.random() < 0.4
    bits = int(random.integers(1, 5)) if has_own else shared_bits
    disposal, is_interlaced = int(random.integers(0, 4)), random.random() < 0.3
    flags = disposal << 2 | int(random.random() < 0.5)
    control = b"\x21\xf9\x04" + struct.pack("<BHB", flags, delay, int(random.integers(0, 1 << bits))) + b"\0"
    comment = b"\x21\xfe\x03abc\0" if random.random() < 0.1 else b""
    indices = random.integers(0, 1 << bits, size[::-1])
    if is_interlaced:
        indices = np.concatenate([indices[first::step] for first, step in _PASSES])
    kind = (0x80 | bits - 1 if has_own else 0) | (0x40 if is_interlaced else 0)
    table = _table(random, bits) if has_own else b""
    return (
        control
        + comment
        + b","
        + struct.pack("<HHHHB", *place, *size, kind)
        + table
        + coded(indices, bits=max(2, bits))
    )
