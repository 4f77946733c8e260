"""Files to pictures, with the stamp of the very bytes that were decoded and all frames where they are wanted."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from hatcli.errors import HatError, InputError
from hatcli.image import animation, decode, pages
from hatcli.image.animation import Animation
from hatcli.image.options import DecodeOptions
from hatcli.image.picture import Picture


@dataclass(frozen=True)
class Stamp:
    """What a file was at one time: bytes, nanoseconds of its last change, SHA-256 of its content."""

    size: int
    modified: int
    sha256: str


@dataclass(frozen=True)
class Original:
    """What a result is made from: a picture, the stamp of its file, and all frames, or pages, if there are several."""

    picture: Picture
    stamp: Stamp
    animation: Animation | None = None
    pages: tuple[Picture, ...] | None = None

    @property
    def bytes(self) -> int:
        """What the samples take in memory."""
        several = () if self.animation is None else self.animation.frames
        return sum(picture_bytes(picture) for picture in (self.picture, *several, *(self.pages or ())[1:]))


def picture_bytes(picture: Picture) -> int:
    """What a picture's samples take in memory."""
    return picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)


def read(path: Path, *, max_pixels: int, all_frames: bool = False, options: DecodeOptions | None = None) -> Original:
    """The picture in a file.

    Raises:
        InputError: it cannot be read. Nothing else is raised, whatever a damaged file makes of a decoder.
    """
    try:
        modified = os.stat(path).st_mtime_ns  # noqa: PTH116  (before the bytes: a later change shows as a change)
    except OSError:
        modified = 0  # reading says what is wrong
    data = decode.read_bytes(path, max_pixels=max_pixels)
    return from_bytes(
        data, name=str(path), modified=modified, max_pixels=max_pixels, all_frames=all_frames, options=options
    )


def from_bytes(
    data: bytes,
    *,
    name: str,
    modified: int = 0,
    max_pixels: int,
    all_frames: bool = False,
    options: DecodeOptions | None = None,
) -> Original:
    """The same for bytes that are there already. Where a later frame is damaged, the first one stands for all.

    Raises:
        InputError: there is no picture in them.
    """
    try:
        options = options or DecodeOptions()
        picture = decode.decode(data, name=name, max_pixels=max_pixels, options=options)
        frames = None
        if all_frames:
            try:
                frames = animation.read(data, picture, name=name, max_pixels=max_pixels)
            except InputError as error:
                reason = error.message.rpartition(": ")[2]
                picture = replace(picture, notes=(*picture.notes, f"only the first frame can be had: {reason}"))
        several = pages.read(data, picture, name=name, max_pixels=max_pixels, options=options)
    except HatError:
        raise
    except Exception as error:  # a damaged file no check foresaw: it must not end a run over a hundred thousand
        raise odd_failure(name, error) from error
    return Original(picture if several is None else several[0], stamp_of(data, modified=modified), frames, several)


def odd_failure(name: str, error: Exception) -> InputError:
    """What to say of a picture that made a decoder fail as none should."""
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return InputError(f"cannot read {name}: its decoder failed with {reason}", hint="the file is damaged or odd")


def stamp_of(data: bytes, *, modified: int) -> Stamp:
    """The stamp of a file with this content."""
    return Stamp(len(data), modified, hashlib.sha256(data).hexdigest())
