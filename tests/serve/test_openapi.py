"""The document of the API against the server that runs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from support.serving import Serving, png

from hatcli.image import extras
from hatcli.serve.api import Api
from hatcli.serve.events import Events
from hatcli.serve.limits import Limits
from hatcli.serve.models import Downloads


def described(server: Serving) -> Any:
    return server.ask("GET", "/api/v1/openapi.json").json


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any], where: str = "") -> None:
    """Fail unless the value is what the schema says: no field missing, none unknown."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        failures = []
        for choice in schema["anyOf"]:
            try:
                return fits(value, choice, document, where)
            except AssertionError as error:
                failures.append(str(error))
        raise AssertionError(failures)
    if "type" not in schema:
        return None
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    types: dict[str, Any] = {
        "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None), "array": list,
        "object": dict,
    }  # fmt: skip
    assert any(isinstance(value, types[kind]) and (kind == "boolean") == isinstance(value, bool) for kind in kinds), (
        where
    )
    assert value in schema.get("enum", [value]), where
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) <= set(value), where
        assert set(value) <= set(schema["properties"]), where
        for name, part in value.items():
            fits(part, schema["properties"][name], document, f"{where}.{name}")
    if isinstance(value, list):
        for part in value:
            fits(part, schema["items"], document, f"{where}[]")
    return None


def checked(
    server: Serving, method: str, address: str, body: Any = None, *, called: str | None = None, **query: Any
) -> Any:
    """Ask, and hold the answer against the document."""
    document = described(server)
    answer = server.ask(method, address, body, **query)
    call = document["paths"][called or address][method.lower()]
    known = call["responses"]
    assert str(answer.status) in known, (answer.status, address)
    for name in query:
        assert name in {parameter["name"] for parameter in call["parameters"]}
    content = known[str(answer.status)].get("content")
    if content is None:
        assert not answer.body
        return None
    kind = answer.headers["content-type"].partition(";")[0]
    if "application/json" in content:
        assert kind == "application/json"
        fits(answer.json, content["application/json"]["schema"], document, address)
        return answer.json
    assert kind in content or "image/*" in content
    return answer.body


def test_every_answer_is_as_described(server: Serving) -> None:
    one = "/api/v1/jobs/{id}"
    job = checked(server, "POST", "/api/v1/jobs", png(), scale=2, name="described.png")
    server.wait(job["id"])
    checked(server, "GET", "/api/v1/jobs")
    at = f"/api/v1/jobs/{job['id']}"
    assert checked(server, "GET", at, called=one)["state"] == "done"
    for name in ("result", "thumbnail", "view/source", "view/result"):
        assert checked(server, "GET", f"{at}/{name}", called=f"{one}/{name}")
    for name in ("cancel", "retry", "move"):
        assert "error" in checked(server, "POST", f"{at}/{name}", b"{}", called=f"{one}/{name}")
    preview = checked(server, "POST", "/api/v1/previews", job=job["id"], scale=2, model="hat-t", x=2, y=2, size=16)
    assert preview["kind"] == "preview"
    assert server.wait(preview["id"])["width"] == 2 * min(16, preview["source_width"])
    assert checked(server, "GET", "/api/v1/jobs/zip", ids=job["id"]).startswith(b"PK")
    checked(server, "DELETE", at, called=one)
    assert "error" in checked(server, "GET", at, called=one)
    body = json.dumps({"paths": ["nothing.png"]})
    none = checked(server, "POST", "/api/v1/jobs/from-root", body)
    assert none["error"] == none["refused"][0]["error"]
    checked(server, "GET", "/api/v1/root", path="")
    models = checked(server, "GET", "/api/v1/models")["models"]
    assert {"hat-t", "hat"} <= {model["name"] for model in models}
    checked(server, "POST", "/api/v1/models/hat-t/download", called="/api/v1/models/{name}/download")
    checked(server, "POST", "/api/v1/models/nothing/download", called="/api/v1/models/{name}/download")
    for path in ("limits", "health", "openapi.json"):
        checked(server, "GET", f"/api/v1/{path}")
    metrics = checked(server, "GET", "/api/v1/metrics").decode()
    assert all(line.startswith("#") or len(line.split()) == 2 for line in metrics.splitlines())
    assert 'hat_jobs{state="done"}' in metrics


def test_formats_whose_library_is_missing_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    desk: Any = SimpleNamespace(limits=Limits(), root=None)
    events = Events()
    api = Api(desk, events, Downloads(events.publish), paused=lambda: None, stop=lambda: None)
    monkeypatch.setattr(extras, "is_there", lambda format: format not in ("HEIF", "RAW"))
    told = json.loads(bytes(api.limits(None).body))  # type: ignore[arg-type]
    assert {"png", "jxl"} <= set(told["formats_in"])
    assert not {"heif", "raw"} & {*told["formats_in"], *told["formats_out"]}
    assert ".png" in told["suffixes"]
    assert not {".heic", ".dng"} & set(told["suffixes"])


def test_every_address_answers_and_no_other(server: Serving) -> None:
    document = described(server)
    for path, item in document["paths"].items():
        real = path.replace("{id}", "0" * 32).replace("{name}", "nothing")
        for method in ("PUT", "PATCH"):
            assert server.ask(method, real).status == 405, path
        for method in set(item) - {"get"} if not path.endswith("/stop") else ():
            assert server.ask(method.upper(), real, b"").status != 405, path
    assert server.ask("GET", "/api/v1/nothing").status == 404
    assert server.ask("GET", "/api/v2/jobs").json["hint"]


@pytest.mark.parametrize("name", ["quality", "model", "format", "tile", "long_edge"])
def test_described_parameters_are_known(server: Serving, name: str) -> None:
    call = described(server)["paths"]["/api/v1/jobs"]["post"]
    assert name in {parameter["name"] for parameter in call["parameters"]}
    hint = server.ask("POST", "/api/v1/jobs", b"", nothing=1).json["hint"]
    assert name in hint
