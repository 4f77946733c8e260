"""Files damaged at random: bits, bytes, pieces left out and put in, ends cut off."""

from __future__ import annotations

import random


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with one to sixteen such damages."""
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        place = chance.randrange(len(out))
        match chance.randrange(5):
            case 0:
                out[place] ^= 1 << chance.randrange(8)
            case 1:
                out[place] = chance.randrange(256)
            case 2:
                del out[place : place + chance.randrange(1, 20)]
            case 3:
                out[place:place] = chance.randbytes(chance.randrange(1, 20))
            case _:
                del out[max(1, place) :]
        if not out:
            return b"\0"
    return bytes(out)
