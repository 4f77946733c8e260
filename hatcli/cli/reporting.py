"""A run of `hat upscale` told to people (stderr) or to machines (JSON lines on stdout), and its exit code."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import typer

from hatcli.cli.console import Console, show
from hatcli.errors import HatError

if TYPE_CHECKING:
    from hatcli.batch.files import Found, Job
    from hatcli.batch.run import Outcome, Plan
    from hatcli.models.opening import Model
    from hatcli.upscaling.upscaler import Upscaler

PROGRESS_EVERY = 0.5  # seconds between two `progress` lines of one picture


class Reporter:
    """Says what happens while it happens; raises typer.Exit with the run's exit code at the end."""

    def __init__(self, console: Console, *, as_json: bool, fail_fast: bool) -> None:
        self.console, self.as_json, self.fail_fast = console, as_json, fail_fast
        self.outcomes: list[Outcome] = []

    def run(self, jobs: list[Job], found: Found, upscaler: Upscaler, plan: Plan, model: Model) -> None:
        """Run every job and report it."""
        self._start(jobs, upscaler, plan, model)
        began = time.monotonic()
        try:
            self._drive(jobs, upscaler, plan)
        finally:
            self._summary(found, time.monotonic() - began, len(jobs), upscaler, model)
        if code := exit_code([outcome.error for outcome in self.outcomes if outcome.error is not None], len(jobs)):
            raise typer.Exit(code)

    def _drive(self, jobs: list[Job], upscaler: Upscaler, plan: Plan) -> None:
        from hatcli.batch.run import Advanced, Started, run

        told = 0.0
        with self.console.bars(len(jobs)) as bars:
            for event in run(jobs, upscaler, plan):
                if isinstance(event, Started):
                    bars.picture(event.job.source.label)
                elif isinstance(event, Advanced):
                    bars.tiles(event.progress.done, event.progress.tile, event.progress.tiles)
                    if self.as_json and time.monotonic() - told > PROGRESS_EVERY:
                        told = time.monotonic()
                        progress = event.progress
                        self._emit(
                            "progress",
                            input=event.job.source.label,
                            done=round(progress.done, 4),
                            tile=progress.tile,
                            tiles=progress.tiles,
                        )
                else:
                    bars.finished()
                    self._outcome(event, len(jobs))
                    if self.fail_fast and event.status == "failed":
                        return

    def _start(self, jobs: list[Job], upscaler: Upscaler, plan: Plan, model: Model) -> None:
        from hatcli.models.opening import remarks

        choice = upscaler.choice
        natives = ", ".join(f"x{scale}" for scale in upscaler.native)
        how = " (the best installed; `hat models` lists others)" if model.chosen else ""
        self.console.say(f"model {show(model.name)} {natives}{how}")
        self.console.say(f"device {choice.device} in {choice.precision}: {choice.why}")
        scale = plan.target.scale
        reached = upscaler.plan(1000, 1000, plan.target).product if scale else 0
        notes = remarks(model, scale=scale, reached=reached, sources=[job.source.path for job in jobs])
        for note in notes:
            self.console.say(f"note: {show(note)}")
        self._emit(
            "start",
            pictures=len(jobs),
            model=model.name,
            device=str(choice.device),
            precision=choice.precision,
            why=choice.why,
            notes=notes,
        )

    def _outcome(self, outcome: Outcome, jobs: int) -> None:
        self.outcomes.append(outcome)
        source = outcome.job.source.label
        output = "stdout" if outcome.job.output is None else str(outcome.job.output)
        if outcome.status == "failed" and outcome.error is not None:
            self._emit(
                "failed",
                input=source,
                error=outcome.error.message,
                hint=outcome.error.hint,
                exit_code=outcome.error.exit_code,
            )
            self.console.error(prefixed(outcome.error, source))
            return
        if outcome.status == "skipped":
            self._emit("skipped", input=source, output=output, reason=outcome.reason)
            self.console.say(f"skipped {show(source)}: {outcome.reason}")
            return
        self._emit(
            "done",
            input=source,
            output=output,
            width=outcome.width,
            height=outcome.height,
            source_width=outcome.source_width,
            source_height=outcome.source_height,
            seconds=round(outcome.seconds, 3),
            notes=list(outcome.notes),
        )
        self.console.say(
            f"{show(source)} -> {show(output)}  {outcome.source_width} x {outcome.source_height} -> "
            f"{outcome.width} x {outcome.height}, {outcome.seconds:.1f} s"
        )
        for note in outcome.notes:
            self.console.say(f"note: {show(note)}")

    def _summary(self, found: Found, seconds: float, jobs: int, upscaler: Upscaler, model: Model) -> None:
        counts = {
            status: sum(outcome.status == status for outcome in self.outcomes)
            for status in ("done", "skipped", "failed")
        }
        pixels = sum(outcome.source_width * outcome.source_height for outcome in self.outcomes)
        left = jobs - len(self.outcomes)
        failures = [
            {"input": outcome.job.source.label, "error": outcome.error.message}
            for outcome in self.outcomes
            if outcome.error is not None
        ]
        self._emit(
            "summary",
            **counts,
            not_started=left,
            passed_over=found.passed_over,
            seconds=round(seconds, 3),
            megapixels_per_second=round(pixels / 1e6 / max(seconds, 1e-9), 4),
            device=str(upscaler.choice.device),
            model=model.name,
            failures=failures,
        )
        if jobs == 1 and not found.from_folder:
            return
        words = [f"{counts['done']} done"]
        words += [f"{counts[status]} {status}" for status in ("skipped", "failed") if counts[status]]
        words += [f"{left} not started"] if left else []
        words += [f"{found.passed_over} other files passed over"] if found.passed_over else []
        self.console.say(
            f"{', '.join(words)} in {seconds:.1f} s, {pixels / 1e6 / max(seconds, 1e-9):.2f} MP/s in, "
            f"{upscaler.choice.device}, {show(model.name)}"
        )
        for failure in failures:
            self.console.say(f"failed: {show(failure['input'])}: {show(failure['error'])}")

    def dry_run(self, jobs: list[Job], upscaler: Upscaler, plan: Plan, model: Model) -> None:
        """Say what would be done, picture by picture: sizes, passes, tiles."""
        from hatcli.image import decode
        from hatcli.upscaling.memory import run_bytes

        self._start(jobs, upscaler, plan, model)
        errors: list[HatError | None] = []
        for job in jobs:
            if job.source.path is None:
                self.console.say("stdin is not read by --dry-run")
                continue
            try:
                info = decode.probe(job.source.path)
                size = upscaler.plan(info.width, info.height, plan.target)
            except HatError as error:
                errors.append(error)
                self.console.error(prefixed(error, job.source.label))
                self._emit("failed", input=job.source.label, error=error.message, hint=error.hint)
                continue
            first = size.passes[0] if size.passes else 1
            tiles = upscaler.tiles(info.width, info.height, first) if size.passes else 0
            memory = 0
            if size.passes:
                network = upscaler.network(first)
                memory = run_bytes(
                    network, info.height, info.width, device=upscaler.choice.device, dtype=upscaler.choice.dtype
                )
            output = "stdout" if job.output is None else str(job.output)
            passes = " then ".join(f"x{scale}" for scale in size.passes) or "no pass"
            self._emit(
                "plan",
                input=job.source.label,
                output=output,
                source_width=info.width,
                source_height=info.height,
                width=size.width,
                height=size.height,
                passes=list(size.passes),
                tiles=tiles,
                whole_image_bytes=memory,
            )
            self.console.say(
                f"{show(job.source.label)} -> {show(output)}  {info.width} x {info.height} -> {size.width} x "
                f"{size.height}, {passes}, {tiles} tile{'s' if tiles != 1 else ''}, {memory / 1e9:.2f} GB untiled"
            )
        if code := exit_code(errors, len(jobs)):
            raise typer.Exit(code)

    def _emit(self, event: str, **fields: Any) -> None:
        if self.as_json:
            sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
            sys.stdout.flush()


def prefixed(error: HatError, source: str) -> HatError:
    """The same error, its message begun with the picture's name where that is not in it."""
    name = source.replace("\\", "/").rsplit("/", 1)[-1]
    message = error.message if name in error.message else f"{source}: {error.message}"
    return HatError(message, hint=error.hint)


def exit_code(errors: list[HatError | None], jobs: int) -> int:
    """0 without errors; what all failures share if everything failed alike, else 1: some pictures failed."""
    codes = {error.exit_code for error in errors if error is not None}
    if not codes:
        return 0
    return codes.pop() if len(codes) == 1 and len(errors) == jobs else 1
