"""Photoshop files made in code: a flattened picture, uncompressed, with resources; or none."""

from __future__ import annotations

import struct

import numpy as np

from hatcli.image.picture import Samples


def psd(
    samples: Samples,
    *,
    resources: dict[int, bytes] | None = None,
    has_composite: bool = True,
    mode: int | None = None,
    large: bool = False,
    mark: bytes = b"8BIM",
) -> bytes:
    """A file of samples `[H, W, C]`, C of 1 (gray), 3 (RGB) or 4 (RGB and alpha), 8 or 16 bits.

    Args:
        mode: Photoshop's number for other colours, with as many channels as it needs.
        large: a PSB.
        mark: of whose program the resources are.
    """
    height, width, channels = samples.shape
    depth = samples.dtype.itemsize * 8
    mode = mode if mode is not None else 1 if channels == 1 else 3
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1 + large, channels, height, width, depth, mode)
    version = struct.pack(">IBIII", 1, has_composite, 0, 0, 1)
    noted = {**(resources or {}), 1057: version}
    body = b"".join(
        mark + struct.pack(">H2xI", number, len(content)) + content + b"\0" * (len(content) % 2)
        for number, content in noted.items()
    )
    section = struct.pack(">Q" if large else ">I", 0)  # no layers
    planes = np.moveaxis(samples, 2, 0).astype(f">u{depth // 8}").tobytes()
    return header + struct.pack(">I", 0) + struct.pack(">I", len(body)) + body + section + struct.pack(">H", 0) + planes
