"""A run of `hat upscale` for people: lines and bars on stderr."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hatcli.cli.shared.console import Bars, Console, show
from hatcli.cli.views.json_lines import not_started, output_of
from hatcli.errors import HatError

if TYPE_CHECKING:
    from hatcli.batch.batch import Batch
    from hatcli.batch.outcomes import Event, Foreseen, Foresight, Outcome, Tally
    from hatcli.batch.plan import Job
    from hatcli.cli.views.runs import Beginning
    from hatcli.cluster.forecast import ClusterEstimate


class People:
    """See `runs.View`.

    Args:
        bars: of the run; those that are never drawn do for a dry run.
    """

    def __init__(self, console: Console, bars: Bars) -> None:
        self._console, self._bars = console, bars
        self._shown: Job | None = None  # the picture whose tiles are shown, where several are made at a time
        self._advised: set[str | None] = set()  # models of which it was said that another one would suit better

    def begin(self, beginning: Beginning) -> None:
        """Model, device, and what should be known of them."""
        from hatcli.models.opening import PHOTO_QUALITY

        natives = ", ".join(f"x{scale}" for scale in beginning.usual)
        line = f"model {show(beginning.usual.name)} {natives}"
        if beginning.is_chosen:
            line += " (the best installed; `hat models` lists others)"
        if beginning.sister is not None:
            line += f"; {beginning.sister.name} for JPEGs of quality {PHOTO_QUALITY} or less"
        self._console.say(line)
        self._console.say(f"device {beginning.device} in {beginning.precision}: {beginning.why}")
        for note in beginning.notes:
            self._console.say(f"note: {show(note)}")

    def unreadable(self, name: str, error: HatError) -> None:
        """An error."""
        self._console.error(prefixed(error, name))

    def tell(self, event: Event | Foresight) -> None:
        """Bars move; a line for what ended."""
        from hatcli.batch.outcomes import Advanced, Foreseen, Started, Unforeseen, Writing

        if isinstance(event, Started):
            self._shown = event.job
            self._bars.picture(event.job.source.label)
        elif isinstance(event, Advanced) and event.job is not self._shown:
            pass
        elif isinstance(event, Advanced):
            self._bars.tiles(event.progress.done, event.progress.tile, event.progress.tiles)
        elif isinstance(event, Writing):
            self._bars.writing()
        elif isinstance(event, Foreseen):
            self._planned(event)
        elif isinstance(event, Unforeseen):
            if event.job.source.origin is None or event.job.source.path is not None:
                self._console.say(f"{show(event.job.source.label)} is not read by --dry-run")
        else:
            self._bars.finished()
            self._outcome(event)

    def _outcome(self, outcome: Outcome) -> None:
        source, output = outcome.job.source.label, output_of(outcome.job)
        if outcome.error is not None:
            self.unreadable(source, outcome.error)
            return
        if outcome.status == "skipped":
            self._console.say(f"skipped {show(source)}: {outcome.reason}")
            return
        made_by = "" if outcome.model is None else f", {show(outcome.model)}"
        self._console.say(
            f"{show(source)} -> {show(output)}  {outcome.source_width} x {outcome.source_height} -> "
            f"{outcome.width} x {outcome.height}, {outcome.seconds:.1f} s{made_by}"
        )
        for note in outcome.notes:
            self._console.say(f"note: {show(note)}")
        self._advise(source, outcome.model, outcome.advice)

    def _planned(self, event: Foreseen) -> None:
        info, decision, source = event.info, event.decision, event.job.source.label
        passes = " then ".join(f"x{scale}" for scale in decision.size.passes) or "no pass"
        model = "" if decision.model is None else f"{show(decision.model)} "
        several = f"{decision.frames} frames, " if decision.frames > 1 else ""
        self._console.say(
            f"{show(source)} -> {show(output_of(event.job))}  {info.width} x {info.height} -> "
            f"{decision.size.width} x {decision.size.height}, {model}{passes}, "
            f"{event.tiles} tile{'s' if event.tiles != 1 else ''}, {several}{event.whole_bytes / 1e9:.2f} GB untiled"
        )
        for note in decision.notes:
            self._console.say(f"note: {show(note)}")
        self._advise(source, decision.model, decision.advice)

    def _advise(self, source: str, model: str | None, advice: str | None) -> None:
        """Say once that another model would suit such pictures better."""
        if advice is not None and model not in self._advised:
            self._advised.add(model)
            self._console.say(f"note: {show(source)}: {show(advice)}")

    def end(self, batch: Batch, tally: Tally, seconds: float) -> None:
        """How many of what, how fast; failures once more."""
        if len(batch.jobs) == 1 and not batch.found.from_folder:
            return
        counts, left = tally.counts, not_started(batch, tally)
        words = [f"{counts['done']} done"]
        words += [f"{counts[status]} {status}" for status in ("skipped", "failed") if counts[status]]
        words += [f"{left} not started"] if left else []
        passed_over = batch.found.passed_over
        words += [f"{passed_over} other file{'s' * (passed_over != 1)} passed over"] if passed_over else []
        used = ", ".join(tally.models) or batch.opened.name
        self._console.say(
            f"{', '.join(words)} in {length(seconds)}, {tally.pixels / 1e6 / max(seconds, 1e-9):.2f} MP/s in, "
            f"{batch.device}, {show(used)}"
        )
        for source, error in tally.failures:
            self._console.say(f"failed: {show(prefixed(error, source).message)}")

    def end_dry_run(self, batch: Batch, tally: Tally) -> None:
        """How many of what, how long, how large."""
        from hatcli.batch import estimate

        times = estimate.span(tally.seconds, estimate.TIME_SLACK)
        sizes = estimate.span(tally.file_bytes, estimate.SIZE_SLACK)
        if tally.unforeseen and not tally.foreseen:
            size = f" ({tally.unforeseen_bytes / 1e6:.1f} MB)" if tally.unforeseen_bytes else ""
            skipped = tally.counts["skipped"]
            self._console.say(f"{tally.unforeseen} to do{size}, {skipped} to skip; none of them was read")
            return
        self._console.say(
            f"{tally.foreseen} to do, {tally.counts['skipped']} to skip, {tally.counts['failed']} that cannot be done; "
            f"{length(times[0])} to {length(times[1])} on {batch.device} and {sizes[0] / 1e6:.1f} to "
            f"{sizes[1] / 1e6:.1f} MB on the disk"
        )

    def tell_cluster(self, estimate: ClusterEstimate) -> None:
        """How long on the cluster, what of it, and with other numbers of workers."""
        from hatcli.cluster.forecast import SLACK

        forecast, kind = estimate.forecast, "GPU" if estimate.device == "cuda" else "CPU worker"
        self._console.say(
            f"on the cluster, {counted(estimate.workers, 'worker')} on {counted(estimate.nodes, 'node')}: "
            f"{length(forecast.seconds / SLACK)} to {length(forecast.seconds * SLACK)}, "
            f"{forecast.worker_hours:.3g} {kind} hours, {forecast.busy:.0%} of them at work, "
            f"{estimate.moved_bytes / 1e6:.1f} MB moved"
        )
        for note in estimate.notes:
            self._console.say(f"note: {note}")
        if estimate.others:
            times = ", ".join(f"{count}: {length(seconds)}" for count, seconds in estimate.others.items())
            self._console.say(f"with other numbers of workers: {times}")


def prefixed(error: HatError, source: str) -> HatError:
    """The same error, its message begun with the picture's name where that is not in it."""
    name = source.replace("\\", "/").rsplit("/", 1)[-1]
    is_named = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", error.message)  # 2_x2.png does not name 2.png
    message = error.message if is_named else f"{source}: {error.message}"
    return HatError(message, hint=error.hint)


def length(seconds: float) -> str:
    """A time for people."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def counted(count: int, what: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} {what}{'s' * (count != 1)}"
