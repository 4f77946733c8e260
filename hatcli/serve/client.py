"""The other side of the API: pictures sent to a server, watched, and their results fetched, as a run tells it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from hatcli.atomic import replacing
from hatcli.batch.claims import Claim
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Advanced, Event, Outcome, Started
from hatcli.batch.plan import Job, Plan, reason_to_skip
from hatcli.batch.reading import Stamp
from hatcli.batch.run import noted
from hatcli.batch.stamps import stamp_open
from hatcli.batch.writing import folder_of
from hatcli.errors import HatError, InputError, UsageError
from hatcli.outside import open_plain
from hatcli.upscaling.progress import Progress

AHEAD = 4  # pictures that are sent before the first of them is done
LOOK_EVERY = 0.2  # seconds between two looks at a job
PATIENCE = 60.0  # seconds a server may not answer, as while it starts again
SEND_PATIENCE = 600.0  # seconds until an answer to an upload
PIECE = 1 << 20  # bytes

ENDED = ("done", "failed", "cancelled")


class Client:
    """A server as a program sees it.

    Args:
        address: as `hat serve` prints it; a token in it counts.

    Raises:
        UsageError: the address is none, or there is no token.
    """

    def __init__(self, address: str, token: str | None) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--server {address} is no address", hint="write it as http://127.0.0.1:8765")
        self.address = f"{parts.scheme}://{parts.netloc}"
        self._parts = parts
        given = token or dict(pair.partition("=")[::2] for pair in parts.query.split("&")).get("token")
        if not given:
            raise UsageError(
                "the server wants a token", hint="hat serve has printed it: give --token, or set HAT_TOKEN"
            )
        self._headers = {"Authorization": f"Bearer {given}", "X-Hat": "1", "Connection": "close"}

    def ask(self, method: str, path: str, body: Any = None, *, patience: float = PATIENCE, **headers: str) -> Any:
        """The JSON of an answer.

        Raises:
            HatError: the server refuses, in its own words, or does not answer.
        """
        with self._answer(method, path, body, patience, headers) as answer:
            content = answer.read()
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise HatError(f"{self.address} is no hat server", hint="check the address") from None

    def again(self, method: str, path: str) -> Any:
        """`ask`, and for a while once more if the server does not answer: it may be starting again."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.ask(method, path)
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)

    def fetch(self, id: str) -> Iterator[bytes]:
        """The result of a job, piece by piece.

        Raises:
            HatError: it cannot be had, or ended too early.
        """
        with self._answer("GET", f"/jobs/{id}/result", None, PATIENCE, {}) as answer:
            left = int(answer.headers.get("content-length", "0"))
            while piece := answer.read(PIECE):
                left -= len(piece)
                yield piece
        if left:
            raise UnreachableError(f"{self.address} ended in the middle of a result", hint="try it again")

    def _answer(
        self, method: str, path: str, body: Any, patience: float, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        connection = self._connection(patience)
        try:
            connection.request(method, f"/api/v1{path}", body, {**self._headers, **headers})
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UnreachableError(
                f"{self.address} does not answer: {reason}", hint="is hat serve running there?"
            ) from error
        if answer.status < 400:
            return answer
        raise _refusal(answer)

    def _connection(self, patience: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=patience, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=patience)


class UnreachableError(HatError):
    """A server that does not answer."""


def _refusal(answer: http.client.HTTPResponse) -> HatError:
    """What a server says instead of doing something."""
    with answer:
        content = answer.read(PIECE)
    try:
        told = json.loads(content)
        message, hint = str(told["error"]), told.get("hint")
    except (ValueError, TypeError, KeyError):
        message, hint = f"the server answers {answer.status}", "check the address"
    if answer.status == 401:
        hint = "give --token, or HAT_TOKEN, as hat serve has printed it"
    if answer.status in (401, 403, 421):
        return UsageError(message, hint=hint)
    return HatError(message, hint=hint)


def enlarge(
    jobs: list[Job], client: Client, plan: Plan, journals: dict[Path, Journal], parameters: Mapping[str, Any]
) -> Generator[Event, None, None]:
    """Jobs done by a server; told as `batch.run.run` tells of those that are done here.

    Some pictures are sent before the first is done. However it ends, the server keeps none of them.
    """
    sent: deque[tuple[Job, Sent | HatError]] = deque()
    waiting: deque[Job] = deque()
    for job in jobs:
        if reason := reason_to_skip(job, plan, journals):
            yield from noted([Outcome(job, "skipped", reason=reason)], journals)
        else:
            waiting.append(job)
    try:
        while waiting or sent:
            while waiting and len(sent) < AHEAD:
                job = waiting.popleft()
                sent.append((job, _sent(job, client, parameters)))
            job, what = sent[0]
            yield Started(job)
            journal = journals.get(job.root) if job.root is not None else None
            outcome = yield from _awaited(job, what, client, journal, overwrite=plan.overwrite)
            sent.popleft()
            yield from noted([outcome], journals)
            if outcome.error is not None and plan.fail_fast:
                return
    finally:
        for _, what in sent:
            if isinstance(what, Sent):
                _forget(what.id, client)


@dataclass(frozen=True)
class Sent:
    """A picture that a server has: the id it got there, and the stamp of what was sent."""

    id: str
    stamp: Stamp


class _Stamping:
    """A file that is read once, and what was read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self._status = os.fstat(file.fileno())

    @property
    def size(self) -> int:
        return self._status.st_size

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        self._digest.update(piece)
        return piece

    def stamp(self) -> Stamp:
        return Stamp(self.size, self._status.st_mtime_ns, self._digest.hexdigest())


def _sent(job: Job, client: Client, parameters: Mapping[str, Any]) -> Sent | HatError:
    """What became of sending a picture."""
    path = job.source.path
    assert path is not None
    assert job.output is not None
    query = {**parameters, "name": path.name, "format": job.output.suffix.removeprefix(".").lower()}
    try:
        with open_plain(path) as opened:
            file = _Stamping(opened)
            found = client.ask(
                "POST", f"/jobs?{urlencode(query, quote_via=quote, errors='replace')}", file, patience=SEND_PATIENCE,
                **{"Content-Length": str(file.size)},
            )  # fmt: skip
            return Sent(str(found["id"]), file.stamp())
    except OSError as error:
        return InputError(f"cannot read {path}: {error.strerror or error}")
    except HatError as error:
        return error


def _awaited(
    job: Job, what: Sent | HatError, client: Client, journal: Journal | None, *, overwrite: bool
) -> Generator[Event, None, Outcome]:
    """Watch a job to its end, and fetch its result."""
    if isinstance(what, HatError):
        return Outcome(job, "failed", error=what)
    id = what.id
    try:
        found = client.again("GET", f"/jobs/{id}")
        while found["state"] not in ENDED:
            yield Advanced(job, Progress(found["done"], found["tile"], found["tiles"]))
            time.sleep(LOOK_EVERY)
            found = client.again("GET", f"/jobs/{id}")
        if found["state"] != "done":
            message = found["error"] or "somebody cancelled it on the server"
            return Outcome(job, "failed", error=HatError(message, hint=found["hint"]))
        told = _save(job, client.fetch(id), journal, what.stamp, found["model"], overwrite=overwrite)
    except HatError as error:
        return Outcome(job, "failed", error=error)
    finally:
        _forget(id, client)
    sizes = {name: found[name] for name in ("width", "height", "source_width", "source_height")}
    notes = (*found["notes"], *told)
    return Outcome(job, "done", **sizes, seconds=found["seconds"], notes=notes, model=found["model"])


def _save(
    job: Job, pieces: Iterator[bytes], journal: Journal | None, origin: Stamp, model: str | None, *, overwrite: bool
) -> list[str]:
    """A result to its file, whole or not at all, noted before it takes its name; returns what is to be told of it."""
    output, source = job.output, job.source.origin
    assert output is not None
    claim = Claim(output, journal, overwrite)
    with folder_of(output, journal) as folder, replacing(output, replace=claim.may_replace, folder=folder) as file:
        for piece in pieces:
            file.write(piece)
        if journal is None or source is None:
            return []
        file.flush()
        made = stamp_open(file)
        found_again = claim.check(made)
        journal.record(output, source, origin=origin, made=made, made_by={"model": model})
        return found_again


def _forget(id: str, client: Client) -> None:
    """Let the server cancel a job if it is not done, and keep nothing of it."""
    with suppress(HatError):
        if client.ask("DELETE", f"/jobs/{id}") is not None:  # it was cancelled first
            client.ask("DELETE", f"/jobs/{id}")
