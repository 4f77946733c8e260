"""What an evil page, program or picture tries, against a server that really listens."""

from __future__ import annotations

import io
import json
import socket
import stat
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from support.serving import Serving, png, size_of

JOBS = "/api/v1/jobs"


def raw(server: Serving, request: bytes) -> bytes:
    """What comes back for these very bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
        line.sendall(request)
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "0.0.0.0", ""])
def test_a_name_that_is_not_this_servers_is_refused(server: Serving, host: str) -> None:
    for path in ("/", f"/?token={server.token}", "/api/v1/health", JOBS):
        answer = raw(
            server,
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.token}\r\n"
            "Connection: close\r\n\r\n".encode(),
        )
        assert answer.split()[1] in (b"421", b"400")
        assert b"set-cookie" not in answer.lower()


@pytest.mark.parametrize("host", ["localhost:evil", "[::1]evil", "[::1", "::1", "localhost@x", "127.1", "2130706433"])
def test_no_odd_spelling_passes_for_this_machine(server: Serving, host: str) -> None:
    answer = raw(server, f"GET /api/v1/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] in (b"421", b"400")


def test_a_request_that_never_gets_whole_is_hung_up_on_and_holds_nobody_up(server: Serving) -> None:
    begun = [b"", b"GET /api/v1/health HTTP/1.1\r\nHost: local", f"POST {JOBS} HTTP/1.1\r\nHost: x\r\n\r\nx".encode()]
    lines = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(60)]
    for number, line in enumerate(lines):
        line.sendall(begun[number % len(begun)])
    assert server.ask("GET", "/api/v1/health", timeout=5).status == 200
    for line in lines:
        while line.recv(4096):  # whatever is said, the end comes
            pass
        line.close()


def test_a_json_body_that_stands_still_is_no_thread_and_no_change(server: Serving) -> None:
    id = server.submit(png(), hold=1).json["id"]
    known = f"Host: localhost\r\nX-Hat: 1\r\nAuthorization: Bearer {server.token}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
        line.sendall(f"POST {JOBS}/{id}/move HTTP/1.1\r\n{known}Content-Length: 20\r\n\r\n{{".encode())
        assert server.job(id)["held"]
    assert server.ask("POST", f"{JOBS}/{id}/cancel").json["state"] == "cancelled"


def test_head_tells_the_headers_and_ends(server: Serving) -> None:
    id = server.submit(png()).json["id"]
    server.wait(id)
    for path in ("/", JOBS, f"{JOBS}/{id}/result", f"{JOBS}/zip?ids={id}", "/api/v1/events"):
        known = f"Host: localhost\r\nAuthorization: Bearer {server.token}\r\nConnection: close\r\n"
        answer = raw(server, f"HEAD {path} HTTP/1.1\r\n{known}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200"), path
        assert answer.endswith(b"\r\n\r\n")


def test_what_is_given_twice_is_refused(server: Serving) -> None:
    known = {"Content-Length": str(len(png()))}
    for query in ("scale=2&scale=3", "scale=2&name=a.png&name=b.png"):
        answer = server.ask("POST", f"{JOBS}?{query}", png(), known)
        assert answer.status == 422
        assert "more than once" in answer.json["error"]


def test_a_form_field_is_no_picture_and_is_told(server: Serving) -> None:
    parts = [('name="scale"', b"3"), ('name="f"; filename="a.png"', png())]
    body = b"".join(
        f"--X\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts
    )
    answer = server.ask("POST", JOBS, body + b"--X--\r\n", {"Content-Type": "multipart/form-data; boundary=X"}, scale=2)
    assert [job["name"] for job in answer.json["jobs"]] == ["a.png"]
    assert [(one["name"], one["status"]) for one in answer.json["refused"]] == [("scale", 422)]
    assert "address" in answer.json["refused"][0]["hint"]


def test_two_host_headers_are_refused(server: Serving) -> None:
    answer = raw(server, b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert answer.split()[1] in (b"421", b"400")


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST:9", "127.0.0.1"])
def test_names_of_this_machine_are_served(server: Serving, host: str) -> None:
    assert server.ask("GET", JOBS, headers={"Host": host.format(port=server.port)}).status == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1", "http://localhost:1", "https://127.0.0.1.evil.example"],
)
def test_another_pages_request_is_refused_even_with_the_token(server: Serving, origin: str) -> None:
    headers = {"Host": f"127.0.0.1:{server.port}", "Origin": origin}
    before = set(server.jobs())
    assert server.ask("POST", JOBS, png(), headers, scale=2).status == 403
    assert server.ask("GET", JOBS, headers=headers).status == 403
    assert set(server.jobs()) == before


def test_the_own_pages_request_is_served(server: Serving) -> None:
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Sec-Fetch-Site": "same-origin"}
    assert server.ask("GET", JOBS, headers=own).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something-new"])
def test_requests_that_browsers_mark_as_foreign_are_refused(server: Serving, site: str) -> None:
    assert server.ask("GET", JOBS, headers={"Sec-Fetch-Site": site}).status == 403
    assert server.ask("GET", "/", headers={"Sec-Fetch-Site": site}, token=server.token).status == 403


def every_address(server: Serving) -> list[tuple[str, str]]:
    paths = server.ask("GET", "/api/v1/openapi.json").json["paths"]
    known = [(method.upper(), path.replace("{id}", "0" * 32)) for path, item in paths.items() for method in item]
    return [*known, ("GET", "/"), ("GET", "/assets/index.html")]


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", "Basic eDp5", "Bearer \xff", "bearer " + "A" * 43]
)
def test_without_the_token_nothing_but_health_is_told(server: Serving, authorization: str) -> None:
    addresses = every_address(server)
    assert len(addresses) > 20
    for method, path in addresses:
        answer = server.ask(method, path, headers={"Authorization": authorization})
        assert answer.status == (200 if path == "/api/v1/health" else 401), (method, path)
        assert server.token.encode() not in answer.body


@pytest.mark.parametrize("cookie", ["hat_session={token}", "hat_session_{port}={token}", "hat_session_{port}=", "="])
def test_a_cookie_that_was_not_given_lets_nobody_in(server: Serving, cookie: str) -> None:
    headers = {"Authorization": "", "Cookie": cookie.format(token=server.token, port=server.port)}
    assert server.ask("GET", JOBS, headers=headers).status == 401


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(server: Serving) -> None:
    signed = server.ask("GET", "/", headers={"Authorization": ""}, token=server.token)
    assert signed.status == 303
    assert signed.headers["location"] == "/"
    cookie = signed.headers["set-cookie"]
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert server.token not in cookie
    headers = {"Authorization": "", "Cookie": cookie.partition(";")[0]}
    page = server.ask("GET", "/", headers=headers)
    assert page.status == 200
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in page.headers
    assert server.ask("GET", "/", headers={"Authorization": ""}, token="wrong").status == 401
    assert server.ask("POST", f"{JOBS}/x/cancel", headers={**headers, "X-Hat": ""}).status == 403


@pytest.mark.parametrize("value", ["", "0", "true"])
def test_a_change_without_the_header_that_forms_cannot_send_is_refused(server: Serving, value: str) -> None:
    for method, path in every_address(server):
        if method in ("POST", "DELETE"):
            assert server.ask(method, path, headers={"X-Hat": value}).status == 403


def test_preflights_allow_nothing(server: Serving) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = server.ask("OPTIONS", JOBS, headers=headers)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_no_answer_says_how_to_be_read_from_elsewhere(server: Serving) -> None:
    for path in ("/api/v1/health", JOBS, "/api/v1/nothing", "/assets/nothing.js"):
        answer = server.ask("GET", path)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


TRAVERSALS = [
    "../../../../etc/passwd",
    "..",
    ".",
    "/etc/passwd",
    "..\\..\\x.png",
    "a/../../b.png",
    "a\0.png",
    "%2e%2e%2f",
]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_leads_out_of_the_state_folder(server: Serving, place: Path, name: str) -> None:
    before = {path for path in place.rglob("*") if "jobs" not in path.parts}
    job = server.submit(png(), name=name).json
    assert not set('/\\\0"') & set(job["name"])
    assert job["name"] not in (".", "..")
    job = server.wait(job["id"], "done")
    result = server.ask("GET", f"{JOBS}/{job['id']}/result")
    assert size_of(result.body) == (24, 18)
    assert "/" not in result.headers["content-disposition"].replace("UTF-8''", "")
    stored = server.ask("GET", f"{JOBS}/zip", ids=job["id"])
    with zipfile.ZipFile(io.BytesIO(stored.body)) as archive:
        assert archive.testzip() is None
        assert [entry.filename for entry in archive.infolist()] == [job["output"]]
    after = {path for path in place.rglob("*") if "jobs" not in path.parts}
    assert {path.name for path in after - before} <= {"queue.sqlite-wal", "queue.sqlite-shm"}


@pytest.mark.parametrize(
    "name", ["../state/token", "..%2ftoken", "....//token", "%2fetc%2fpasswd", "page.css/../token"]
)
def test_addresses_lead_to_no_file(server: Serving, name: str) -> None:
    for path in (
        f"/assets/{name}",
        f"{JOBS}/{name}",
        f"{JOBS}/{name}/result",
        f"{JOBS}/{name}/view/source",
        f"/{name}",
    ):
        answer = server.ask("GET", path)
        assert answer.status in (404, 405, 400)
        assert server.token.encode() not in answer.body


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_the_root_is_not_left(server: Serving, place: Path) -> None:
    outside = place / "outside.png"
    outside.write_bytes(png())
    inside = place / "root" / "link.png"
    inside.symlink_to(outside)
    (place / "root" / "up").symlink_to(place)
    (place / "root" / ".hidden.png").write_bytes(png())
    names = ["../outside.png", str(outside), "link.png", "up/outside.png", "", ".", "./../outside.png", ".hidden.png"]
    for name in names:
        answer = server.ask("POST", f"{JOBS}/from-root", json.dumps({"paths": [name], "scale": 2}))
        assert answer.status == 404, name
    (place / "root" / "in.png").write_bytes(png())
    bad = json.dumps({"paths": ["in.png"], "scale": 2, "output": "../"})
    assert server.ask("POST", f"{JOBS}/from-root", bad).status == 404
    assert server.ask("GET", "/api/v1/root", path="up").status == 404
    assert [picture["name"] for picture in server.ask("GET", "/api/v1/root").json["pictures"]] == ["in.png"]


def test_a_result_below_the_root_goes_beside_and_replaces_nothing(server: Serving, place: Path) -> None:
    (place / "root" / "beside.png").write_bytes(png())
    (place / "root" / "kept.png").write_bytes(png())
    (place / "root" / "kept_x2.png").write_bytes(b"mine")
    body = json.dumps({"paths": ["beside.png", "kept.png"], "scale": 2})
    jobs = server.ask("POST", f"{JOBS}/from-root", body).json["jobs"]
    assert server.wait(jobs[0]["id"], "done", "failed")["state"] == "done"
    assert size_of((place / "root" / "beside_x2.png").read_bytes()) == (24, 18)
    failed = server.wait(jobs[1]["id"], "done", "failed")
    assert failed["state"] == "failed"
    assert "there already" in failed["error"]
    assert str(place) not in failed["error"]
    assert (place / "root" / "kept_x2.png").read_bytes() == b"mine"
    assert server.ask("DELETE", f"{JOBS}/{jobs[0]['id']}").status == 204
    assert (place / "root" / "beside_x2.png").exists()
    assert (place / "root" / "beside.png").exists()


def bomb(width: int, height: int) -> bytes:
    """A PNG of so many black pixels, deflated to next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    deflate = zlib.compressobj(9)
    rows = b"".join(deflate.compress(bytes(1 + min(width, 50_000))) for _ in range(min(height, 3000))) + deflate.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 30_000), (2_000_000, 3), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_before_it_goes_off(server: Serving, size: tuple[int, int]) -> None:
    before, jobs = server.memory(), set(server.jobs())
    answer = server.submit(bomb(*size))
    assert answer.status in (415, 422)
    assert answer.json["error"]
    assert server.memory() - before < 20e6
    assert set(server.jobs()) == jobs


def polyglots() -> dict[str, bytes]:
    script = b"<script>fetch('/api/v1/jobs')</script>"
    comment = PngImagePlugin.PngInfo()
    comment.add_text("Comment", "<html>" + script.decode())
    file = io.BytesIO()
    Image.new("RGB", (12, 9)).save(file, "PNG", pnginfo=comment)
    return {
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'>" + script + b"</svg>",
        "page.html": b"<html>" + script + b"</html>",
        "gif.html": b"GIF89a/*" + script + b"*/=1;",
        "png.html": file.getvalue() + b"<html>" + script,
        "png.svg": png() + b"<svg onload='alert(1)'>",
    }


@pytest.mark.parametrize("name", polyglots())
def test_a_picture_that_is_a_page_too_is_served_as_a_picture_to_be_saved(server: Serving, name: str) -> None:
    answer = server.submit(polyglots()[name], name=name)
    if answer.status != 202:
        assert answer.status in (415, 422)
        return
    id = server.wait(answer.json["id"], "done", "failed")["id"]
    result = server.ask("GET", f"{JOBS}/{id}/result")
    assert result.headers["content-type"] == "image/png"
    assert result.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in result.headers["content-security-policy"]
    assert result.headers["x-content-type-options"] == "nosniff"
    for view in ("thumbnail", "view/source", "view/result"):
        shown = server.ask("GET", f"{JOBS}/{id}/{view}")
        assert shown.headers["content-type"] == "image/webp"
        assert b"script" not in shown.body


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nSet-Cookie: x=1\r\n\r\n<html>.png",
        'a"; filename="b.exe',
        "a\u202egnp.exe.png",
        "ä€🦜 ' .png",
        "\u2028.png",
    ],
)
def test_no_file_name_splits_or_fakes_a_header(server: Serving, name: str) -> None:
    id = server.submit(png(), name=name).json["id"]
    server.wait(id, "done")
    answer = server.ask("GET", f"{JOBS}/{id}/result")
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    header = answer.headers["content-disposition"]
    assert header.isascii()
    assert header.count('"') == 2
    assert not set("\r\n") & set(header)
    assert "\u202e" not in server.job(id)["name"]


def test_a_chunked_body_beyond_the_limit_is_cut_off(server: Serving, place: Path) -> None:
    def endless() -> object:
        for _ in range(2000):
            yield bytes(100_000)

    before = server.memory()
    try:
        status = server.ask("POST", JOBS, endless(), {"Transfer-Encoding": "chunked"}, scale=2).status
    except OSError:  # the server hung up while we were still sending
        status = 413
    assert status == 413
    assert server.memory() - before < 20e6
    assert not list((place / "state" / "uploads").iterdir())


def test_a_body_that_says_it_is_too_large_is_refused_with_error_and_hint(server: Serving, place: Path) -> None:
    answer = server.submit(bytes(9_000_000))
    assert answer.status == 413
    assert "8 MB" in answer.json["error"]
    assert answer.json["hint"]
    assert not list((place / "state" / "uploads").iterdir())


def test_a_body_that_lies_about_its_length_is_no_job(server: Serving, place: Path) -> None:
    jobs = set(server.jobs())
    head = f"POST {JOBS}?scale=2 HTTP/1.1\r\nHost: localhost\r\nX-Hat: 1\r\nAuthorization: Bearer {server.token}\r\n"
    raw(server, f"{head}Content-Length: 5000\r\n\r\n".encode() + png())
    smuggled = raw(
        server, f"{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n".encode()
    )
    assert smuggled.count(b"HTTP/1.1 2") == 0
    assert set(server.jobs()) == jobs
    assert not list((place / "state" / "uploads").iterdir())


@pytest.mark.parametrize(
    "query",
    [
        {"scale": "1e999"}, {"scale": "nan"}, {"scale": "-2"}, {"scale": "17"}, {"width": "0"}, {"width": "1.5"},
        {"scale": "2", "width": "99"}, {"model": "../../x.pth"}, {"model": "/etc/passwd"}, {"model": "hat-x"},
        {"format": "svg"}, {"quality": "101"}, {"tile": "1"}, {"tta": "yes"}, {"alpha": "x"}, {"unknown": "1"},
        {"scale": "٢"}, {"precision": "fp16"}, {"format": "gif", "width": "70000"},
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_refused_in_a_sentence(server: Serving, query: dict[str, Any]) -> None:
    jobs = set(server.jobs())
    answer = server.ask("POST", JOBS, png(), **query)
    assert answer.status == 422
    assert answer.json["error"]
    assert "--" not in answer.json["error"]
    assert set(server.jobs()) == jobs


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[]", b"[" * 100_000, b'{"paths": 3}', b'{"paths": [3]}', b"\xff", b"x" * 300_000]
)
def test_a_body_that_is_no_such_json_is_refused(server: Serving, body: bytes) -> None:
    answer = server.ask("POST", f"{JOBS}/from-root", body)
    assert answer.status in (400, 413, 422)
    assert answer.json["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data; name=a; filename=b.png\r\n\r\nxyz",
        b"--x\r\n" + b"A" * 50_000,
    ],
)
def test_a_broken_form_is_refused(server: Serving, place: Path, body: bytes) -> None:
    jobs = set(server.jobs())
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = server.ask("POST", JOBS, body, headers, scale=2)
    assert answer.status in (400, 413, 422)
    assert set(server.jobs()) == jobs
    assert not list((place / "state" / "uploads").iterdir())


def test_one_bad_file_of_a_form_does_not_lose_the_others(server: Serving) -> None:
    parts = {
        "a.png": png(),
        "../bad.png": b"no picture",
        "empty.png": b"",
        "large.png": bytes(8_100_000),
        "b.png": png(),
    }
    body = b""
    for name, content in parts.items():
        body += (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="'
            + name.encode()
            + b'"\r\n\r\n'
            + content
            + b"\r\n"
        )
    body += b"--x--\r\n"
    answer = server.ask("POST", JOBS, body, {"Content-Type": "multipart/form-data; boundary=x"}, scale=2)
    assert answer.status == 202
    assert [job["name"] for job in answer.json["jobs"]] == ["a.png", "b.png"]
    refused = {bad["name"]: bad["status"] for bad in answer.json["refused"]}
    assert refused == {"bad.png": 415, "empty.png": 422, "large.png": 413}


@pytest.mark.skipif(sys.platform == "win32", reason="other rights there")
def test_the_token_is_long_and_readable_by_its_owner_alone(server: Serving, place: Path) -> None:
    assert len(server.token) >= 43
    assert stat.S_IMODE((place / "state" / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE((place / "state" / "jobs").stat().st_mode) == 0o700
