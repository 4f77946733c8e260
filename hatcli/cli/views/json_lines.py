"""A run of `hat upscale` for machines: one JSON object a line on stdout."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from hatcli.cli.shared.console import print_result
from hatcli.errors import HatError

if TYPE_CHECKING:
    from hatcli.batch.batch import Batch
    from hatcli.batch.outcomes import Advanced, Event, Foreseen, Foresight, Outcome, Tally
    from hatcli.batch.plan import Job
    from hatcli.cli.views.runs import Beginning
    from hatcli.cluster.forecast import ClusterEstimate

PROGRESS_EVERY = 0.5  # seconds between two `progress` lines of one picture


class JsonLines:
    """See `runs.View`."""

    def __init__(self) -> None:
        self._told = 0.0  # when `progress` was last emitted

    def begin(self, beginning: Beginning) -> None:
        """`start`."""
        _emit(
            "start",
            pictures=beginning.pictures,
            model=beginning.model,
            device=beginning.device,
            precision=beginning.precision,
            why=beginning.why,
            notes=beginning.notes,
        )

    def unreadable(self, name: str, error: HatError) -> None:
        """`failed`."""
        _emit("failed", input=name, error=error.message, hint=error.hint, exit_code=error.exit_code)

    def tell(self, event: Event | Foresight) -> None:
        """`progress`, `done`, `skipped`, `failed` or `plan`."""
        from hatcli.batch.outcomes import Advanced, Foreseen, Outcome

        if isinstance(event, Advanced):
            self._progress(event)
        elif isinstance(event, Foreseen):
            _emit("plan", input=event.job.source.label, output=output_of(event.job), **_planned(event))
        elif isinstance(event, Outcome):
            self._outcome(event)

    def _progress(self, event: Advanced) -> None:
        if time.monotonic() - self._told > PROGRESS_EVERY:
            self._told = time.monotonic()
            progress = event.progress
            _emit(
                "progress",
                input=event.job.source.label,
                done=round(progress.done, 4),
                tile=progress.tile,
                tiles=progress.tiles,
            )

    def _outcome(self, outcome: Outcome) -> None:
        source, output = outcome.job.source.label, output_of(outcome.job)
        if outcome.error is not None:
            self.unreadable(source, outcome.error)
        elif outcome.status == "skipped":
            _emit("skipped", input=source, output=output, reason=outcome.reason)
        else:
            _emit(
                "done",
                input=source,
                output=output,
                width=outcome.width,
                height=outcome.height,
                source_width=outcome.source_width,
                source_height=outcome.source_height,
                seconds=round(outcome.seconds, 3),
                model=outcome.model,
                notes=list(outcome.notes),
            )

    def end(self, batch: Batch, tally: Tally, seconds: float) -> None:
        """`summary`."""
        _emit(
            "summary",
            **tally.counts,
            not_started=not_started(batch, tally),
            passed_over=batch.found.passed_over,
            seconds=round(seconds, 3),
            megapixels_per_second=round(tally.pixels / 1e6 / max(seconds, 1e-9), 4),
            device=batch.device,
            model=", ".join(tally.models) or batch.opened.name,
            failures=[{"input": source, "error": error.message} for source, error in tally.failures],
        )

    def end_dry_run(self, batch: Batch, tally: Tally) -> None:
        """`estimate`."""
        from hatcli.batch import estimate

        times = estimate.span(tally.seconds, estimate.TIME_SLACK)
        sizes = estimate.span(tally.file_bytes, estimate.SIZE_SLACK)
        _emit(
            "estimate",
            pictures=tally.foreseen,
            unread=tally.unforeseen,
            unread_bytes=tally.unforeseen_bytes,
            seconds=round(tally.seconds, 3),
            seconds_range=[round(bound, 3) for bound in times],
            file_bytes=tally.file_bytes,
            file_bytes_range=[round(bound) for bound in sizes],
            **tally.counts,
        )

    def tell_cluster(self, estimate: ClusterEstimate) -> None:
        """`cluster`."""
        from hatcli.cluster.forecast import SLACK

        forecast = estimate.forecast
        _emit(
            "cluster",
            device=estimate.device,
            workers=estimate.workers,
            nodes=estimate.nodes,
            seconds=round(forecast.seconds, 3),
            seconds_range=[round(forecast.seconds / SLACK, 3), round(forecast.seconds * SLACK, 3)],
            gpu_hours=round(forecast.worker_hours, 4) if estimate.device == "cuda" else 0.0,
            worker_hours=round(forecast.worker_hours, 4),
            busy=round(forecast.busy, 3),
            bytes_moved=round(estimate.moved_bytes),
            seconds_by_workers={str(count): round(seconds, 3) for count, seconds in estimate.others.items()},
            notes=list(estimate.notes),
        )


def _planned(event: Foreseen) -> dict[str, Any]:
    info, decision = event.info, event.decision
    return {
        "source_width": info.width,
        "source_height": info.height,
        "width": decision.size.width,
        "height": decision.size.height,
        "model": decision.model,
        "jpeg_quality": info.jpeg_quality,
        "passes": list(decision.size.passes),
        "tiles": event.tiles,
        "whole_image_bytes": event.whole_bytes,
        "frames": decision.frames,
        "file_bytes": event.file_bytes,
        "seconds": round(event.seconds, 3),
    }


def output_of(job: Job) -> str:
    """Where a job's result goes."""
    return "stdout" if job.result is None else str(job.result)


def not_started(batch: Batch, tally: Tally) -> int:
    """Jobs without an outcome."""
    return len(batch.jobs) + len(batch.found.unreadable) - sum(tally.counts.values())


def _emit(event: str, **fields: Any) -> None:
    print_result(json.dumps({"event": event, **fields}))
