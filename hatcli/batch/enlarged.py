"""Results on their way to a file: a whole picture, or rows, frames or pages that come as they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hatcli.batch.bounded_queue import BoundedQueue
from hatcli.batch.plan import Job
from hatcli.batch.reading import Stamp, picture_bytes
from hatcli.image.animation import Animation
from hatcli.image.picture import Picture, Samples


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from and belongs.

    Attributes:
        container: the encoder's name.
        origin: the stamp of the input's bytes.
        made_by: the model and what decided for it, for the journal.
    """

    job: Job
    container: str
    origin: Stamp
    made_by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WholePicture:
    """A result that is there."""

    provenance: Provenance
    picture: Picture

    @property
    def waiting_bytes(self) -> int:
        """What it takes in memory until it is written."""
        return picture_bytes(self.picture)

    def stop(self) -> None:
        """Nothing more comes anyway."""


@dataclass(frozen=True)
class PictureRows:
    """A result whose rows come one by one, alpha as the last channel if it `has_alpha`.

    Attributes:
        like: the picture it is made from, which tells depth, profile and metadata.
        width, height: of the result, in pixels.
        is_part: whether they are a part of a result, which becomes a file of bare samples.
    """

    provenance: Provenance
    like: Picture
    width: int
    height: int
    has_alpha: bool
    rows: BoundedQueue[Samples]
    is_part: bool = False
    waiting_bytes: int = 0

    def stop(self) -> None:
        """No more rows are taken."""
        self.rows.stop()


@dataclass(frozen=True)
class PictureFrames:
    """An animation whose frames come one by one; `like` is what they are enlarged from."""

    provenance: Provenance
    like: Animation
    frames: BoundedQueue[Picture]
    waiting_bytes: int = 0

    def stop(self) -> None:
        """No more frames are taken."""
        self.frames.stop()


@dataclass(frozen=True)
class PicturePages:
    """`count` pages of one file that come one by one."""

    provenance: Provenance
    count: int
    pages: BoundedQueue[Picture]
    waiting_bytes: int = 0

    def stop(self) -> None:
        """No more pages are taken."""
        self.pages.stop()


Enlarged = WholePicture | PictureRows | PictureFrames | PicturePages
