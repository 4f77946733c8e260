"""Binary PGM and PPM of more than 8 bits a sample, which are read here; Pillow reads the other kinds of PNM."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hatcli.image import samples
from hatcli.image.codecs.reader import Beside, PillowReader, Reader, Shape, opened_by_pillow
from hatcli.image.formats import DamageError

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"(P[56])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")


class DeepPnmReader(PillowReader):
    """A binary PNM of more than 8 bits a sample."""

    def unpack(self) -> samples.Unpacked:
        return samples.from_array(_samples(self.data))

    def beside(self) -> Beside:
        return replace(super().beside(), turn=1)

    def shape(self) -> Shape:
        return replace(super().shape(), bits=16)


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of a PNM."""
    reader = opened_by_pillow(data, format, name=name, max_pixels=max_pixels)
    return reader if _header(data) is None else DeepPnmReader(data, format, reader.image)


def _samples(data: bytes) -> NDArray[np.uint16]:
    """The samples `[H, W, 1 or 3]`, white at 65535."""
    match = _header(data)
    if match is None:
        raise DamageError("its header is damaged")
    width, height, channels = int(match[2]), int(match[3]), 1 if match[1] == b"P5" else 3
    if len(data) - match.end() < width * height * channels * 2:
        raise DamageError("the file is cut off")
    values = np.frombuffer(data, ">u2", count=width * height * channels, offset=match.end())
    return samples.widened(values.astype(np.uint16).reshape(height, width, channels), peak=int(match[4]))


def _header(data: bytes) -> re.Match[bytes] | None:
    match = _HEADER.match(data[:4096])
    return match if match is not None and 255 < int(match[4]) < 65536 else None
