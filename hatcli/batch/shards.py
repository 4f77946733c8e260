"""A part of the pictures, chosen by their names alone: whoever works on it needs to hear of nobody else."""

from __future__ import annotations

import hashlib
import math
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePath

from hatcli.errors import UsageError

MOST = 1_000_000  # parts


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, counted from 1; 1 of 1 is everything."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether it is everything."""
        return self.count == 1

    def holds(self, relative: PurePath | str) -> bool:
        """Whether the picture of this name, below the folder it was found in, belongs to the part."""
        return place_of(relative) % self.count == self.number - 1

    def split(self, parts: int) -> list[Shard]:
        """The part in so many parts, which are parts of everything like any other."""
        return [Shard(self.number + self.count * part, self.count * parts) for part in range(parts)]

    def overlaps(self, other: Shard) -> bool:
        """Whether some name belongs to both parts."""
        return (self.number - other.number) % math.gcd(self.count, other.count) == 0


WHOLE = Shard()


def parse(text: str) -> Shard:
    """`3/16` to a part.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.number <= shard.count <= MOST:
        raise UsageError(
            f"--shard {text} is no part of the pictures", hint="write part 3 of 16 as --shard 3/16; parts count from 1"
        )
    return shard


def place_of(relative: PurePath | str) -> int:
    """The number whose remainder chooses the part.

    The first eight bytes, big-endian, of the SHA-256 of the relative name in UTF-8 with `/` between folders, letters
    composed (NFC): the same on every system, in every version, whatever other pictures there are.
    """
    name = unicodedata.normalize("NFC", relative if isinstance(relative, str) else relative.as_posix())
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")
