"""One file from one source over HTTP, continued where it broke; knows no models and does not judge what arrives."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from hatcli.errors import OutputError
from hatcli.models import store

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT = 5.0  # seconds; a network that swallows packets must not look like a slow one
PATIENCE = 2  # broken connections in a row that bring nothing, before anything has arrived
LONG_PATIENCE = 5  # the same once something has: the network is there, and comes back
PAUSE = 1.0  # seconds before the first repetition
LARGEST = 2 * 2**30  # bytes; no HAT comes near, so a body without end is refused
SLOWEST = 4096  # bytes a second; a source that delivers less is given up for the next one
PACE = 30.0  # seconds over which that is looked at
LONGEST_GAP = 15.0  # seconds that count at most between two pieces: a laptop's sleep is not the source's fault
_TEMPORARY = (408, 429, 500, 502, 503, 504)


class SourceError(Exception):
    """This source did not deliver; another may. `unreachable` tells a dead network from a wrong answer."""

    def __init__(self, reason: str, *, unreachable: bool = False, forbidden: bool = False) -> None:
        super().__init__(reason)
        self.unreachable = unreachable
        self.forbidden = forbidden


class Wanted(NamedTuple):
    """What is asked for: an address, a token for it, and what is known of the file beforehand."""

    url: str
    token: str | None
    size: int | None  # bytes
    sha256: str | None
    most: int = LARGEST  # bytes, where the size is not known

    @property
    def limit(self) -> int:
        """Bytes beyond which it cannot be what is wanted."""
        return min(self.most, LARGEST) if self.size is None else self.size


def host(url: str) -> str:
    """Who is asked, as shown to people: `huggingface.co`."""
    return urlsplit(url).netloc.rpartition("@")[2]


class Pace:
    """How fast a source delivers, over all of its connections and the pauses between them."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._seconds, self._bytes = 0.0, 0

    def arrived(self, count: int) -> None:
        """Take `count` more bytes down.

        Raises:
            SourceError: it has been too slow for too long.
        """
        now = time.monotonic()
        self._seconds += min(now - self._last, LONGEST_GAP)
        self._last = now
        self._bytes += count
        if self._seconds < PACE:
            return
        if self._bytes < SLOWEST * self._seconds:
            raise SourceError(f"delivers only {self._bytes / self._seconds:.0f} bytes a second")
        self._seconds, self._bytes = 0.0, 0


class Patience:
    """How often a source is asked again: only what it had not delivered before counts as delivered."""

    def __init__(self, kept: int) -> None:
        self._furthest = kept
        self._failures, self._has_delivered = 0, False

    def after(self, kept: int, error: _Broken | _Restart) -> float:
        """Seconds to wait before it is asked again, now that `kept` bytes are there.

        Raises:
            SourceError: it is not asked again.
        """
        if kept > self._furthest:
            self._furthest, self._failures, self._has_delivered = kept, 0, True
        else:
            self._failures += 1
        if error.final and not self._has_delivered:
            raise error.reason from None
        if self._failures >= (LONG_PATIENCE if self._has_delivered else PATIENCE):
            raise error.reason from None
        return PAUSE * max(self._failures, 1)


def receive(wanted: Wanted, part: Path) -> Generator[tuple[int, int | None]]:
    """Fetches what is missing from `part`, yielding bytes there and bytes in all; what has arrived is always kept.

    Raises:
        SourceError: the source refuses, breaks off again and again, is too slow, or announces something else.
        OutputError: `part` cannot be written.
    """
    token, pace, patience = wanted.token, Pace(), Patience(_kept(part, wanted.limit))
    while True:
        before = _kept(part, wanted.limit)
        if before == wanted.size:
            yield before, wanted.size
            return
        try:
            yield from _receive_once(wanted._replace(token=token), part, before, pace)
            return
        except _Restart as error:
            _discard(part)
            pause = patience.after(0, error)
        except _Broken as error:
            pause = patience.after(_kept(part, wanted.limit), error)
        except SourceError as error:
            if not (error.forbidden and token):
                raise
            token = None  # a stale token is refused even for public files
            continue
        time.sleep(pause)
        pace.arrived(0)


class _Broken(Exception):
    """The connection failed; `final` if repeating it before anything arrived is no use."""

    def __init__(self, reason: SourceError, *, final: bool) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.final = final


class _Restart(Exception):
    """What is kept does not fit what the source has: start over."""

    final = False

    def __init__(self) -> None:
        super().__init__()
        self.reason = SourceError("does not continue where the transfer broke")


def _receive_once(wanted: Wanted, part: Path, start: int, pace: Pace) -> Generator[tuple[int, int | None]]:
    import httpx2
    from huggingface_hub import constants, get_session

    headers = {"Accept-Encoding": "identity", "User-Agent": "hat"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if wanted.token:
        headers["Authorization"] = f"Bearer {wanted.token}"
    timeout = httpx2.Timeout(constants.HF_HUB_DOWNLOAD_TIMEOUT, connect=CONNECT_TIMEOUT)  # seconds
    try:
        with get_session().stream("GET", wanted.url, headers=headers, timeout=timeout) as response:
            _check_status(response, start)
            begin, total = _extent(response, start)
            _check_announcement(response, wanted, total)
            most = total if total is not None else wanted.limit
            for done in _save(response, part, begin=begin, most=most, pace=pace):
                yield done, total
    except (httpx2.ConnectError, httpx2.ProxyError, httpx2.TimeoutException) as error:
        slow = isinstance(error, httpx2.TimeoutException)
        reason = "no answer" if slow else f"no connection ({_brief(error)})"
        raise _Broken(SourceError(reason, unreachable=True), final=True) from None
    except (httpx2.TransportError, httpx2.StreamError) as error:
        raise _Broken(SourceError(f"the connection broke ({_brief(error)})"), final=False) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:  # too many redirects, a redirect to nonsense
        raise SourceError(_brief(error)) from None


def _check_status(response: httpx2.Response, start: int) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status == 416 and start:
        raise _Restart
    reason = SourceError(_refusal(response), forbidden=status in (401, 403))
    if status in _TEMPORARY:
        raise _Broken(reason, final=False)
    raise reason


def _refusal(response: httpx2.Response) -> str:
    status = response.status_code
    code = response.headers.get("X-Error-Code", "")
    if code == "GatedRepo":
        return "asks you to accept its terms in a browser first, then to set HF_TOKEN"
    if status in (401, 403) or code == "RepoNotFound":
        return f"refuses access ({status}); a private repository needs HF_TOKEN"
    if status in (404, 410):
        return f"has no such file any more ({status})"
    if status == 429:
        return "asks for fewer requests (429); try again later"
    return f"answers with status {status}"


def _extent(response: httpx2.Response, start: int) -> tuple[int, int | None]:
    """Where the body begins in the file, and how long the file is, as the source says."""
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if match is None or int(match[1]) != start:
            raise _Restart
        return start, None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _check_announcement(response: httpx2.Response, wanted: Wanted, total: int | None) -> None:
    """Refuses before the body what can be known to be wrong from the headers."""
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise SourceError("answers with a web page instead of the file")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise SourceError("sends the file compressed, though it was asked not to")
    if wanted.size is not None and total is not None and total != wanted.size:
        raise SourceError(f"has a file of {total} bytes, not of {wanted.size}")
    if total is not None and total > wanted.limit:
        raise SourceError(f"has a file of {total} bytes, more than the {wanted.limit} it can have")
    # The Hub tags large files with their sha256, on its own answer or on the redirect to its storage.
    for answer in (*response.history, response):
        tag = answer.headers.get("X-Linked-Etag", answer.headers.get("ETag", "")).removeprefix("W/").strip('"')
        if wanted.sha256 is not None and re.fullmatch(r"[0-9a-f]{64}", tag) and tag != wanted.sha256:
            raise SourceError("has another file under this name (its sha256 differs)")


def _save(response: httpx2.Response, part: Path, *, begin: int, most: int, pace: Pace) -> Generator[int]:
    """Writes the body behind `begin` as it arrives, yielding the bytes there; never more than `most`."""
    done = begin
    with saving(part):
        handle = open(part, "r+b" if begin else "wb", buffering=0)  # noqa: SIM115  (closed below; unbuffered: kept if killed)
    with handle:
        handle.seek(begin)
        yield done
        for chunk in response.iter_raw():
            done += len(chunk)
            if done > most:
                raise SourceError(f"sends more than the {most} bytes it can have")
            with saving(part):
                rest = memoryview(chunk)
                while rest:
                    rest = rest[handle.write(rest) :]
            yield done
            pace.arrived(len(chunk))


def _kept(part: Path, most: int) -> int:
    """Bytes an earlier transfer left; what cannot be a beginning of the file is thrown away."""
    if store.plain_file(part) is None:
        return 0
    there = part.stat().st_size
    if there > most:
        _discard(part)
        return 0
    return there


def _discard(part: Path) -> None:
    with saving(part):
        part.unlink(missing_ok=True)


@contextmanager
def saving(path: Path) -> Generator[None]:
    """Failures of the disk as one line, with exit code 5."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path}: {reason}", hint="free some space or set HAT_HOME to another folder"
        ) from None


def _brief(error: Exception) -> str:
    """The first line of an error, short and printable."""
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:120]


def free_bytes(folder: Path) -> int:
    """Space left on the disk that would hold `folder`, which may not exist yet."""
    import shutil

    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    return shutil.disk_usage(os.fspath(existing)).free
