"""Which formats need a library that the core does not bring, and whether it is there; imports none of them."""

from __future__ import annotations

from importlib import util

from hatcli.errors import OutputError
from hatcli.image import formats
from hatcli.image.formats import Refusal

INSTALL = "pip install 'hatcli[formats]'"
LIBRARIES = {"HEIF": "pillow-heif", "JXL": "opencodecs", "RAW": "rawpy", "EXR": "OpenEXR"}  # as pip calls them
_MODULES = {"HEIF": "pillow_heif", "JXL": "opencodecs", "RAW": "rawpy", "EXR": "OpenEXR"}


def is_there(format: str) -> bool:
    """Whether what a format needs is installed."""
    module = _MODULES.get(format)
    return module is None or has_module(module)


def has_module(name: str) -> bool:
    """Whether a module could be imported."""
    return util.find_spec(name) is not None


def missing() -> list[str]:
    """The formats whose library is not installed."""
    return [format for format in LIBRARIES if not is_there(format)]


def refusal(format: str) -> Refusal:
    """Why a file of a format whose library is missing is not read, and what to do about it."""
    return Refusal(f"{formats.title(format)} needs {LIBRARIES[format]}, which is not installed", INSTALL)


def check_writable(format: str) -> None:
    """Refuse to write a format whose library is missing.

    Raises:
        OutputError: it is.
    """
    if not is_there(format):
        reason = refusal(format).reason
        raise OutputError(f"the picture cannot be written: {reason}", hint=f"{INSTALL}, or write --format png")
