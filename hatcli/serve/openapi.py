"""The API's own description."""

from __future__ import annotations

from typing import Any

from hatcli import __version__


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    return {"openapi": "3.1.0", "info": {"title": "hat", "version": __version__}, "paths": {}}
