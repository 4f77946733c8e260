"""What the server can be asked to do, without HTTP: from a received picture to a queued job, and on to its files."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatcli.models import catalog
from hatcli.serve.inspection import Inspector
from hatcli.serve.jobs import DONE, ENDED, QUEUED, Job
from hatcli.serve.limits import FULL, Limits, RefusedError, disk_full
from hatcli.serve.parameters import Parameters, safe_name
from hatcli.serve.queue import Queue
from hatcli.serve.root import Root
from hatcli.serve.state import State, new_id

THUMBNAIL, VIEW = 320, 4096  # pixels a side


@dataclass
class Desk:
    """Everything a request needs.

    Attributes:
        looks: looks at pictures that come in.
        views: makes small pictures, which takes longer.
        root: the folder whose pictures clients may name, or None.
    """

    state: State
    queue: Queue
    limits: Limits
    looks: Inspector
    views: Inspector
    root: Root | None = None

    def accept(self, id: str, name: str, size: int, wanted: Parameters, *, held: bool = False) -> Job:
        """An upload that is all here becomes a job.

        Raises:
            RefusedError: it is no picture, too large, cannot become what is wanted, or there are too many.
        """
        path, name = self.state.upload(id), safe_name(name)
        try:
            self._check_model(wanted)
            if self.queue.kept_bytes() + size > self.limits.max_disk:
                raise RefusedError(
                    507, "the server keeps as many pictures as it may", hint="remove ended jobs, or send it later"
                )
            found = self.looks.look(path, name, wanted)
            self.state.accept(id)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        job = Job(id, "upscale", name, QUEUED, 0.0, wanted.facts(), size, time.time(), held=held, **found)
        return self._submit(job)

    def accept_from_root(self, given: str, output: str | None, wanted: Parameters, *, held: bool = False) -> Job:
        """A picture below the root becomes a job whose result goes beside it, or to a folder there.

        Raises:
            RefusedError: there is no root, or no such picture.
        """
        if self.root is None:
            raise RefusedError(403, "this server opens no folder", hint="start it with hat serve --root FOLDER")
        self._check_model(wanted)
        path = self.root.picture(given)
        folder = path.parent if output is None else self.root.folder(output)
        found = self.looks.look(path, path.name, wanted)
        target = folder / found["output"]
        size = path.stat().st_size
        job = Job(
            new_id(), "upscale", path.name, QUEUED, 0.0, wanted.facts(), size, time.time(),
            source=str(path), target=str(target), held=held, **found,
        )  # fmt: skip
        return self._submit(job)

    def preview(self, id: str, x: int, y: int, size: int, wanted: Parameters) -> Job:
        """A piece of a job's picture becomes a job that goes before the queue.

        Raises:
            RefusedError: there is no such job, or its picture cannot be read.
        """
        whole = self.job(id)
        self.queue.check_room()
        self._check_model(wanted)
        source, fresh = self.source(whole), new_id()
        try:
            path = self.state.upload(fresh)
            size_bytes = self.views.crop(source, path, name=whole.name, x=x, y=y, size=size)
            name = safe_name(f"{Path(whole.name).stem}.png")
            found = self.looks.look(path, name, wanted)
            self.state.accept(fresh)
        except BaseException:
            self.state.upload(fresh).unlink(missing_ok=True)
            raise
        return self._submit(Job(fresh, "preview", name, QUEUED, 0.0, wanted.facts(), size_bytes, time.time(), **found))

    def start(self, id: str, wanted: Parameters | None) -> Job:
        """A held job may run, with other parameters if there are some.

        Raises:
            RefusedError: there is none, it is not held, or it cannot become what is wanted.
        """
        return self.queue.start(id, **self._planned(self.job(id), wanted))

    def retry(self, id: str, wanted: Parameters | None) -> Job:
        """An ended job is done again, with other parameters if there are some; an old result goes.

        Raises:
            RefusedError: there is none, it has not ended, or it cannot become what is wanted.
        """
        old = self.job(id)
        job = self.queue.retry(id, **self._planned(old, wanted))
        if old.target is None:
            self.state.result(old).unlink(missing_ok=True)  # the new one has a name of its own
        self.state.view(old, "result").unlink(missing_ok=True)
        return job

    def _planned(self, job: Job, wanted: Parameters | None) -> dict[str, Any]:
        """What changes with new parameters."""
        if wanted is None:
            return {}
        self._check_model(wanted)
        found = self.looks.look(self.source(job), job.name, wanted)
        if job.target is not None:
            found["target"] = str(Path(job.target).parent / found["output"])
        return {"parameters": wanted.facts(), "model": None, **found}

    def _submit(self, job: Job) -> Job:
        try:
            return self.queue.submit(job)
        except BaseException:
            self.state.remove(job.id)
            raise

    def _check_model(self, wanted: Parameters) -> None:
        """Refuse a model that is not here."""
        if wanted.model == "auto":
            return
        family = catalog.family(wanted.model)
        if not any(catalog.is_installed(entry) for entry in family):
            raise RefusedError(
                422, f"{family[0].name} is not installed", hint=f"hat download {family[0].name}, or the page's menu"
            )

    def job(self, id: str) -> Job:
        """A job.

        Raises:
            RefusedError: there is none.
        """
        job = self.queue.get(id)
        if job is None:
            raise RefusedError(404, "there is no such job", hint="it may have been removed")
        return job

    def source(self, job: Job) -> Path:
        """The picture of a job.

        Raises:
            RefusedError: it is not there any more.
        """
        return _there(self.state.source(job))

    def result(self, job: Job) -> Path:
        """The whole result of a job that is done.

        Raises:
            RefusedError: it is not done, or its file has gone.
        """
        if job.state != DONE:
            raise RefusedError(409, f"the job is {job.state}", hint="its result is there when it is done")
        return _there(self.state.result(job))

    def view(self, job: Job, kind: str) -> Path:
        """A small picture for the page: `thumbnail`, `source` or `result`; made when it is first asked for.

        Raises:
            RefusedError: there is nothing to show.
        """
        path = self.result(job) if kind == "result" else self.source(job)
        target = self.state.view(job, kind)
        if not target.is_file():
            if self.state.free_bytes() <= 0:
                raise disk_full()
            self.views.view(path, target, side=THUMBNAIL if kind == "thumbnail" else VIEW)
        return target

    def remove(self, id: str) -> None:
        """Forget an ended job with its files; results below the root stay.

        Raises:
            RefusedError: there is none, or it has not ended.
        """
        try:
            self.queue.remove(id)
        except RefusedError as error:
            if error.status != FULL or self.job(id).state not in ENDED:
                raise
            self.state.remove(id)  # the room that the queue needs to forget it
            self.queue.remove(id)
        self.state.remove(id)

    def clean(self) -> None:
        """Remove ended jobs that are older than they may be."""
        for job in self.queue.ended_before(time.time() - self.limits.max_age):
            if job.state in ENDED:
                self.remove(job.id)

    def facts(self, job: Job) -> dict[str, Any]:
        """A job as clients see it."""
        return self.queue.facts(job)

    def disk(self) -> dict[str, int]:
        """Bytes of the disk: free, and kept here."""
        return {"free_bytes": shutil.disk_usage(self.state.folder).free, "kept_bytes": self.queue.kept_bytes()}


def _there(path: Path) -> Path:
    if not path.is_file():
        raise RefusedError(404, "the file is not there any more", hint="send the picture again")
    return path
