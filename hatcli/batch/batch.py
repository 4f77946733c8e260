"""Everything that is settled before the first picture of a run, or of a dry run, is touched."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hatcli.atomic import sweep
from hatcli.batch import checks
from hatcli.batch.decision import Decision, decide
from hatcli.batch.decoder import Decoder
from hatcli.batch.inputs import Found
from hatcli.batch.jobs import LookAt, plan_jobs
from hatcli.batch.journal import Journal
from hatcli.batch.naming import Naming
from hatcli.batch.plan import Job, Plan, journals_of, to_do
from hatcli.batch.room import check_room
from hatcli.errors import HatError
from hatcli.image.decode import PictureInfo
from hatcli.models.opening import Auto, Model
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler


@dataclass(frozen=True)
class Batch:
    """The pictures, how they are enlarged, and who remembers it.

    Attributes:
        found: what the search for inputs gave.
        opened: the model, or `Auto`.
        journals: by `Job.root`.
    """

    jobs: list[Job]
    found: Found
    plan: Plan
    opened: Model | Auto
    upscaler: Upscaler
    journals: dict[Path, Journal]
    decoder: Decoder


def settle(
    found: Found,
    output: str | None,
    naming: Naming,
    plan: Plan,
    opened: Model | Auto,
    upscaler: Upscaler,
    decoder: Decoder,
) -> Batch:
    """What the inputs become, where, and which journals know of it; nothing is written.

    Raises:
        UsageError: outputs collide, are inputs, or exist and may not be replaced.
    """
    jobs = plan_jobs(found, output, naming, plan, upscaler, look=decoder.look)
    journals = journals_of(jobs, upscaler, plan, opened)
    checks.refuse_existing(jobs, plan, journals)
    return Batch(jobs, found, plan, opened, upscaler, journals, decoder)


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


def make_ready(batch: Batch, opened: ExitStack, *, ignore_free_space: bool = False) -> list[str]:
    """Check what results need, open the journals, remove what dead runs left; sentences about what may go wrong.

    Args:
        opened: closes the journals in the end.

    Raises:
        OutputError: the results cannot be written, or do not fit.
        UsageError: another run writes to the same folder.
    """
    plan = batch.plan

    def decided(info: PictureInfo, job: Job) -> Decision:
        return decide(info, job, plan, batch.upscaler)

    checks.check_targets(batch.jobs)
    waiting = to_do(batch.jobs, plan, batch.journals)
    remarks = check_room(waiting, plan, look=batch.decoder.look, decide=decided, ignore=ignore_free_space)
    for journal in batch.journals.values():
        opened.callback(journal.close)
        journal.open()
    sweep({job.output.parent for job in batch.jobs if job.output is not None})
    return remarks
