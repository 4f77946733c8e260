"""A Hub on 127.0.0.1 that answers as the real one does, with the faults a test asks for; listens nowhere else."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest
from huggingface_hub import constants

from hatcli.models import transfer

REPO = "someone/weights"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Published:
    """One file on the fake Hub and how it misbehaves."""

    content: bytes
    status: int = 200
    error_code: str | None = None
    cuts: list[int | None] = field(default_factory=list)  # bytes after which the next bodies break off; None: not
    content_type: str = "application/octet-stream"
    ranges: bool = True  # answers Range with 206, else with the whole file
    lengths: bool = True  # says Content-Length
    wrong_start: bool = False  # answers Range with other bytes than were asked for
    tag: str | None = None  # what is said to be the sha256; None: the true one
    redirect: bool = True  # sends to the storage server, as the Hub does for large files
    token: str | None = None  # required
    chunk_pause: float = 0.0  # seconds between pieces
    piece: int = 4096  # bytes
    missing: int = 0  # bytes at the end that are announced and never sent: asked for alone, they are answered with 416
    endless: bool = False  # goes on after the last byte


@dataclass(frozen=True)
class Seen:
    """One request."""

    server: str  # hub or storage
    method: str
    path: str
    range: str | None
    authorization: str | None


class FakeHub:
    """Two servers: the Hub itself and the storage it redirects to. Use as a context manager."""

    def __init__(self) -> None:
        self.files: dict[str, Published] = {}
        self.seen: list[Seen] = []
        self._servers = {"hub": self._serve("hub"), "storage": self._serve("storage")}

    def __enter__(self) -> FakeHub:
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def url(self, server: str = "hub") -> str:
        return f"http://127.0.0.1:{self._servers[server].server_address[1]}"

    def publish(self, repo: str, path: str, content: bytes, *, revision: str = COMMIT) -> Published:
        """A file in a repository; the answer can be changed to make it misbehave."""
        return self.put(f"/{repo}/resolve/{revision}/{path}", content)

    def put(self, path: str, content: bytes) -> Published:
        """A file at a plain address."""
        self.files[path] = Published(content)
        return self.files[path]

    def bodies(self) -> list[Seen]:
        """The requests that asked for a body somewhere it is really served."""
        return [seen for seen in self.seen if seen.method == "GET" and not self._is_redirect(seen)]

    def _is_redirect(self, seen: Seen) -> bool:
        return seen.server == "hub" and seen.path in self.files and self.files[seen.path].redirect

    def _serve(self, name: str) -> ThreadingHTTPServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub._answer(self, name)

            def do_GET(self) -> None:
                hub._answer(self, name)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that went away is what several tests are about

        server = Server(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        return server

    def _answer(self, request: BaseHTTPRequestHandler, server: str) -> None:
        path = unquote(urlsplit(request.path).path)  # a whole address when asked as a proxy
        self.seen.append(
            Seen(server, request.command, path, request.headers.get("Range"), request.headers.get("Authorization"))
        )
        file = self.files.get(path)
        if file is None:
            self._head(request, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT, "Content-Length": "0"})
        elif file.token is not None and server == "hub" and request.headers.get("Authorization") != file.token:
            self._head(request, 401, {"X-Error-Code": "GatedRepo", "Content-Length": "0"})
        elif file.status != 200:
            code = {"X-Error-Code": file.error_code} if file.error_code else {}
            self._head(request, file.status, {**code, "Content-Length": "0"})
        elif server == "hub" and file.redirect:
            location = f"{self.url('storage')}{path}?signature=1"
            self._head(request, 302, {**self._facts(file), "Location": location, "Content-Length": "0"})
        else:
            self._body(request, file, self._facts(file) if server == "hub" else {})

    def _facts(self, file: Published) -> dict[str, str]:
        tag = file.tag or hashlib.sha256(file.content).hexdigest()
        return {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(file.content))}

    def _body(self, request: BaseHTTPRequestHandler, file: Published, facts: dict[str, str]) -> None:
        start, status = 0, 200
        headers = {**facts, "Content-Type": file.content_type, "Accept-Ranges": "bytes"}
        asked = request.headers.get("Range")
        size = len(file.content)
        if asked and file.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= size - file.missing:
                self._head(request, 416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                return
            start, status = (0, 206) if file.wrong_start else (start, 206)
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        if file.lengths:
            headers["Content-Length"] = str(size - start)
        else:
            headers["Connection"] = "close"
        self._head(request, status, headers)
        if request.command == "HEAD":
            return
        cut = file.cuts.pop(0) if file.cuts else None
        if file.missing:
            cut = max(size - file.missing - start, 0)
        body = file.content[start:] if cut is None else file.content[start : start + cut]
        for piece in range(0, len(body), file.piece):
            request.wfile.write(body[piece : piece + file.piece])
            if file.chunk_pause:
                time.sleep(file.chunk_pause)
        while file.endless and not file.lengths:
            request.wfile.write(bytes(file.piece))
        if cut is not None or not file.lengths:
            request.close_connection = True

    def _head(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        request.send_response(status)
        for key, value in headers.items():
            request.send_header(key, value)
        request.end_headers()


@contextmanager
def standing_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A running fake Hub that the Hub client in this process takes for the real one, and an empty store."""
    for name in ("HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transfer, "PAUSE", 0.01)
    with FakeHub() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url())
        template = running.url() + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        huggingface_hub.close_session()
        yield running
        huggingface_hub.close_session()
