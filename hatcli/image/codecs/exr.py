"""OpenEXR: linear light of half or full floats in, half floats out; the colour and alpha of one part."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hatcli.errors import InputError, OutputError
from hatcli.image import color, opening, profiles, samples, tone
from hatcli.image.codecs.reader import Beside, Reader, Shape
from hatcli.image.codecs.writer import Writer
from hatcli.image.light import Light
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture

_CHROMA = ("Y", "RY", "BY")  # luminance, and red and blue as shares of it, the latter two of half the resolution
_COLORS = (("R", "G", "B"), _CHROMA, ("Y",))
_HALF_MOST = 65504.0
_SRGB_WORDS = (b"sRGB", b"s\0R\0G\0B", b"\0s\0R\0G\0B")


@dataclass(frozen=True)
class ExrReader(Reader):
    """An OpenEXR whose header has been read; `part` is the number of the one with colours, of `parts`."""

    header: dict[str, Any]
    part: int
    parts: int

    def unpack(self) -> samples.Unpacked:
        import OpenEXR

        file = OpenEXR.File(io.BytesIO(self.data), separate_channels=True)
        channels = file.parts[self.part].channels
        planes = self._planes({name: channels[name].pixels.astype(np.float32) for name in self._colors})
        alpha = channels["A"].pixels.astype(np.float32) if "A" in channels else None
        planes, notes = _finite(planes)
        if alpha is not None:
            alpha = np.nan_to_num(alpha, nan=1.0).clip(0, 1)
            if (planes[alpha == 0] > 0).any():
                notes.append("light where alpha is 0, such as a glow, does not come back in OpenEXR")
            planes = np.divide(planes, alpha[..., None], out=planes, where=alpha[..., None] > 0).clip(0, _HALF_MOST)
        light = tone.scene(float(planes.max(initial=0.0)), self._chromaticities())
        assert light.peak is not None
        deep = None if alpha is None else np.rint(alpha * 65535).astype(np.uint16)
        return samples.Unpacked(tone.encoded(planes, light.peak), deep, tuple(notes), light)

    def _planes(self, channels: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Linear light `[H, W, C]` of what was stored."""
        if self._colors != _CHROMA:
            return np.stack(list(channels.values()), axis=2)
        luminance, red, blue = (_enlarged(plane, channels["Y"].shape) for plane in channels.values())
        red, blue = (red + 1) * luminance, (blue + 1) * luminance
        shares = profiles.to_xyz(self._chromaticities() or profiles.SRGB_PRIMARIES)[1].astype(np.float32)
        green = (luminance - shares[0] * red - shares[2] * blue) / shares[1]
        return np.stack([red, green, blue], axis=2)

    @property
    def _names(self) -> set[str]:
        return {channel.name for channel in self.header["channels"]}

    @property
    def _colors(self) -> tuple[str, ...]:
        return next(names for names in _COLORS if self._names.issuperset(names))

    def _chromaticities(self) -> tuple[float, ...] | None:
        said = self.header.get("chromaticities")
        return None if said is None else tuple(float(value) for value in np.ravel(said)[:8])

    def beside(self) -> Beside:
        return Beside(icc=None, exif=None, xmp=None, dpi=None, turn=1)

    def shape(self) -> Shape:
        width, height = _size(self.header)
        return Shape(width, height, 1 if self._colors == ("Y",) else 3, 16, "A" in self._names)

    def light(self) -> Light | None:
        return tone.scene(1.0, self._chromaticities())

    def remarks(self, *, has_profile: bool) -> list[str]:
        notes = []
        if others := self._names - {*self._colors, "A"}:
            notes.append(f"{len(others)} further channel{'s' if len(others) > 1 else ''} left out")
        if self.parts > 1:
            notes.append(f"one part of {self.parts} is read, the others are left out")
        shown = np.ravel(self.header["displayWindow"]).tolist()
        if shown != np.ravel(self.header["dataWindow"]).tolist():
            notes.append("only the window that holds pixels is kept, not the frame around it")
        return notes


def opened(data: bytes, format: str, *, name: str, max_pixels: int) -> Reader:
    """The reader of an OpenEXR.

    Raises:
        InputError: it is larger than `max_pixels`, or has no channels for colour.
        Exception: it is damaged, in whatever way OpenEXR puts it.
    """
    import OpenEXR

    parts = OpenEXR.File(io.BytesIO(data), separate_channels=True, header_only=True).parts
    headers = [part.header for part in parts]
    for header in headers:
        opening.check_pixels(_size(header), name=name, max_pixels=max_pixels)
    for number, header in enumerate(headers):
        names = {channel.name for channel in header["channels"] if channel.xSampling == channel.ySampling == 1}
        is_flat = "deep" not in str(header.get("type", "")).lower()
        if is_flat and any(names.issuperset(colors) for colors in (("R", "G", "B"), ("Y",))):
            return ExrReader(data, format, header, number, len(parts))
    raise InputError(
        f"cannot read {name}: this OpenEXR has no flat picture of R, G, B or Y",
        hint="write its colours as channels R, G and B",
    )


def _enlarged(plane: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A plane with a sample for every second pixel of a row and for every second row, or for all, as one for all."""
    for axis in (0, 1):
        if plane.shape[axis] == shape[axis]:
            continue
        behind = np.concatenate([np.take(plane, range(1, plane.shape[axis]), axis), np.take(plane, [-1], axis)], axis)
        between = np.stack([plane, (plane + behind) / 2], axis + 1)
        sides = [*plane.shape]
        sides[axis] *= 2
        plane = np.take(between.reshape(sides), range(shape[axis]), axis)
    return plane


def _size(header: dict[str, Any]) -> tuple[int, int]:
    (left, top), (right, bottom) = header["dataWindow"]
    return int(right) - int(left) + 1, int(bottom) - int(top) + 1


def _finite(planes: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[str]]:
    """Linear light without what is no number and what is below zero; and how that was mended."""
    notes = []
    if not np.isfinite(planes).all():
        most = float(planes[np.isfinite(planes)].max(initial=1.0))
        planes = np.nan_to_num(planes, nan=0.0, posinf=most, neginf=0.0)
        notes.append("values that are not numbers became 0, infinite ones the highest of the others")
    if (planes < 0).any():
        notes.append("values below 0 became 0")
    if (planes > _HALF_MOST).any():
        notes.append("values above 65504, the highest of half floats, became 65504")
    return planes.clip(0, _HALF_MOST), notes


def encode(picture: Picture, options: EncodeOptions) -> tuple[bytes, list[str]]:
    """The bytes of an OpenEXR of half floats, without loss beyond theirs; sRGB pictures are made linear."""
    import OpenEXR

    light = picture.light
    if light is None:
        _check_srgb(picture)
        planes = tone.from_srgb(picture.pixels)
    else:
        planes = tone.linear(picture.pixels, light)
    header: dict[str, Any] = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    if light is not None and light.chromaticities is not None:
        header["chromaticities"] = light.chromaticities
    if picture.dpi is not None:
        header["xDensity"] = float(picture.dpi[0])
    names = ("Y",) if picture.is_gray else ("R", "G", "B")
    if picture.alpha is not None:
        share = picture.alpha.astype(np.float32) / np.iinfo(picture.alpha.dtype).max
        planes = np.concatenate([planes * share[..., None], share[..., None]], axis=2)
        names = (*names, "A")
    halves = planes.clip(0, _HALF_MOST).astype(np.float16)
    channels = {name: np.ascontiguousarray(halves[..., at]) for at, name in enumerate(names)}
    file = io.BytesIO()
    OpenEXR.File(header, channels).write(file)
    return file.getvalue(), []


def _check_srgb(picture: Picture) -> None:
    """Refuse colours that are not sRGB's, which OpenEXR would not show as such."""
    icc = picture.icc
    if icc is None or picture.is_gray or any(word in icc for word in _SRGB_WORDS):
        return
    space = color.profile_space(icc)
    raise OutputError(
        f"a picture with a colour profile of its own ({space}) is not written as OpenEXR",
        hint="write it with its profile: --format tiff",
    )


WRITER = Writer(largest_side=2**24, encode=encode, holds_depth=True, holds_alpha=True, holds_metadata=False)
