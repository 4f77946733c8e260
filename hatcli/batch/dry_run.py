"""What a run would do, picture by picture, told from looks at the files; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hatcli.batch import streams
from hatcli.batch.batch import Batch
from hatcli.batch.bugs import BugReport
from hatcli.batch.decision import decide
from hatcli.batch.estimate import Estimator
from hatcli.batch.outcomes import Foreseen, Foresight, Outcome, Unforeseen
from hatcli.batch.plan import Job, reason_to_skip


def foresee(batch: Batch) -> Iterator[Foresight]:
    """What would become of each job: by the same decision as the run's."""
    bugs = BugReport()
    estimator = Estimator(
        batch.upscaler,
        batch.plan.target,
        batch.plan.options,
        load=lambda path: batch.decoder.load(path, name=str(path)).picture,
    )
    for job in batch.jobs:
        source = job.source.path
        if job.source.stored is not None or job.stored is not None:
            reason = reason_to_skip(job, batch.plan, batch.journals)
            yield Outcome(job, "skipped", reason=reason) if reason else Unforeseen(job, job.source.bytes)
            continue
        if source is None or streams.is_stream(source):
            yield Unforeseen(job)
            continue
        try:
            reason = reason_to_skip(job, batch.plan, batch.journals)
            if reason:
                yield Outcome(job, "skipped", reason=reason)
            elif batch.plan.films is not None and batch.plan.has_film(job):
                yield batch.plan.films.foresee(job, batch.upscaler, batch.plan)
            else:
                yield _foreseen(job, source, batch, estimator)
        except Exception as error:
            yield Outcome(job, "failed", error=bugs.failure(error, job.source.label))


def _foreseen(job: Job, source: Path, batch: Batch, estimator: Estimator) -> Foresight:
    info = batch.decoder.look(source)
    decision = decide(info, job, batch.plan, batch.upscaler)
    if decision.skipped:
        return Outcome(job, "skipped", reason=decision.skipped)
    tiles = whole = 0
    if decision.size.passes:
        first = decision.size.passes[0]
        tiles = decision.upscaler.tiles(info.width, info.height, first, bits=info.bits)
        whole = decision.upscaler.whole_bytes(info.width, info.height, first, bits=info.bits)
    estimate = estimator.of(source, info, decision.size, decision.container)
    return Foreseen(
        job,
        info,
        decision,
        tiles=tiles,
        whole_bytes=whole,
        file_bytes=decision.frames * estimate.file_bytes,
        seconds=decision.frames * estimate.seconds,
    )
