"""Who gets in: the right host, the right page, the right token; and headers that keep pages from doing harm."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
_NAME = r"\[[0-9a-fA-F:.]+\]|[^\[\]:/?#@*\s]+"
_HOST = re.compile(rf"({_NAME})(?::[0-9]{{1,5}})?")
OPEN = ("/api/v1/health",)  # for everybody who names the right host
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; worker-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
SIGN_IN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>hat</title>
<h1>hat</h1><p>Open the address that <code>hat serve</code> has printed: it holds the token that lets you in.</p></html>
"""


class Guard:
    """Stands before the whole application.

    Args:
        token: that lets clients in.
        hosts: names this server may be called by, beside the loopback ones.
        port: names the cookie, so that two servers of one machine do not share it.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str] = (), port: int) -> None:
        self._app, self._token = app, token.encode()
        self._hosts = {_plain(host) for host in (*LOOPBACK, *hosts)}
        self._cookie = f"hat_session_{port}"
        self._session = hmac.new(self._token, b"hat session", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # nothing here speaks WebSocket

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, sent)

    def _refusal(self, scope: Scope) -> Response | None:
        """What to say instead of letting a request through; None: it may pass."""
        headers, path = Headers(scope=scope), scope["path"]
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _plain(_without_port(hosts[0])) not in self._hosts:
            return refused(421, "this server is not called by that name", "hat serve --allow-host NAME allows one more")
        if not _is_own(headers, hosts[0]):
            return refused(403, "the request comes from another page", None)
        if path == "/" and (token := _token_in(scope)) is not None:
            return self._signed_in(token)
        if path in OPEN:
            return None
        if not self._is_known(headers):
            if path == "/":
                return HTMLResponse(SIGN_IN, status_code=401)
            return refused(401, "the token is missing or wrong", "send the header Authorization: Bearer TOKEN")
        if scope["method"] in CHANGING and headers.get("x-hat") != "1":
            return refused(403, "the header X-Hat is missing", "send the header X-Hat: 1 with every change")
        return None

    def _is_known(self, headers: Headers) -> bool:
        """Whether the token or the cookie made from it comes along."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return hmac.compare_digest(given.strip().encode(), self._token)
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self._session.encode())

    def _signed_in(self, token: str) -> Response:
        """The token for a cookie, and out of the address."""
        if not hmac.compare_digest(token.encode(), self._token):
            return HTMLResponse(SIGN_IN, status_code=401)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self._cookie, self._session, httponly=True, samesite="strict", path="/", max_age=90 * 86400)
        return answer


def refused(status: int, error: str, hint: str | None) -> JSONResponse:
    """An error as clients get it."""
    return JSONResponse({"error": error, "hint": hint}, status_code=status)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_name(host: str) -> bool:
    """Whether a server can be called so: a name or an address, without port."""
    return re.fullmatch(_NAME, host if host.count(":") < 2 or "[" in host else f"[{host}]") is not None


def is_wildcard(host: str) -> bool:
    """Whether it stands for all addresses of this machine, and so is nobody's name."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def _is_own(headers: Headers, host: str) -> bool:
    """Whether a request comes from no page, or from one of this server's."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origins = headers.getlist("origin")
    if not origins:
        return True
    parts = urlsplit(origins[0])
    return len(origins) == 1 and parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _token_in(scope: Scope) -> str | None:
    if scope["method"] not in ("GET", "HEAD"):
        return None
    given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
    return given[0] if given else None


def _without_port(host: str) -> str:
    """The name in a Host header; nothing if the header is not well-formed."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found[1]


def _plain(host: str) -> str:
    return host.lower().rstrip(".").strip("[]")
