"""Encoders asked with care: whatever one raises for a picture becomes that picture's failure, in plain words."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from hatcli.errors import HatError, MemoryLimitError, OutputError
from hatcli.image import formats

Part = TypeVar("Part")


class _MakerError(Exception):
    """Carries what the maker of rows or frames has raised past the encoder that asked for them."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def passed_on(parts: Iterable[Part]) -> Iterator[Part]:
    """The rows or frames to encode; a failure of what makes them goes through `explained` as it is."""
    try:
        yield from parts
    except Exception as error:
        raise _MakerError(error) from error


@contextmanager
def explained(format: str) -> Iterator[None]:
    """Whatever an encoder raises inside becomes an OutputError, or a MemoryLimitError.

    Every exception is caught, not some: on odd metadata Pillow raises struct.error, TypeError, KeyError and more. What
    the system refuses (a full disk) is left to whoever opened the file.
    """
    title = formats.title(format)
    try:
        yield
    except _MakerError as error:
        raise error.error from error.error.__cause__
    except HatError:
        raise
    except MemoryError as error:
        message = f"there is not enough memory to encode the picture as {title}"
        raise MemoryLimitError(message, hint="write TIFF or PNG, which take the least: --format tiff") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        hint = "write another format: --format png" if format != "PNG" else "write another format: --format tiff"
        raise OutputError(f"the picture cannot be encoded as {title}: {reason}", hint=hint) from error


def saved(image: Any, format: str, **saving: Any) -> bytes:
    """What Pillow makes of samples or of an image, leaving out what is None."""
    from PIL import Image

    if isinstance(image, np.ndarray):
        image = Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image))
    file = io.BytesIO()
    image.save(file, format, **{name: value for name, value in saving.items() if value is not None})
    return file.getvalue()
