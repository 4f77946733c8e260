"""Binary PGM and PPM of more than 8 bits a sample, PAM and PFM in colour are read here; Pillow reads other PNMs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hatcli.image import opening, samples
from hatcli.image.codecs.reader import Beside, PillowReader, Reader, Shape, opened_by_pillow
from hatcli.image.formats import DamageError

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"(P[56])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")
_PAM = re.compile(rb"P7\s*\n(.*?)^ENDHDR[ \t]*\n", re.DOTALL | re.MULTILINE)
_PAM_FIELD = re.compile(rb"^\s*(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})\s*$", re.MULTILINE)
_FLOATS = re.compile(rb"PF\s+(\d{1,9})\s+(\d{1,9})\s+([-+0-9.eE]+)\s")
_HEAD = 4096  # bytes that a header may take


class DeepPnmReader(PillowReader):
    """A binary PNM of more than 8 bits a sample."""

    def unpack(self) -> samples.Unpacked:
        return samples.from_array(_samples(self.data))

    def beside(self) -> Beside:
        return replace(super().beside(), turn=1)

    def shape(self) -> Shape:
        return replace(super().shape(), bits=16)


@dataclass(frozen=True)
class BarePnmReader(Reader):
    """A PAM, or a PFM in colour.

    Attributes:
        start: where the samples begin.
        peak: the highest sample; None for floating point.
        kind: of a sample, as NumPy calls it.
    """

    width: int
    height: int
    channels: int
    start: int
    peak: int | None
    kind: str

    def unpack(self) -> samples.Unpacked:
        values: NDArray[Any] = np.frombuffer(self.data, self.kind, self._count(), self.start)
        values = values.reshape(self.height, self.width, self.channels)
        if self.peak is None:  # rows from the bottom to the top
            pixels, notes = samples.sixteen_bits(values[::-1].astype(np.float32))
            return samples.Unpacked(np.ascontiguousarray(pixels), None, notes)
        if self.peak < 256:
            return samples.from_array(samples.rescaled(values.astype(np.uint8), peak=self.peak))
        return samples.from_array(samples.widened(values.astype(np.uint16), peak=self.peak))

    def _count(self) -> int:
        count = self.width * self.height * self.channels
        if len(self.data) - self.start < count * np.dtype(self.kind).itemsize:
            raise DamageError("the file is cut off")
        return count

    def beside(self) -> Beside:
        return Beside(None, None, None, None, 1)

    def shape(self) -> Shape:
        bits = 8 if self.peak is not None and self.peak < 256 else 16
        return Shape(self.width, self.height, 1 if self.channels < 3 else 3, bits, self.channels in (2, 4))


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of a PNM.

    Raises:
        DamageError: its header cannot be understood.
        InputError: it is larger than `max_pixels`.
    """
    if data[:2] in (b"P7", b"PF"):
        reader = _pam(data, format) if data[:2] == b"P7" else _floats(data, format)
        opening.check_pixels((reader.width, reader.height), name=name, max_pixels=max_pixels)
        return reader
    return _opened_by_pillow(data, format, name=name, max_pixels=max_pixels)


def _pam(data: bytes, format: str) -> BarePnmReader:
    match = _PAM.match(data[:_HEAD])
    said = {} if match is None else {key: int(number) for key, number in _PAM_FIELD.findall(match[1])}
    if match is None or len(said) < 4 or min(said.values()) < 1 or said[b"MAXVAL"] > 65535:
        raise DamageError("its header is damaged")
    if said[b"DEPTH"] > 4 or b"CMYK" in match[1]:
        raise NotImplementedError("PAM of other than gray and RGB")
    peak = said[b"MAXVAL"]
    kind = "u1" if peak < 256 else ">u2"
    return BarePnmReader(data, format, said[b"WIDTH"], said[b"HEIGHT"], said[b"DEPTH"], match.end(), peak, kind)


def _floats(data: bytes, format: str) -> BarePnmReader:
    match = _FLOATS.match(data[:_HEAD])
    if match is None or not int(match[1]) or not int(match[2]):
        raise DamageError("its header is damaged")
    kind = "<f4" if match[3].startswith(b"-") else ">f4"
    return BarePnmReader(data, format, int(match[1]), int(match[2]), 3, match.end(), None, kind)


def _opened_by_pillow(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
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
    match = _HEADER.match(data[:_HEAD])
    return match if match is not None and 255 < int(match[4]) < 65536 else None
