"""The files of the page: a fixed list, read once, told apart by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from hatcli.serve.limits import RefusedError

_TYPES = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml", "webmanifest": "application/manifest+json",
}  # fmt: skip
START = "index.html"


def read() -> Mapping[str, bytes]:
    """Every file of the page by its name, and those of the viewer, which `hat compare` uses too."""
    folder = files("hatcli.serve") / "page"
    own = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}
    return own | {name: (files("hatcli.attribution") / name).read_bytes() for name in ("viewer.js", "viewer.css")}


def answer(request: Request, found: Mapping[str, bytes], name: str) -> Response:
    """A file of the page; nothing but its tag if the browser has it.

    Raises:
        RefusedError: there is none of this name.
    """
    content = found.get(name)
    if content is None:
        raise RefusedError(404, "there is no such file", hint=None)
    headers = {"etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)
