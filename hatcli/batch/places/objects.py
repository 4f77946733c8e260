"""One object of a store, or one file of a web server, as an input or as a result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

from hatcli.batch.places.address import Address
from hatcli.batch.reading import Stamp


class Holder(Protocol):
    """Where objects are."""

    base: str

    @property
    def address(self) -> Address:
        """By which another process finds it."""

    def known(self, key: str) -> Stamp | None:
        """What was last seen under a key; None if nothing was there."""

    def read(self, key: str, *, most: int) -> tuple[bytes, Stamp]:
        """All of an object.

        Raises:
            InputError: it cannot be read, or is larger than `most` bytes.
        """

    def read_head(self, key: str) -> bytes:
        """The first bytes of an object, enough for a picture's header; all of them, if it is small."""


@dataclass(frozen=True)
class Stored:
    """An object, there or to be made.

    Attributes:
        seen: what it was when it was listed.
    """

    holder: Holder = field(compare=False, repr=False)
    key: str
    seen: Stamp | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.holder.base}/{self.key}"

    @property
    def name(self) -> str:
        """Its last part."""
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        """Its ending, with the dot."""
        return PurePosixPath(self.key).suffix

    @property
    def stamp(self) -> Stamp | None:
        """What it is, as far as is known without asking; None if it is not there."""
        return self.seen if self.seen is not None else self.holder.known(self.key)


def stamp_from(size: int, modified: int, tag: str | None) -> Stamp:
    """The stamp of an object: its tag, which its store changes with its content, stands for the content's digest."""
    return Stamp(size, modified, f"tag:{tag}" if tag else f"time:{modified}")
