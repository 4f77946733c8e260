"""A job of the server: what is known of it, and how it is told to clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)


@dataclass(frozen=True)
class Job:
    """One picture to enlarge.

    Attributes:
        id: 32 hex digits, random; also the name of its folder.
        kind: `upscale`, or `preview` for a piece of another job's picture.
        name: what its sender called the picture, made safe to show.
        position: of two queued jobs the one with the smaller number goes first.
        parameters: as in `Parameters.facts`.
        bytes, result_bytes: of the files.
        output: what its result is called.
        source: where the picture lies if not in the job's folder: a file below the server's root.
        target: where the result goes then.
        attempts: how often it was begun; a worker's word counts only for the attempt it was given.
        crashes: how often a worker died over it by itself.
        kills: how often its worker was killed, or the server died, while it ran.
        exit_code: what `hat upscale` would end with, if it failed.
        held: whether it waits for its sender to start it; no worker takes it until then.
    """

    id: str
    kind: str
    name: str
    state: str
    position: float
    parameters: dict[str, Any]
    bytes: int
    created: float
    output: str | None = None
    source: str | None = None
    target: str | None = None
    source_width: int | None = None
    source_height: int | None = None
    width: int | None = None
    height: int | None = None
    model: str | None = None
    result_bytes: int | None = None
    seconds: float | None = None
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    hint: str | None = None
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    crashes: int = 0
    held: bool = False
    kills: int = 0
    exit_code: int | None = None

    @property
    def is_suspect(self) -> bool:
        """Whether workers have died while they had it."""
        return self.crashes > 0 or self.kills > 0


@dataclass(frozen=True)
class Progress:
    """How far a running job is."""

    done: float = 0.0
    tile: int = 0
    tiles: int = 0
    seconds_left: float | None = None


def facts(job: Job, progress: Progress | None = None) -> dict[str, Any]:
    """A job as clients see it, with the names of `hat upscale --json`."""
    at = progress or Progress(done=1.0 if job.state == DONE else 0.0)
    return {
        "id": job.id,
        "kind": job.kind,
        "name": job.name,
        "state": job.state,
        "position": job.position if job.state == QUEUED else None,
        "input": job.name,
        "output": job.output,
        "parameters": job.parameters,
        "bytes": job.bytes,
        "result_bytes": job.result_bytes,
        "source_width": job.source_width,
        "source_height": job.source_height,
        "width": job.width,
        "height": job.height,
        "model": job.model,
        "done": round(at.done, 4),
        "tile": at.tile,
        "tiles": at.tiles,
        "seconds": job.seconds,
        "seconds_left": at.seconds_left,
        "notes": job.notes,
        "error": job.error,
        "hint": job.hint,
        "exit_code": job.exit_code,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "attempts": job.attempts,
        "on_server": job.target is not None,
        "held": job.held,
    }
