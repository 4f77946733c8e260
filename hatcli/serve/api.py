"""The HTTP API: addresses to what the desk can do, failures to JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from hatcli import __version__
from hatcli.errors import HatError
from hatcli.image import extras, formats
from hatcli.serve import asked, downloads, metrics, models, page, parameters, uploads
from hatcli.serve.desk import Desk
from hatcli.serve.events import Events
from hatcli.serve.guard import refused
from hatcli.serve.jobs import DONE, ENDED
from hatcli.serve.limits import RefusedError
from hatcli.serve.models import Downloads
from hatcli.serve.openapi import document

PREFIX = "/api/v1"
SMALLEST_PIECE, LARGEST_PIECE = 16, 1024  # pixels a side of a preview
MOST_ZIPPED = 10_000


class Api:
    """The endpoints.

    Args:
        paused: why no job can be done now, or None.
        stop: ends the server.
    """

    def __init__(
        self, desk: Desk, events: Events, fetching: Downloads, *, paused: Callable[[], str | None],
        stop: Callable[[], None],
    ) -> None:  # fmt: skip
        self._desk, self._events, self._fetching = desk, events, fetching
        self._paused, self._stop = paused, stop
        self._page = page.read()
        self._received = 0  # bytes of accepted pictures

    def application(self) -> Starlette:
        """All of it as an ASGI application; who may ask is decided before it."""
        routes = [Route("/", self.start), Route("/assets/{name}", self.asset)]
        routes += [Route(PREFIX + path, endpoint, methods=[method]) for method, path, endpoint in self._endpoints()]
        handlers: dict[Any, Any] = {
            RefusedError: _refused,
            HatError: _hat_error,
            HTTPException: _http_error,
            ClientDisconnect: _gone,
            Exception: _bug,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    def _endpoints(self) -> list[tuple[str, str, Callable[[Request], Any]]]:
        return [
            ("POST", "/jobs", self.submit),
            ("POST", "/jobs/from-root", self.submit_from_root),
            ("GET", "/jobs", self.jobs),
            ("GET", "/jobs/zip", self.zip),
            ("GET", "/jobs/{id}", self.job),
            ("DELETE", "/jobs/{id}", self.delete),
            ("POST", "/jobs/{id}/cancel", self.cancel),
            ("POST", "/jobs/{id}/start", self.start_held),
            ("POST", "/jobs/{id}/retry", self.retry),
            ("POST", "/jobs/{id}/move", self.move),
            ("GET", "/jobs/{id}/result", self.result),
            ("GET", "/jobs/{id}/thumbnail", self.thumbnail),
            ("GET", "/jobs/{id}/view/source", self.source_view),
            ("GET", "/jobs/{id}/view/result", self.result_view),
            ("POST", "/previews", self.preview),
            ("GET", "/root", self.root),
            ("GET", "/models", self.models),
            ("POST", "/models/{name}/download", self.download),
            ("GET", "/limits", self.limits),
            ("POST", "/stop", self.stop),
            ("GET", "/events", self.stream),
            ("GET", "/health", self.health),
            ("GET", "/metrics", self.metrics),
            ("GET", "/openapi.json", self.openapi),
        ]

    def start(self, request: Request) -> Response:
        return page.answer(request, self._page, page.START)

    def asset(self, request: Request) -> Response:
        return page.answer(request, self._page, request.path_params["name"])

    async def submit(self, request: Request) -> Response:
        """One picture as the body, or several in multipart/form-data."""
        try:
            wanted = parameters.parse(asked.query(request), ignored=("name", "hold"))
            held = asked.hold(request.query_params)
            self._desk.queue.check_room()
            several = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
            uploads.check_announced(request, self._desk.state, self._desk.limits, several=several)
            if several:
                return await self._submit_several(request, wanted, held)
            upload = await uploads.receive_one(request, self._desk.state, self._desk.limits)
        except RefusedError:
            await uploads.drain(request)
            raise
        name = request.query_params.get("name", "")
        job = await run_in_threadpool(self._desk.accept, upload.id, name, upload.bytes, wanted, held=held)
        self._received += upload.bytes
        return JSONResponse(self._desk.facts(job), status_code=202)

    async def _submit_several(self, request: Request, wanted: parameters.Parameters, held: bool) -> Response:
        accepted: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        async for upload in uploads.receive_several(request, self._desk.state, self._desk.limits):
            try:
                if upload.refusal is not None:
                    raise upload.refusal
                name = upload.name or ""
                job = await run_in_threadpool(self._desk.accept, upload.id, name, upload.bytes, wanted, held=held)
            except RefusedError as error:
                name = parameters.safe_name(upload.name or "")
                bad.append({"name": name, "error": error.message, "hint": error.hint, "status": error.status})
            else:
                self._received += upload.bytes
                accepted.append(self._desk.facts(job))
        if not accepted and not bad:
            raise RefusedError(422, "there is no picture in the request", hint="send files in multipart/form-data")
        return _several(accepted, bad)

    async def submit_from_root(self, request: Request) -> Response:
        """Pictures below the server's root, by their names there."""
        body = await asked.body(request, self._desk.limits)
        paths, output = body.pop("paths", None), body.pop("output", None)
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
            raise RefusedError(422, "paths is not a list of names", hint='{"paths": ["a.png"], "scale": 2}')
        if output is not None and not isinstance(output, str):
            raise RefusedError(422, "output is not the name of a folder", hint=None)
        texts = {name: asked.text(name, value) for name, value in body.items()}
        held, wanted = asked.hold(texts), parameters.parse(texts, ignored=("hold",))
        jobs: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for path in paths[: self._desk.limits.max_jobs]:
            try:
                job = await run_in_threadpool(self._desk.accept_from_root, path, output, wanted, held=held)
                jobs.append(self._desk.facts(job))
            except RefusedError as error:
                known = path.encode("utf-8", "replace").decode()
                bad.append({"name": known, "error": error.message, "hint": error.hint, "status": error.status})
        return _several(jobs, bad)

    def root(self, request: Request) -> Response:
        if self._desk.root is None:
            raise RefusedError(403, "this server opens no folder", hint="start it with hat serve --root FOLDER")
        return JSONResponse(self._desk.root.listing(request.query_params.get("path", "")))

    def jobs(self, request: Request) -> Response:
        return JSONResponse({"jobs": [self._desk.facts(job) for job in self._desk.queue.jobs()]})

    def job(self, request: Request) -> Response:
        return JSONResponse(self._desk.facts(self._desk.job(request.path_params["id"])))

    def cancel(self, request: Request) -> Response:
        return JSONResponse(self._desk.facts(self._desk.queue.cancel(request.path_params["id"])))

    def retry(self, request: Request) -> Response:
        """An ended job once more; with other parameters if the query has some."""
        wanted = asked.parameters_or_none(request)
        return JSONResponse(self._desk.facts(self._desk.retry(request.path_params["id"], wanted)))

    def start_held(self, request: Request) -> Response:
        """A job that was sent with hold=1; with other parameters if the query has some."""
        wanted = asked.parameters_or_none(request)
        return JSONResponse(self._desk.facts(self._desk.start(request.path_params["id"], wanted)))

    async def move(self, request: Request) -> Response:
        before = (await asked.body(request, self._desk.limits)).get("before")
        if before is not None and not isinstance(before, str):
            raise RefusedError(422, "before is neither a job's id nor null", hint=None)
        job = await run_in_threadpool(self._desk.queue.move, request.path_params["id"], before)
        return JSONResponse(self._desk.facts(job))

    def delete(self, request: Request) -> Response:
        job = self._desk.job(request.path_params["id"])
        if job.state not in ENDED:
            return JSONResponse(self._desk.facts(self._desk.queue.cancel(job.id)))
        self._desk.remove(job.id)
        return Response(status_code=204)

    def result(self, request: Request) -> Response:
        job = self._desk.job(request.path_params["id"])
        return downloads.attachment(self._desk.result(job), job.output or "result")

    def thumbnail(self, request: Request) -> Response:
        return self._view(request, "thumbnail")

    def source_view(self, request: Request) -> Response:
        return self._view(request, "source")

    def result_view(self, request: Request) -> Response:
        return self._view(request, "result")

    def _view(self, request: Request, kind: str) -> Response:
        return downloads.inline(self._desk.view(self._desk.job(request.path_params["id"]), kind))

    def zip(self, request: Request) -> Response:
        """Results of the named jobs, or of all that are done."""
        given = request.query_params.get("ids")
        if given is None:
            jobs = [job for job in self._desk.queue.jobs() if job.state == DONE and job.kind == "upscale"]
        else:
            jobs = [self._desk.job(id) for id in given.split(",")[:MOST_ZIPPED] if id]
        files = [(self._desk.result(job), job.output or "result") for job in jobs]
        if not files:
            raise RefusedError(409, "no job is done", hint="wait for one")
        headers = {"content-disposition": downloads.disposition("hat.zip"), **downloads.OWN_POLICY}
        pieces = iter(()) if request.method == "HEAD" else downloads.zipped(files)
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)

    def preview(self, request: Request) -> Response:
        """A piece of a job's picture, enlarged before everything else."""
        query = asked.query(request)
        places = {name: asked.whole(name, query.get(name, "0"), 0, 1 << 20) for name in ("x", "y")}
        size = asked.whole("size", query.get("size", "200"), SMALLEST_PIECE, LARGEST_PIECE)
        wanted = parameters.parse(query, ignored=("x", "y", "size", "job"))
        job = self._desk.preview(query.get("job", ""), places["x"], places["y"], size, wanted)
        return JSONResponse(self._desk.facts(job), status_code=202)

    def models(self, request: Request) -> Response:
        return JSONResponse({"models": models.listed()})

    def download(self, request: Request) -> Response:
        given = request.query_params.get("scale")
        scale = None if given is None else asked.whole("scale", given, 1, 16)
        return JSONResponse({"downloads": self._fetching.start(request.path_params["name"], scale)}, status_code=202)

    def limits(self, request: Request) -> Response:
        limits = self._desk.limits
        return JSONResponse(
            {
                "max_bytes": limits.max_bytes,
                "max_pixels": limits.max_pixels,
                "max_jobs": limits.max_jobs,
                "max_disk": limits.max_disk,
                "max_age": limits.max_age,
                "formats_in": [name.lower() for name in formats.READABLE if extras.is_there(name)],
                "formats_out": [name.lower() for name in formats.WRITABLE if extras.is_there(name)],
                "suffixes": sorted(ending for ending, name in formats.SUFFIXES.items() if extras.is_there(name)),
                "factors": [2, 3, 4],
                "root": self._desk.root is not None,
                "version": __version__,
            }
        )

    def stop(self, request: Request) -> Response:
        self._stop()
        return JSONResponse({"status": "ending"}, status_code=202)

    async def stream(self, request: Request) -> Response:
        if self._events.is_full:
            raise RefusedError(429, "too many listen already", hint="close other pages")
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        last = request.headers.get("last-event-id")
        return StreamingResponse(self._events.stream(last), media_type="text/event-stream")

    def health(self, request: Request) -> Response:
        paused = self._paused()
        return JSONResponse({"status": "paused" if paused else "ok", "paused": paused, "version": __version__})

    def metrics(self, request: Request) -> Response:
        counters = {"hat_received_bytes_total": float(self._received)}
        found = metrics.text(
            self._desk, listeners=self._events.count, paused=self._paused() is not None, counters=counters
        )
        return PlainTextResponse(found, media_type="text/plain; version=0.0.4")

    def openapi(self, request: Request) -> Response:
        return JSONResponse(document())


def _several(accepted: list[dict[str, Any]], bad: list[dict[str, Any]]) -> Response:
    """What became of several pictures; an error if nothing came of any."""
    found = {"jobs": accepted, "refused": bad}
    if accepted:
        return JSONResponse(found, status_code=202)
    return JSONResponse({"error": bad[0]["error"], "hint": bad[0]["hint"], **found}, status_code=bad[0]["status"])


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return refused(error.status, error.message, error.hint)


def _hat_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HatError)
    return refused(500, error.message, error.hint)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = {404: "there is nothing at this address", 405: "this address is not for such requests"}
    answer = refused(error.status_code, known.get(error.status_code, error.detail), f"see {PREFIX}/openapi.json")
    answer.headers.update(error.headers or {})
    return answer


def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


def _bug(request: Request, error: Exception) -> Response:
    return refused(500, f"hat failed with {type(error).__name__}", "this is a bug in hat: please report it")
