"""Everything that is settled before the first picture of a run, or of a dry run, is touched."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hatcli.atomic import sweep
from hatcli.batch import checks
from hatcli.batch.decision import Decision, decide
from hatcli.batch.decoder import Decoder
from hatcli.batch.inputs import Found
from hatcli.batch.jobs import LookAt, plan_jobs
from hatcli.batch.journal import Journal, digest_of
from hatcli.batch.naming import Naming
from hatcli.batch.places.stream import JobStream
from hatcli.batch.plan import Job, Plan, journals_of, to_do
from hatcli.batch.room import check_room
from hatcli.batch.shards import WHOLE, Shard
from hatcli.errors import HatError
from hatcli.image.decode import PictureInfo
from hatcli.models.opening import Auto, Model
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler


@dataclass(frozen=True)
class Batch:
    """The pictures, how they are enlarged, and who remembers it.

    Attributes:
        jobs: those of the shard.
        found: what the search for inputs gave.
        opened: the model, or `Auto`.
        journals: by `Job.root`.
        shard: the part of the pictures that is worked on.
        pictures: in each root, in all parts together.
        inputs: a digest of what was named.
        devices: where the pictures are enlarged, if by several processes.
    """

    jobs: list[Job] | JobStream
    found: Found
    plan: Plan
    opened: Model | Auto
    upscaler: Upscaler
    journals: dict[Path, Journal]
    decoder: Decoder
    shard: Shard = WHOLE
    pictures: Mapping[Path | None, int] = field(default_factory=dict)
    inputs: str = ""
    devices: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """Where the pictures are enlarged, in words."""
        return ", ".join(self.devices) or str(self.upscaler.choice.device)


def settle(
    found: Found,
    output: str | None,
    naming: Naming,
    plan: Plan,
    opened: Model | Auto,
    upscaler: Upscaler,
    decoder: Decoder,
    *,
    shard: Shard = WHOLE,
    named: Sequence[str] = (),
) -> Batch:
    """What the inputs become, where, and which journals know of it; nothing is written.

    Args:
        shard: the part of the pictures that is worked on.
        named: the inputs as they were typed.

    Raises:
        UsageError: outputs collide, are inputs, or exist and may not be replaced.
    """
    everything = plan_jobs(found, output, naming, plan, upscaler, look=decoder.look)
    jobs = [job for job in everything if shard.is_whole or shard.holds(job.source.relative)]
    journals = journals_of(jobs, upscaler, plan, opened, shard)
    checks.refuse_existing(jobs, plan, journals, is_alike=partial(_is_alike, plan, upscaler, decoder.look))
    return Batch(
        jobs,
        found,
        plan,
        opened,
        upscaler,
        journals,
        decoder,
        shard,
        pictures=Counter(job.root for job in everything if job.source.path is not None),
        inputs=digest_of([os.path.abspath(name) for name in named]),  # noqa: PTH100  (patterns and - too)
    )


def _is_alike(plan: Plan, upscaler: Upscaler, look: LookAt, job: Job) -> bool:
    """Whether what has the name of a job's result is a picture of the result's size, as far as that is known here.

    Never for a film: hours would go by before it could be told from another.
    """
    if plan.has_film(job):
        return False
    if plan.asked is not None:
        return True
    try:
        if job.output is None or job.source.path is None:
            return False
        there, size = look(job.output), decide(look(job.source.path), job, plan, upscaler).size
    except (HatError, OSError):
        return False
    return (there.width, there.height) == (size.width, size.height)


def wanted_factors(target: Target, found: Found, look: LookAt) -> list[int]:
    """The whole factors the pictures need at least; empty: the model's own."""
    if target.scale is not None:
        return [math.ceil(target.scale)]
    if not target.is_size:
        return []
    factors = set()
    for file in found.files:
        try:
            info = look(file.path) if file.path is not None else None
        except (HatError, OSError):  # it will be reported when its turn comes
            continue
        if info is not None:
            factors.add(max(2, math.ceil(target.factor(info.width, info.height) or 0)))
    return sorted(factors) or [4]


def check_ready(batch: Batch, *, ignore_free_space: bool = False) -> list[str]:
    """Check what results need; sentences about what may go wrong.

    Raises:
        OutputError: the results cannot be written, or do not fit.
    """
    if isinstance(batch.jobs, JobStream):
        folder = batch.jobs.target.folder
        if folder is not None:
            checks.check_folder(folder)
        return []
    plan = batch.plan

    def decided(info: PictureInfo, job: Job) -> Decision:
        return decide(info, job, plan, batch.upscaler)

    checks.check_targets(batch.jobs)
    waiting = to_do(batch.jobs, plan, batch.journals)

    def film_bytes(job: Job) -> tuple[int, int]:
        assert plan.films is not None, "films are jobs only where somebody enlarges them"
        return plan.films.bytes_of(job, batch.upscaler, plan)

    return check_room(
        waiting, plan, look=batch.decoder.look, decide=decided, film_bytes=film_bytes, ignore=ignore_free_space
    )


def make_ready(batch: Batch, opened: ExitStack, *, ignore_free_space: bool = False) -> list[str]:
    """Check what results need, open the journals, remove what dead runs left; sentences about what may go wrong.

    Args:
        opened: closes the journals in the end.

    Raises:
        OutputError: the results cannot be written, or do not fit.
        UsageError: another run writes to the same folder.
    """
    remarks = check_ready(batch, ignore_free_space=ignore_free_space)
    for root, journal in batch.journals.items():
        opened.callback(journal.close)
        journal.open()
        if isinstance(batch.jobs, JobStream):
            continue
        journal.begin(
            [job.output for job in batch.jobs if job.root == root and job.output and job.source.path is not None],
            found=batch.pictures[root],
            inputs=batch.inputs,
        )
    if isinstance(batch.jobs, JobStream):
        return remarks
    sweep({job.output.parent for job in batch.jobs if job.output is not None})
    return remarks
