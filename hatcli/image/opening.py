"""Pillow asked with care: quiet, within a limit of pixels, one format at a time, its failures put into plain words."""

from __future__ import annotations

import ctypes
import importlib
import io
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from PIL import Image, UnidentifiedImageError, _imaging

from hatcli.errors import HatError, InputError
from hatcli.image import formats

_PLUGINS = {
    "PNG": "Png", "JPEG": "Jpeg", "WEBP": "WebP", "TIFF": "Tiff", "AVIF": "Avif", "GIF": "Gif", "BMP": "Bmp",
    "JPEG2000": "Jpeg2K", "PPM": "Ppm", "ICO": "Ico", "TGA": "Tga", "QOI": "Qoi", "SGI": "Sgi", "PSD": "Psd",
}  # fmt: skip
MOST_FRAMES = 10_000  # in a file; beyond them the others are not looked at
_DNG_VERSION, _SUB_DIRECTORIES, _NEW_SUBFILE_TYPE, _REDUCED = 50706, 330, 254, 1
_WARNINGS_FROM = r"PIL\b"
RAISE_LIMIT = "hat upscale --max-megapixels opens larger files, if they can be trusted"

_limit_lock = threading.Lock()
_limits: list[int] = []  # what the decodes now running ask for beyond Pillow's own limit
_own_limit = Image.MAX_IMAGE_PIXELS


def open_image(data: bytes, format: str, *, name: str, max_pixels: int) -> Image.Image:
    """Pillow's image of these bytes, its header read and its size allowed; no other format's reader is tried.

    Raises:
        InputError: the picture is larger than `max_pixels`, or a camera raw file.
    """
    importlib.import_module(f"PIL.{_PLUGINS[format]}ImagePlugin")
    image = Image.open(io.BytesIO(data), formats=[format])
    check_pixels(image.size, name=name, max_pixels=max_pixels)
    tags = getattr(image, "tag_v2", {})
    # Camera raw files are TIFFs whose first page is a thumbnail: decoding that would be a wrong picture.
    if _DNG_VERSION in tags or (tags.get(_NEW_SUBFILE_TYPE, 0) == _REDUCED and _SUB_DIRECTORIES in tags):
        refusal = formats.refusal("RAW")
        raise InputError(f"cannot read {name}: {refusal.reason}", hint=refusal.hint)
    return image


def check_pixels(size: tuple[int, int], *, name: str, max_pixels: int) -> None:
    """Refuse a size above the limit, with an InputError."""
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"cannot read {name}: {width} x {height} pixels are over the limit of {max_pixels / 1e6:.1f} megapixels",
            hint=RAISE_LIMIT,
        )


@contextmanager
def explained(name: str, format: str) -> Iterator[None]:
    """Whatever a decoder raises inside becomes an InputError in plain words.

    Every exception is caught, not some: on damaged files Pillow raises SyntaxError, RuntimeError, KeyError and more.
    """
    try:
        yield
    except HatError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"cannot read {name}: it claims more pixels than the limit", hint=RAISE_LIMIT) from error
    except MemoryError as error:
        raise InputError(
            f"cannot read {name}: decoding it needs more memory than there is",
            hint="close other programs, or use a machine with more memory",
        ) from error
    except ImportError as error:
        reason = f"what reads {formats.title(format)} cannot be loaded: {error}".splitlines()[0]
        raise InputError(f"cannot read {name}: {reason}", hint="install it again, and see hat doctor") from error
    except Exception as error:
        reason, hint = _reason(error, format)
        raise InputError(f"cannot read {name}: {reason}", hint=hint) from error


def _reason(error: Exception, format: str) -> tuple[str, str]:
    text = str(error).lower()
    again = "fetch or export it again"
    if isinstance(error, formats.DamageError):
        return str(error), again
    if "truncated" in text or "cut off" in text or isinstance(error, EOFError):
        return "the file is cut off", again
    if isinstance(error, NotImplementedError) or "unsupported" in text or "not supported" in text:
        return f"this kind of {formats.title(format)} is not supported", "convert it to PNG first"
    if isinstance(error, UnidentifiedImageError):
        return f"it is a damaged {formats.title(format)}, or one of a rare kind", again
    return f"it is a damaged {formats.title(format)}", again


def quiet() -> None:
    """Keep what Pillow and libtiff have to say off the terminal.

    For the whole process: scopes of warnings are not thread-safe, and libtiff has one handler.
    """
    first = warnings.filters[0] if warnings.filters else None
    pattern = getattr(first[3], "pattern", None) if first else None
    if pattern != _WARNINGS_FROM:
        warnings.filterwarnings("ignore", module=_WARNINGS_FROM)
    _quiet_libraries()


@cache
def _quiet_libraries() -> None:
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints what nobody handles
    with suppress(OSError, AttributeError):  # where libtiff is linked another way, its lines are no harm but noise
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


@contextmanager
def pillow_limit(max_pixels: int) -> Iterator[None]:
    """Let Pillow itself accept this many pixels as long as somebody inside asks for them; our own check comes first."""
    if _own_limit is None or max_pixels <= 2 * _own_limit:
        yield
        return
    with _limit_lock:
        _limits.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = max(_limits)
    try:
        yield
    finally:
        with _limit_lock:
            _limits.remove(max_pixels)
            Image.MAX_IMAGE_PIXELS = max([_own_limit, *_limits])
