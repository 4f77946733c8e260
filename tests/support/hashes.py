"""Prints a line for every file of a folder: what it is decoded to and what its pixels are encoded to, as hashes.

Run before and after a change that must not change any output, and compare: `python tests/support/hashes.py FOLDER`.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

from hatcli.errors import HatError
from hatcli.image import animation, decode, encode, formats
from hatcli.image.animation import Animation
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

LARGEST_ENCODED = 400_000  # pixels
OPTIONS = (EncodeOptions(), EncodeOptions(compression=6, strip_metadata=True, dpi=200.0))


def short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def of_picture(picture: Picture) -> str:
    """Samples and everything that travels with them."""
    alpha = b"" if picture.alpha is None else picture.alpha.tobytes()
    beside = repr((picture.icc, picture.exif, picture.xmp, picture.dpi, picture.format)).encode()
    shape = f"{picture.pixels.shape}{picture.pixels.dtype}"
    return f"{shape} {short(picture.pixels.tobytes())} {short(alpha)} {short(beside)} {picture.notes}"


def of_animation(moving: Animation) -> str:
    frames = short("".join(of_picture(frame) for frame in moving.frames).encode())
    return f"{len(moving.frames)} frames {moving.durations} x{moving.loops} {frames} still={moving.still is not None}"


def encoded(picture: Picture, moving: Animation | None, format: str, options: EncodeOptions) -> str:
    try:
        line = short(encode.encode(picture, format=format, options=options))
        if moving is not None and format in animation.FORMATS:
            file = io.BytesIO()
            frames = iter((*(() if moving.still is None else (moving.still,)), *moving.frames))
            notes = animation.write_into(file, frames, moving, format=format, options=options)
            content = b"" if format == "AVIF" else file.getvalue()  # those hold the time of their making
            line += f"+{short(content)} {notes}"
    except HatError as error:
        return error.message
    return line


def lines(path: Path) -> list[str]:
    """What becomes of one file."""
    try:
        made = [f"probe {decode.probe(path)}"]
    except HatError as error:
        made = [f"probe {error.message} / {error.hint}"]
    try:
        data = decode.read_bytes(path, max_pixels=decode.DEFAULT_MAX_PIXELS)
        picture = decode.decode(data, name=str(path))
    except HatError as error:
        return [*made, f"{error.message} / {error.hint}"]
    made.append(of_picture(picture))
    moving = None
    try:
        moving = animation.read(data, picture, name=str(path), max_pixels=decode.DEFAULT_MAX_PIXELS)
        made += [] if moving is None else [of_animation(moving)]
    except HatError as error:
        made.append(error.message)
    if picture.width * picture.height <= LARGEST_ENCODED:
        for format in formats.WRITABLE:
            made += [f"{format} {encoded(picture, moving, format, options)}" for options in OPTIONS]
    return made


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for line in lines(path):
            sys.stdout.write(f"{path.relative_to(folder)}: {line}\n")
