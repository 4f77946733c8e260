"""Pictures, PNGs, TIFFs and colour profiles made in code, for the tests of decoding and encoding."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hatcli.image import ifd
from hatcli.image.codecs import png
from hatcli.image.picture import Picture, Samples

FILES = Path(__file__).parent.parent / "data" / "image"


def noise(height: int, width: int, channels: int, *, bits: int = 8, seed: int = 0) -> Samples:
    """Random samples `[height, width, channels]` over the full range."""
    values: NDArray[Any] = np.random.default_rng(seed).integers(0, 2**bits, (height, width, channels))
    return values.astype(np.uint16) if bits == 16 else values.astype(np.uint8)


def picture(
    *, bits: int = 8, gray: bool = False, alpha: bool = False, size: tuple[int, int] = (13, 17), **rest: Any
) -> Picture:
    """A picture of noise, `size` being height and width."""
    channels = 1 if gray else 3
    transparency = noise(*size, 1, bits=bits, seed=1)[..., 0] if alpha else None
    return Picture(noise(*size, channels, bits=bits), transparency, **rest)


def ramp(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """A smooth RGB picture, which lossy formats keep nearly."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - x * 255 // width], axis=2).astype(np.uint8)


def corners(height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    """Red top left, green top right, blue bottom left, white bottom right: shows every turn and mirror."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    image[height // 2 :, width // 2 :] = 255
    return image


def saved(samples: NDArray[Any] | Image.Image, format: str, **options: Any) -> bytes:
    """What Pillow writes."""
    image = samples if isinstance(samples, Image.Image) else Image.fromarray(samples)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png_file(
    rows: list[bytes], *, width: int, depth: int, color: int, chunks: list[bytes] | None = None, behind: bytes = b""
) -> bytes:
    """A PNG of rows that are packed already; `chunks` go in front of the pixels, `behind` after IEND."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [png.chunk(b"IHDR", header), *(chunks or []), png.chunk(b"IDAT", pixels), png.chunk(b"IEND", b"")]
    return png.SIGNATURE + b"".join(parts) + behind


def tiff_file(planes: list[bytes], fields: Mapping[int, tuple[int, ...]], *, order: str = "<") -> bytes:
    """An uncompressed TIFF, one strip a plane; fields are SHORT, or LONG where they are large."""
    body, offsets = b"", []
    for plane in planes:
        offsets.append(8 + len(body))
        body += plane + b"\0" * (len(plane) % 2)
    fields = {259: (1,), **fields, 273: tuple(offsets), 279: tuple(len(plane) for plane in planes)}
    entries = [
        ifd.numbers(tag, ifd.SHORT if max(values) < 65536 else ifd.LONG, *values, order=order)
        for tag, values in fields.items()
    ]
    at = 8 + len(body)
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    return start + body + ifd.layout(entries, at=at, order=order)


def profile(space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    """A version 2 ICC profile of these tags."""
    table, body = struct.pack(">I", len(tags)), b""
    at = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    illuminant = struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"none", 0x02100000, kind, space, connection)
    head += struct.pack(">6H4s4s", 2024, 1, 1, 0, 0, 0, b"acsp", b"\0\0\0\0").ljust(28, b"\0")
    head += b"\0" * (68 - len(head)) + illuminant
    return head.ljust(128, b"\0") + table + body


def _described(text: bytes) -> dict[bytes, bytes]:
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(78)
    return {
        b"desc": description,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D),
    }


def gray_profile(gamma: float = 2.2) -> bytes:
    """A gray profile."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    return profile(b"GRAY", {**_described(b"gray"), b"kTRC": curve})


def rgb_profile() -> bytes:
    """Pillow's sRGB, with the time of its making blanked."""
    from PIL import ImageCms

    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + bytes(12) + made[36:]


def cmyk_profile() -> bytes:
    """A CMYK profile that makes cyan ink red and everything else white: no formula would do that."""
    identity = bytes(range(256))
    red, white = (137, 209, 198), (255, 128, 128)  # Lab, 8 bits
    grid = b"".join(bytes(red if index & 8 else white) for index in range(16))  # cyan varies slowest
    table = (
        b"mft1\0\0\0\0"
        + struct.pack(">BBBB", 4, 3, 2, 0)
        + struct.pack(">9i", *[65536, 0, 0, 0, 65536, 0, 0, 0, 65536])
    )
    table += identity * 4 + grid + identity * 3
    tags = {**_described(b"odd ink"), b"A2B0": table, b"A2B1": table}
    return profile(b"CMYK", tags, kind=b"prtr", connection=b"Lab ")


def small_png(path: Path, *, size: tuple[int, int] = (3, 2)) -> Path:
    """A black picture of width x height, its folder made if it has to be; a PNG whatever its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path, "PNG")
    return path
