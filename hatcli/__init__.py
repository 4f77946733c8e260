"""Enlarge pictures with HAT, the Hybrid Attention Transformer.

    import hatcli

    image = hatcli.load().upscale("photo.jpg")
    image.save("photo_x4.png")

Importing this package is quick: PyTorch is imported when a name below is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["HatError", "Picture", "Settings", "Target", "Upscaler", "__version__", "load", "read", "write"]

if TYPE_CHECKING:
    from hatcli.api import load, read, write
    from hatcli.errors import HatError
    from hatcli.image.picture import Picture
    from hatcli.upscaling.settings import Settings
    from hatcli.upscaling.size import Target
    from hatcli.upscaling.upscaler import Upscaler

_HOMES = {
    "load": "hatcli.api",
    "read": "hatcli.api",
    "write": "hatcli.api",
    "HatError": "hatcli.errors",
    "Picture": "hatcli.image.picture",
    "Settings": "hatcli.upscaling.settings",
    "Target": "hatcli.upscaling.size",
    "Upscaler": "hatcli.upscaling.upscaler",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hatcli' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
