"""What a request asks for, out of its query and its body; everything a client can get wrong here is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hatcli.serve import parameters, uploads
from hatcli.serve.limits import Limits, RefusedError
from hatcli.serve.parameters import Parameters, shown

LARGEST_JSON = 256 << 10  # bytes


def query(request: Request) -> Mapping[str, str]:
    """The query, where nothing stands twice.

    Raises:
        RefusedError: something does: one of the values would mean nothing.
    """
    found = request.query_params
    for name in found:
        if len(found.getlist(name)) > 1:
            raise RefusedError(422, f"{shown(name)} is given more than once", hint="give it once")
    return found


async def body(request: Request, limits: Limits) -> dict[str, Any]:
    """A small JSON object as the body.

    Raises:
        RefusedError: it is none, too long, or does not arrive.
    """
    content = bytearray()
    async for piece in uploads.pieces(request, limits):
        content += piece
        if len(content) > LARGEST_JSON:
            raise RefusedError(413, "the request is too long", hint=None)
    try:
        found: Any = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedError(400, "the body is no JSON object", hint=None)
    return found


def hold(given: Mapping[str, str]) -> bool:
    """Whether a job is to wait until it is started."""
    if (value := given.get("hold", "0")) not in ("0", "1"):
        raise RefusedError(422, f"hold {shown(value)} is neither 0 nor 1", hint=None)
    return value == "1"


def parameters_or_none(request: Request) -> Parameters | None:
    """The parameters of a query, or None if it has none."""
    return parameters.parse(found) if (found := query(request)) else None


def text(name: str, value: Any) -> str:
    """A JSON value as it would stand in a query."""
    if isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str | int | float):
        raise RefusedError(422, f"{shown(name)} is neither text nor a number", hint=None)
    return str(value)


def whole(name: str, value: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and least <= int(value) <= most):
        raise RefusedError(422, f"{name} {shown(value)} is not a whole number from {least} to {most}")
    return int(value)
