"""Which encoder writes a film and how: chosen once, tried before any work, opened anew for each segment."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hatcli.errors import UsageError
from hatcli.upscaling.size import SizePlan
from hatcli.video.colors import FULL, LIMITED, UNKNOWN, Colors, has_alpha, is_rgb
from hatcli.video.film import Film
from hatcli.video.opening import library
from hatcli.video.options import FilmOptions

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

CODECS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "ffv1": "ffv1", "prores": "prores_ks"}
_HARDWARE = ("nvenc", "qsv", "vaapi", "videotoolbox", "amf")
_CRF = {"libx264": 16, "libx265": 18, "libsvtav1": 24}  # nearly transparent
_MOST_CRF = {"libx264": 51, "libx265": 51}  # of the others, 63
_THREADS = 4  # the same everywhere: what an encoder writes can depend on their number
_GLOBAL_HEADER, _BITEXACT = 1 << 22, 1 << 23
_X265_FORMATS = tuple(f"{kind}{depth}" for depth in ("", "10le", "12le") for kind in ("yuv420p", "yuv422p", "yuv444p"))
_RGB, _BT709 = 0, 1  # matrices of ITU-T H.273
_WITH_ALPHA = {"ffv1": ("bgra", "gbrap16le"), "prores_ks": ("yuva444p10le", "yuva444p10le")}  # of 8 bits, of more
_TRIED = 256  # pixels of the side of what a card's encoder is tried with
_QUIET_SVT = "SVT_LOG"


@dataclass(frozen=True)
class Encoding:
    """How a film is written.

    Attributes:
        encoder: libav's name.
        width, height: of the frames.
        aspect: of a pixel, so that the film keeps its shape on the screen; None if the source says nothing.
        notes: what is lost, a sentence each.
        is_deep: whether its frames come with 16 bits a sample.
    """

    encoder: str
    pixel_format: str
    options: tuple[tuple[str, str], ...]
    width: int
    height: int
    aspect: Fraction | None
    film: Film
    notes: tuple[str, ...] = ()
    is_deep: bool = False

    @property
    def has_alpha(self) -> bool:
        """Whether the film's transparency is written."""
        return self.film.alpha and has_alpha(self.pixel_format)

    @property
    def colors(self) -> Colors:
        """What is said of the colours: as the film does, unless it or what is written is RGB."""
        said = self.film.colors
        if is_rgb(self.pixel_format):
            return replace(said, matrix=_RGB, range=FULL)
        if is_rgb(self.film.pixel_format):
            return replace(said, matrix=said.matrix if said.matrix not in (_RGB, UNKNOWN) else _BT709, range=LIMITED)
        return said

    def set_up(self, context: VideoCodecContext) -> None:
        """Everything but opening it."""
        film = self.film
        context.width, context.height, context.pix_fmt = self.width, self.height, self.pixel_format
        context.time_base, context.framerate = film.time_base, film.rate
        colors = self.colors
        context.color_primaries, context.color_trc = colors.primaries, colors.transfer
        context.colorspace, context.color_range = colors.matrix, colors.range
        context.sample_aspect_ratio = self.aspect or Fraction(0, 1)
        context.options = dict(self.options)
        context.thread_count = _THREADS
        context.flags |= _GLOBAL_HEADER | _BITEXACT

    def opened(self) -> VideoCodecContext:
        """An encoder that is ready.

        Raises:
            UsageError: it does not take these frames, or cannot run here.
        """
        av = library()
        os.environ.setdefault(_QUIET_SVT, "1")  # SVT-AV1 talks on stderr unless told not to, and has no option for it
        context: VideoCodecContext = av.CodecContext.create(self.encoder, "w")
        self.set_up(context)
        try:
            context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise UsageError(
                f"{self.encoder} cannot write {self.width} x {self.height} in {self.pixel_format} on this machine",
                hint=f"choose another --codec: {', '.join([*CODECS, *hardware()])}",
            ) from error
        return context


def hardware() -> list[str]:
    """Encoders of graphics cards that PyAV knows; whether they run here is tried when one is chosen."""
    available = library().codec.codecs_available
    families = tuple(f"{codec}_{kind}" for codec in ("h264", "hevc", "av1") for kind in _HARDWARE)
    return [name for name in families if name in available]


def runs(encoder: str) -> bool:
    """Whether an encoder of a graphics card works on this machine: it is opened."""
    av = library()
    try:
        context: Any = av.CodecContext.create(encoder, "w")
        context.width, context.height, context.time_base = _TRIED, _TRIED, Fraction(1, 25)
        context.framerate, context.pix_fmt = Fraction(25), context.codec.video_formats[0].name
        context.open()
    except (av.error.FFmpegError, ValueError, RuntimeError, TypeError):
        return False
    return True


def choose(film: Film, size: SizePlan, options: FilmOptions, *, ending: str) -> Encoding:
    """How a film is written into a container of this ending.

    Raises:
        UsageError: there is no such codec or pixel format, or it has no --crf.
    """
    encoder = _encoder(film, options, ending)
    pixel_format, notes = _pixel_format(encoder, film, size, options)
    settings = _settings(encoder, pixel_format, options)
    if film.mastering or film.light:
        settings, kept = _with_light(encoder, settings, film)
        notes += [] if kept else [f"{encoder} does not carry mastering display and light level; --codec hevc does"]
    aspect = _aspect(film, size)
    if aspect not in (None, 1) and encoder == "libsvtav1" and ending in (".mkv", ".webm"):
        raise UsageError(
            f"AV1 in {ending} cannot say that a pixel is {aspect} as wide as high", hint="use --codec hevc, or .mp4"
        )
    made = Encoding(encoder, pixel_format, tuple(settings.items()), size.width, size.height, aspect, film, tuple(notes))
    made = replace(made, is_deep=film.is_deep)
    if film.alpha and not made.has_alpha:
        said = f"its transparency is laid on white: {encoder} keeps none in {pixel_format}; --codec ffv1 does"
        return replace(made, notes=(*notes, said))
    return made


def lossless(film: Film, size: SizePlan, *, deep: bool) -> Encoding:
    """How a film is kept that will become something else: RGB, without loss."""
    pixel_format = ("gbrap16le" if film.alpha else "gbrp16le") if deep else ("bgra" if film.alpha else "bgr0")
    settings = tuple(_settings("ffv1", pixel_format, FilmOptions()).items())
    aspect = _aspect(film, size)
    return Encoding("ffv1", pixel_format, settings, size.width, size.height, aspect, film, is_deep=deep)


def _aspect(film: Film, size: SizePlan) -> Fraction | None:
    """Of a pixel of the result, so that the film keeps its shape."""
    if film.aspect is None:
        return None
    return (film.aspect * Fraction(film.width * size.height, film.height * size.width)).limit_denominator(255)


def _encoder(film: Film, options: FilmOptions, ending: str) -> str:
    wanted = options.codec or ("av1" if ending == ".webm" else "hevc" if film.is_deep else "h264")
    name = CODECS.get(wanted.lower(), wanted.lower())
    known = [*CODECS.values(), *hardware()]
    if name not in known:
        raise UsageError(f"there is no --codec {wanted}", hint=f"use {', '.join([*CODECS, *hardware()])}")
    return name


def _pixel_format(encoder: str, film: Film, size: SizePlan, options: FilmOptions) -> tuple[str, list[str]]:
    """The encoder's format nearest to the film's, or the wanted one; with what is lost."""
    from av.codec import Codec
    from av.codec.codec import find_best_pix_fmt_of_list

    listed = [format.name for format in Codec(encoder, "w").video_formats or []]
    takes = list(_X265_FORMATS) if encoder == "libx265" and not listed else listed
    takes = [name for name in takes if not name.startswith(("yuvj", "yuva", "gbrap", "bgra", "ya", "nv"))] or listed
    if options.pixel_format is not None:
        if options.pixel_format not in listed + takes:
            raise UsageError(
                f"{encoder} has no --pixel-format {options.pixel_format}", hint=f"use {', '.join(takes[:12])}"
            )
        return options.pixel_format, []
    if film.alpha and encoder in _WITH_ALPHA:
        return (film.pixel_format if film.pixel_format in listed else _WITH_ALPHA[encoder][film.is_deep]), []
    own = film.pixel_format.replace("yuvj", "yuv")
    if not own.startswith(("yuv", "gray")) and encoder != "ffv1":
        own = "yuv420p10le" if film.is_deep else "yuv420p"
    notes = []
    if size.width % 2 or size.height % 2:
        full = "yuv444p" + "10le" * film.is_deep
        if "420" in own and full in takes and encoder in ("libx264", "libx265"):
            own = full
            notes.append(f"{size.width} x {size.height} is odd, so colour is stored at full size (4:4:4)")
    best, _ = find_best_pix_fmt_of_list(takes, own)
    name = best.name if best is not None else takes[0]
    if film.is_deep and max(part.bits for part in best.components if best) <= 8:  # type: ignore[union-attr]
        raise UsageError(f"{encoder} holds 8 bits, and the film has {film.bits}", hint="use --codec hevc")
    return name, notes


def _settings(encoder: str, pixel_format: str, options: FilmOptions) -> dict[str, str]:
    quality = options.crf if options.crf is not None else _CRF.get(encoder)
    most = _MOST_CRF.get(encoder, 63)
    if options.crf is not None and not 0 <= options.crf <= most:
        raise UsageError(f"--crf {options.crf:g} is not from 0 to {most}", hint="18 is nearly transparent, 28 is small")
    if encoder == "libx264":
        return {"crf": f"{quality:g}", "preset": "medium"}
    if encoder == "libx265":
        return {"x265-params": f"log-level=none:crf={quality:g}:frame-threads=2:pools={_THREADS}", "preset": "medium"}
    if encoder == "libsvtav1":
        return {"crf": f"{quality:g}", "preset": "6", "svtav1-params": "lp=2"}
    if encoder.endswith("_nvenc"):
        return {"cq": f"{quality if quality is not None else 19:g}", "rc": "vbr"}
    if options.crf is not None:
        raise UsageError(f"{encoder} has no --crf", hint="leave it out, or use --codec h264, hevc or av1")
    if encoder == "ffv1":
        return {"level": "3", "slices": "4", "slicecrc": "1"}
    if encoder == "prores_ks":
        return {"profile": "4444" if "444" in pixel_format else "hq"}
    return {}


def _with_light(encoder: str, settings: dict[str, str], film: Film) -> tuple[dict[str, str], bool]:
    """The settings with the mastering display and the light level in the words of the encoder, if it has any."""
    display = _mastering(film.mastering, exact=encoder != "libsvtav1")
    light = None if film.light is None else "{},{}".format(*struct.unpack_from("II", film.light))
    words: dict[str, tuple[str, str, str]] = {
        "libx265": ("x265-params", "master-display", "max-cll"),
        "libx264": ("x264-params", "mastering-display", "cll"),
        "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
    }
    if encoder not in words:
        return settings, False
    key, first, second = words[encoder]
    parts = [settings.get(key, ""), f"{first}={display}" if display else "", f"{second}={light}" if light else ""]
    return {**settings, key: ":".join(part for part in parts if part)}, True


def _mastering(record: bytes | None, *, exact: bool) -> str | None:
    """Libav's record in the encoders' words: in units of the standard (`exact`), or as plain numbers."""
    if record is None:
        return None
    numbers: list[Any] = [Fraction(top, bottom or 1) for top, bottom in struct.iter_unpack("ii", record[:80])]
    has_primaries, has_luminance = struct.unpack_from("ii", record, 80)
    if not (has_primaries and has_luminance):
        return None
    chroma, light = (50000, 10000) if exact else (1, 1)

    def say(value: Fraction, unit: int) -> str:
        return str(round(value * unit)) if exact else f"{float(value):.6g}"

    red, green, blue, white = ([say(value, chroma) for value in numbers[at : at + 2]] for at in (0, 2, 4, 6))
    least, most = say(numbers[8], light), say(numbers[9], light)
    points = [f"{name}({x},{y})" for name, (x, y) in zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)]
    return f"{''.join(points)}L({most},{least})"
