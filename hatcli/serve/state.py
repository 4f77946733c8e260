"""The server's folder: the queue's database, the token, and a folder for each job under a random name."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from pathlib import Path
from typing import BinaryIO

import platformdirs

from hatcli.atomic import write_error
from hatcli.errors import OutputError, UsageError
from hatcli.serve.jobs import Job
from hatcli.serve.limits import SPARE

_ID = re.compile(r"[0-9a-f]{32}")
_TOKEN_BYTES = 32
_LOCKED_BYTE = 1 << 30
_ELSEWHERE = "name another folder with --state"


def default_folder() -> Path:
    """Where the platform keeps what programs must not forget."""
    return Path(platformdirs.user_state_dir("hat", appauthor=False)) / "serve"


def new_id() -> str:
    """A name nobody can guess, and that is nobody's."""
    return secrets.token_hex(16)


class State:
    """The folder, held by one server at a time.

    Raises:
        OutputError: it cannot be made or written.
        UsageError: another server has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._jobs, self._uploads = folder / "jobs", folder / "uploads"
        try:
            for place in (folder, self._jobs, self._uploads):
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held = open(folder / "lock", "ab+")  # noqa: SIM115  (held until the end)
        except OSError as error:
            raise OutputError(write_error(folder / "lock", error).message, hint=_ELSEWHERE) from error
        if not _lock(self._held):
            self._held.close()
            raise UsageError(f"another hat serve uses {folder}", hint=_ELSEWHERE)

    def close(self) -> None:
        """Let another server have it."""
        self._held.close()

    @property
    def database(self) -> Path:
        return self.folder / "queue.sqlite"

    def token(self) -> str:
        """The secret that lets clients in: 32 random bytes, made once, readable by this user alone."""
        path = self.folder / "token"
        try:
            known = path.read_text(encoding="ascii").strip() if path.is_file() else ""
            if re.fullmatch(r"[A-Za-z0-9_-]{43}", known):
                return known
            path.unlink(missing_ok=True)
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            with open(path, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(token + "\n")
        except (OSError, ValueError) as error:
            raise write_error(path, error if isinstance(error, OSError) else OSError(str(error))) from error
        return token

    def upload(self, id: str) -> Path:
        """Where a picture is kept until it is all there."""
        return self._uploads / _checked(id)

    def accept(self, id: str) -> Path:
        """Move what was uploaded to the job's own folder."""
        folder = self._jobs / _checked(id)
        folder.mkdir(mode=0o700)
        return self.upload(id).rename(folder / "source")

    def source(self, job: Job) -> Path:
        """The job's picture."""
        return Path(job.source) if job.source is not None else self._jobs / _checked(job.id) / "source"

    def result(self, job: Job) -> Path:
        """Where the job's result is, or will be."""
        if job.target is not None:
            return Path(job.target)
        return self._jobs / _checked(job.id) / f"result-{job.attempts}{Path(job.output or '').suffix}"

    def view(self, job: Job, name: str) -> Path:
        """Where a small picture for the page is kept: `thumbnail`, `source`, or each attempt's `result`."""
        return self.folder_of(job.id) / (f"view-{job.attempts}.webp" if name == "result" else f"{name}-view.webp")

    def folder_of(self, id: str) -> Path:
        """A job's own folder, made if missing."""
        folder = self._jobs / _checked(id)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def remove(self, id: str) -> None:
        """Remove a job's folder; its files below the root stay."""
        shutil.rmtree(self._jobs / _checked(id), ignore_errors=True)

    def sweep(self, known: set[str]) -> int:
        """Remove what killed servers left: uploads that were never whole, and folders of no job. Returns how many."""
        lost = [path for path in self._jobs.iterdir() if path.name not in known and _ID.fullmatch(path.name)]
        for path in lost:
            shutil.rmtree(path, ignore_errors=True)
        broken = [path for path in self._uploads.iterdir() if _ID.fullmatch(path.name)]
        for path in broken:
            path.unlink(missing_ok=True)
        return len(lost) + len(broken)

    def free_bytes(self) -> int:
        """What may still be written to the disk."""
        disk = shutil.disk_usage(self.folder)
        return max(0, disk.free - min(SPARE, disk.total // 20))


def _checked(id: str) -> str:
    """An id again: the only thing that ever becomes part of a path here."""
    if not _ID.fullmatch(id):
        raise ValueError(f"{id!r} is no id")
    return id


def _lock(file: BinaryIO) -> bool:
    """Take the folder for this process, until it ends however it may; False: another one has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
