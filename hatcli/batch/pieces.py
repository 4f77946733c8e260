"""What of a picture is to be made where several make it together: parts, by whoever is free, and then one file of them.

Parts wait as files of bare samples beside the result to come, under temporary names that any clean-up knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from hatcli.upscaling.parts import Part


@dataclass(frozen=True)
class Divisible:
    """All of it; or nothing but a word on the parts that it can be made in, at most so many."""

    most: int


@dataclass(frozen=True)
class Joint:
    """All of it, from parts that are made.

    Attributes:
        names: of the files of its parts, from the top to the bottom, in the folder of the result.
        origin: the SHA-256 of the input that they were made from.
    """

    names: tuple[str, ...]
    origin: str


Piece = Divisible | Part | Joint
