"""A real S3 server on this machine, a proxy that breaks what goes to it, and pictures in it; for tests."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from hatcli.image import encode
from hatcli.image.picture import Picture

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-SECRET-bPxRfiCYEXAMPLEKEY"
SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


@contextmanager
def s3_server() -> Iterator[str]:
    """moto's server; its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def found_by_environment(url: str) -> dict[str, str]:
    """Variables by which hat finds the store."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }


def client(url: str) -> Any:
    """Somebody else's way into the same store."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )


def png(number: int, side: int = 8) -> bytes:
    """A small picture of its own."""
    pixels = np.random.default_rng(number).integers(0, 256, (side, side + 1, 3)).astype(np.uint8)
    return encode.encode(Picture(pixels), format="PNG")


class Faults(BaseHTTPRequestHandler):
    """Hands requests on, and breaks some of them; which, chance says."""

    protocol_version = "HTTP/1.1"
    target = ""
    chance = random.Random(0)
    share = 0.3
    ways = ("cut before", "cut after", "half", "500", "503", "delay")
    met: set[str] = set()  # noqa: RUF012  (of a class made for one server)
    asked: list[tuple[str, str]] = []  # noqa: RUF012  (so is this)

    def handle_any(self) -> None:
        """A request of any kind."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path))
        way = self.chance.choice(self.ways) if self.chance.random() < self.share else ""
        self.met.add(way)
        if way == "cut before":
            self.close_connection = True
            return
        if way in ("500", "503"):
            self._answer(int(way), [("Content-Type", "application/xml")], SLOW_DOWN if way == "503" else b"")
            return
        if way == "delay":
            threading.Event().wait(0.3)
        place = urlsplit(self.target)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        connection.request(self.command, self.path, body=body, headers=dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if way == "cut after":  # it was done, and nobody hears of it
            self.close_connection = True
            return
        self._answer(answer.status, answer.getheaders(), content, half=way == "half" and len(content) > 1)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, half: bool = False) -> None:
        self.send_response_only(status)
        dropped = ("connection", "transfer-encoding", "content-length")
        length = str(len(content))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            if name.lower() not in dropped:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if half else content)
        self.close_connection = self.close_connection or half

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is printed."""


@contextmanager
def faulty(target: str, *, seed: int, share: float = 0.3) -> Iterator[tuple[str, set[str]]]:
    """A proxy before a server; its URL, and the ways in which it broke something."""
    told: dict[str, Any] = {"target": target, "chance": random.Random(seed), "share": share, "met": set()}
    with _proxy(told) as url:
        yield url, told["met"]


@contextmanager
def watched(target: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A proxy before a server that breaks nothing; its URL, and methods and paths of what was asked."""
    told: dict[str, Any] = {"target": target, "share": 0.0, "asked": []}
    with _proxy(told) as url:
        yield url, told["asked"]


@contextmanager
def _proxy(told: dict[str, Any]) -> Iterator[str]:
    handler = type("SomeFaults", (Faults,), {"asked": [], **told})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
