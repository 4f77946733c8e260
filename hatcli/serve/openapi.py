"""The API's own description, an OpenAPI document; a test holds it against a running server."""

from __future__ import annotations

from typing import Any

from hatcli import __version__
from hatcli.serve.parameters import ALPHA, FORMATS, LARGEST_SIDE, PRECISION

_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}
_NUMBER: dict[str, Any] = {"type": "number"}
_YES_OR_NO: dict[str, Any] = {"type": "boolean"}
_SWITCH: dict[str, Any] = {"type": "string", "enum": ["0", "1", "true", "false"]}
_SIDE: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": LARGEST_SIDE}
_HOLD: dict[str, Any] = {"type": "string", "enum": ["0", "1"], "description": "1: wait until it is started"}
_BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
_JOB_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}}

PARAMETERS: dict[str, dict[str, Any]] = {
    "scale": {"type": "number", "exclusiveMinimum": 1, "maximum": 16},
    "width": _SIDE,
    "height": _SIDE,
    "long_edge": _SIDE,
    "short_edge": _SIDE,
    "megapixels": {"type": "number", "exclusiveMinimum": 0},
    "model": {"type": "string", "default": "auto"},
    "format": {"type": "string", "enum": list(FORMATS), "default": "same"},
    "quality": {"type": "integer", "minimum": 1, "maximum": 100},
    "lossless": _SWITCH,
    "alpha": {"type": "string", "enum": list(ALPHA), "default": "model"},
    "precision": {"type": "string", "enum": list(PRECISION), "default": "auto"},
    "tile": {"type": "string", "default": "auto", "description": "auto, off, or a side in pixels from 32"},
    "tta": _SWITCH,
    "strip_metadata": _SWITCH,
}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hat serve",
            "version": __version__,
            "description": "Pictures in, larger pictures out. Every change needs the header X-Hat: 1.",
        },
        "security": [{"token": []}],
        "paths": {f"/api/v1{path}": item for path, item in _paths().items()},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> dict[str, dict[str, Any]]:
    return {**_of_jobs(), **_of_one_job(), **_of_the_rest()}


def _of_jobs() -> dict[str, dict[str, Any]]:
    several = _object({"jobs": _list(_ref("Job")), "refused": _list(_ref("Refused"))})
    form = _object({"file": _list(_BYTES)})
    body = {"content": {"application/octet-stream": {"schema": _BYTES}, "multipart/form-data": {"schema": form}}}
    fields: dict[str, Any] = {"paths": _list(_TEXT), "output": _nullable("string"), "hold": {}}
    named = _object({**fields, **{name: {} for name in PARAMETERS}}, required=["paths"])
    piece = {"job": _TEXT, "x": _WHOLE, "y": _WHOLE, "size": {"type": "integer", "minimum": 16, "maximum": 1024}}
    return {
        "/jobs": {
            "get": _call("All jobs: running, waiting by position, ended", {200: _object({"jobs": _list(_ref("Job"))})}),
            "post": _call(
                "Enlarge a picture, or several",
                {202: {"anyOf": [_ref("Job"), several]}},
                errors=(400, 408, 413, 415, 422, 429, 507),
                query={"name": _TEXT, "hold": _HOLD, **PARAMETERS},
                body=body,
            ),
        },
        "/jobs/from-root": {
            "post": _call(
                "Enlarge pictures of the server's own folder", {202: several}, errors=(400, 403, 404, 413, 422, 429),
                body=_json_body(named),
            )
        },
        "/jobs/zip": {
            "get": _call("Results in one file", {200: "application/zip"}, errors=(404, 409), query={"ids": _TEXT})
        },
        "/previews": {
            "post": _call(
                "Enlarge a piece of a job's picture at once", {202: _ref("Job")}, errors=(404, 422, 429),
                query={**piece, **PARAMETERS},
            )
        },
    }  # fmt: skip


def _of_one_job() -> dict[str, dict[str, Any]]:
    job = {200: _ref("Job")}
    files = {
        "result": ("The result, to be saved", "image/*"),
        "thumbnail": ("The picture, small", "image/webp"),
        "view/source": ("The picture for a page", "image/webp"),
        "view/result": ("The result for a page", "image/webp"),
    }
    before = _json_body(_object({"before": _nullable("string")}, required=[]))
    return {
        "/jobs/{id}": {
            "get": _call("A job", job, errors=(404,), path=[_JOB_ID]),
            "delete": _call("Cancel it, or remove what has ended", {**job, 204: None}, errors=(404,), path=[_JOB_ID]),
        },
        "/jobs/{id}/cancel": {"post": _call("Cancel it", job, errors=(404, 409), path=[_JOB_ID])},
        "/jobs/{id}/start": {
            "post": _call("Start a held job", job, errors=(404, 409, 415, 422), path=[_JOB_ID], query=PARAMETERS)
        },
        "/jobs/{id}/retry": {
            "post": _call("Do it again", job, errors=(404, 409, 415, 422, 429), path=[_JOB_ID], query=PARAMETERS)
        },
        "/jobs/{id}/move": {
            "post": _call("Move it in the queue", job, errors=(400, 404, 409, 422), path=[_JOB_ID], body=before)
        },
        **{
            f"/jobs/{{id}}/{name}": {"get": _call(about, {200: kind}, errors=(404, 409, 415, 422), path=[_JOB_ID])}
            for name, (about, kind) in files.items()
        },
    }  # fmt: skip


def _of_the_rest() -> dict[str, dict[str, Any]]:
    name = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
    picture = _object({"name": _TEXT, "bytes": _WHOLE})
    listing = _object({"path": _TEXT, "folders": _list(_TEXT), "pictures": _list(picture)})
    health = _object({"status": _TEXT, "paused": _nullable("string"), "version": _TEXT})
    return {
        "/root": {"get": _call("A folder below the root", {200: listing}, errors=(403, 404), query={"path": _TEXT})},
        "/models": {"get": _call("All models", {200: _object({"models": _list(_ref("Model"))})})},
        "/models/{name}/download": {
            "post": _call(
                "Fetch a model", {202: _object({"downloads": _list(_ref("Download"))})}, errors=(404, 422),
                query={"scale": _WHOLE}, path=[name],
            )
        },
        "/limits": {"get": _call("What is accepted", {200: _ref("Limits")})},
        "/stop": {"post": _call("End the server", {202: _object({"status": _TEXT})})},
        "/events": {"get": _call("What happens, as server-sent events", {200: "text/event-stream"}, errors=(429,))},
        "/health": {"get": {**_call("Whether it works", {200: health}), "security": []}},
        "/metrics": {"get": _call("Numbers for Prometheus", {200: "text/plain"})},
        "/openapi.json": {"get": _call("This document", {200: {"type": "object"}})},
    }  # fmt: skip


def _schemas() -> dict[str, Any]:
    times = {name: _nullable("number") for name in ("seconds", "seconds_left", "started", "ended")}
    sizes = ("source_width", "source_height", "width", "height", "result_bytes")
    job = {
        "id": _TEXT,
        "kind": {"type": "string", "enum": ["upscale", "preview"]},
        "name": _TEXT,
        "state": {"type": "string", "enum": ["queued", "running", "done", "failed", "cancelled"]},
        "position": {**_nullable("number"), "description": "to sort waiting jobs by"},
        "input": _TEXT,
        "parameters": {"type": "object"},
        "bytes": _WHOLE,
        **{name: _nullable("integer") for name in (*sizes, "exit_code")},
        **{name: _nullable("string") for name in ("output", "model", "error", "hint")},
        "done": {"type": "number", "minimum": 0, "maximum": 1},
        "tile": _WHOLE,
        "tiles": _WHOLE,
        **times,
        "notes": _list(_TEXT),
        "created": _NUMBER,
        "attempts": _WHOLE,
        "on_server": _YES_OR_NO,
        "held": _YES_OR_NO,
    }
    by_factor = {"type": "object", "additionalProperties": True}
    texts = ("name", "title", "about", "licence", "author")
    model = {
        **dict.fromkeys(texts, _TEXT),
        "licence_note": _nullable("string"),
        "scales": _list(_WHOLE),
        "installed": by_factor,
        "bytes": by_factor,
        "recommended": _YES_OR_NO,
    }
    download = {
        "name": _TEXT,
        "scale": _WHOLE,
        "stage": _TEXT,
        **{name: _nullable("integer") for name in ("done", "total")},
        **{name: _nullable("string") for name in ("error", "hint")},
    }
    limits = {
        **dict.fromkeys(("max_bytes", "max_pixels", "max_jobs", "max_disk"), _WHOLE),
        "max_age": _NUMBER,
        **dict.fromkeys(("formats_in", "formats_out", "suffixes"), _list(_TEXT)),
        "factors": _list(_WHOLE),
        "root": _YES_OR_NO,
        "version": _TEXT,
    }
    error = {"error": _TEXT, "hint": _nullable("string")}
    return {
        "Job": _object(job),
        "Model": _object(model),
        "Download": _object(download),
        "Limits": _object(limits),
        "Error": _object(
            {**error, "jobs": _list(_ref("Job")), "refused": _list(_ref("Refused"))}, required=["error", "hint"]
        ),
        "Refused": _object({"name": _TEXT, **error, "status": _WHOLE}),
    }


def _call(
    about: str,
    answers: dict[int, Any],
    *,
    errors: tuple[int, ...] = (),
    query: dict[str, Any] | None = None,
    path: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """An operation; an answer is a schema, a media type, or None for nothing."""
    parameters = [
        *(path or []),
        *({"name": name, "in": "query", "schema": kind} for name, kind in (query or {}).items()),
    ]
    failures = {str(code): _answer("An error", _ref("Error")) for code in (*errors, 401, 403, 421)}
    told = {str(code): _answer(about, kind) for code, kind in answers.items()}
    call: dict[str, Any] = {"summary": about, "responses": {**told, **failures}}
    if parameters:
        call["parameters"] = parameters
    if body is not None:
        call["requestBody"] = body
    return call


def _answer(about: str, kind: Any) -> dict[str, Any]:
    if kind is None:
        return {"description": about}
    media = {kind: {"schema": _BYTES}} if isinstance(kind, str) else {"application/json": {"schema": kind}}
    return {"description": about, "content": media}


def _json_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _object(fields: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": sorted(fields) if required is None else required}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _nullable(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
