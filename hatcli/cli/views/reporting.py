"""A run of `hat upscale` told to people (stderr) or to machines (JSON lines on stdout), and its exit code."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hatcli.cli.shared.console import Bars, Console, print_result, show
from hatcli.errors import HatError, InputError

if TYPE_CHECKING:
    from hatcli.batch.decoder import Decoder
    from hatcli.batch.estimate import Estimator
    from hatcli.batch.inputs import Found
    from hatcli.batch.journal import Journal
    from hatcli.batch.plan import Job, Plan
    from hatcli.batch.run import Event, Outcome
    from hatcli.models.opening import Auto, Model
    from hatcli.upscaling.upscaler import Upscaler

PROGRESS_EVERY = 0.5  # seconds between two `progress` lines of one picture


class Reporter:
    """Says what happens while it happens; raises typer.Exit with the run's exit code at the end."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self.console, self.as_json = console, as_json
        self.counts = {"done": 0, "skipped": 0, "failed": 0}
        self.failures: list[tuple[str, HatError]] = []
        self.pixels = 0
        self._told = 0.0  # when `progress` was last emitted
        self._models: dict[str, None] = {}  # that made something, in order of appearance
        self._unsuited: set[str] = set()  # models of which it was said that another one would suit a picture better

    def run(
        self,
        jobs: list[Job],
        found: Found,
        upscaler: Upscaler,
        plan: Plan,
        opened: Model | Auto,
        journals: dict[Path, Journal],
        decoder: Decoder,
    ) -> None:
        """Run every job and report it."""
        self._start(jobs, upscaler, plan, opened)
        self._unreadable(found)
        began = time.monotonic()
        try:
            self._drive(jobs, upscaler, plan, journals, decoder)
        finally:
            self._summary(found, time.monotonic() - began, len(jobs), upscaler, opened)
        if code := exit_code([error for _, error in self.failures], len(jobs)):
            raise typer.Exit(code)

    def _unreadable(self, found: Found) -> None:
        """Folders that could not be listed, and pipes with pictures' names, are failures like unreadable pictures."""
        for refused in found.unreadable:
            error = InputError(f"cannot read {refused.filename}: {refused.strerror or refused}")
            self._failed(str(refused.filename), error)

    def _drive(
        self, jobs: list[Job], upscaler: Upscaler, plan: Plan, journals: dict[Path, Journal], decoder: Decoder
    ) -> None:
        from hatcli.batch.run import deliver, run

        with self.console.bars(len(jobs)) as bars:
            deliver(
                run(jobs, upscaler, plan, journals=journals, decoder=decoder),
                lambda event: self._tell(event, bars, upscaler, plan),
            )

    def _tell(self, event: Event, bars: Bars, upscaler: Upscaler, plan: Plan) -> None:
        from hatcli.batch.run import Advanced, Started, Writing

        if isinstance(event, Started):
            bars.picture(event.job.source.label)
        elif isinstance(event, Writing):
            bars.writing()
        elif isinstance(event, Advanced):
            progress = event.progress
            bars.tiles(progress.done, progress.tile, progress.tiles)
            if self.as_json and time.monotonic() - self._told > PROGRESS_EVERY:
                self._told = time.monotonic()
                self._emit(
                    "progress",
                    input=event.job.source.label,
                    done=round(progress.done, 4),
                    tile=progress.tile,
                    tiles=progress.tiles,
                )
        else:
            bars.finished()
            self._outcome(event)
            if event.status == "done":
                sides = event.source_width, event.source_height
                suited = upscaler.suited(*sides, jpeg_quality=event.jpeg_quality, target=plan.target)
                self._remark(event.job.source.label, suited.model, jpeg_quality=event.jpeg_quality)

    def _start(self, jobs: list[Job], upscaler: Upscaler, plan: Plan, opened: Model | Auto) -> None:
        from hatcli.models.opening import remarks
        from hatcli.upscaling.size import passes_for

        choice = upscaler.choice
        usual = self._say_model(opened, plan.target.scale)
        self.console.say(f"device {choice.device} in {choice.precision}: {choice.why}")
        scale = plan.target.scale
        reached = math.prod(passes_for(scale, usual)) if scale else 0
        notes = remarks(usual, scale=scale, reached=reached)
        for note in notes:
            self.console.say(f"note: {show(note)}")
        self._emit(
            "start",
            pictures=len(jobs),
            model=opened.name,
            device=str(choice.device),
            precision=choice.precision,
            why=choice.why,
            notes=notes,
        )

    def _say_model(self, opened: Model | Auto, factor: float | None) -> Model:
        """Which model there is, or which `auto` has for which pictures; returns the one for clean pictures."""
        from hatcli.models.opening import PHOTO_QUALITY, Auto

        usual = opened.usual(factor) if isinstance(opened, Auto) else opened
        natives = ", ".join(f"x{scale}" for scale in usual)
        if not isinstance(opened, Auto):
            self.console.say(f"model {show(usual.name)} {natives}")
            return usual
        sister = opened.sister(factor)
        jpegs = "" if sister is None else f"; {sister.name} for JPEGs of quality {PHOTO_QUALITY} or less"
        self.console.say(f"model {show(usual.name)} {natives} (the best installed; `hat models` lists others){jpegs}")
        return usual

    def _remark(self, source: str, model: Model | None, *, jpeg_quality: int | None) -> None:
        """Say once that another model would suit such pictures better."""
        from hatcli.models.opening import unsuited

        if model is None or model.name in self._unsuited:
            return
        if remark := unsuited(model, jpeg_quality=jpeg_quality):
            self._unsuited.add(model.name)
            self.console.say(f"note: {show(source)}: {show(remark)}")

    def _failed(self, source: str, error: HatError) -> None:
        self.counts["failed"] += 1
        self.failures.append((source, error))
        self._emit("failed", input=source, error=error.message, hint=error.hint, exit_code=error.exit_code)
        self.console.error(prefixed(error, source))

    def _outcome(self, outcome: Outcome) -> None:
        source = outcome.job.source.label
        output = "stdout" if outcome.job.output is None else str(outcome.job.output)
        if outcome.error is not None:
            self._failed(source, outcome.error)
            return
        self.counts[outcome.status] += 1
        if outcome.model is not None:
            self._models[outcome.model] = None
        self.pixels += outcome.source_width * outcome.source_height
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
            model=outcome.model,
            notes=list(outcome.notes),
        )
        made_by = "" if outcome.model is None else f", {show(outcome.model)}"
        self.console.say(
            f"{show(source)} -> {show(output)}  {outcome.source_width} x {outcome.source_height} -> "
            f"{outcome.width} x {outcome.height}, {outcome.seconds:.1f} s{made_by}"
        )
        for note in outcome.notes:
            self.console.say(f"note: {show(note)}")

    def _summary(self, found: Found, seconds: float, jobs: int, upscaler: Upscaler, opened: Model | Auto) -> None:
        counts, pixels = self.counts, self.pixels
        used = ", ".join(self._models) or opened.name
        left = jobs + len(found.unreadable) - sum(counts.values())
        failures = [{"input": source, "error": error.message} for source, error in self.failures]
        self._emit(
            "summary",
            **counts,
            not_started=left,
            passed_over=found.passed_over,
            seconds=round(seconds, 3),
            megapixels_per_second=round(pixels / 1e6 / max(seconds, 1e-9), 4),
            device=str(upscaler.choice.device),
            model=used,
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
            f"{upscaler.choice.device}, {show(used)}"
        )
        for failure in failures:
            self.console.say(f"failed: {show(failure['input'])}: {show(failure['error'])}")

    def dry_run(
        self,
        jobs: list[Job],
        found: Found,
        upscaler: Upscaler,
        plan: Plan,
        opened: Model | Auto,
        journals: dict[Path, Journal],
        decoder: Decoder,
    ) -> None:
        """Say what would be done, picture by picture: sizes, passes, tiles."""
        from hatcli.batch import estimate
        from hatcli.batch.plan import reason_to_skip
        from hatcli.batch.streams import is_stream

        self._start(jobs, upscaler, plan, opened)
        self._unreadable(found)
        estimator = estimate.Estimator(
            upscaler,
            plan.target,
            plan.options,
            load=lambda path: decoder.load(path, name=str(path)).picture,
        )
        seconds, size, pictures = 0.0, 0, 0
        for job in jobs:
            output = "stdout" if job.output is None else str(job.output)
            if job.source.path is None or is_stream(job.source.path):
                self.console.say(f"{show(job.source.label)} is not read by --dry-run")
            elif reason := reason_to_skip(job, plan, journals):
                self.counts["skipped"] += 1
                self._emit("skipped", input=job.source.label, output=output, reason=reason)
            else:
                try:
                    facts, takes = planned(job, job.source.path, upscaler, plan, decoder, estimator)
                except HatError as error:
                    self._failed(job.source.label, error)
                    continue
                seconds, size, pictures = seconds + takes, size + facts["file_bytes"], pictures + 1
                self._emit("plan", input=job.source.label, output=output, **facts, seconds=round(takes, 3))
                self._say_planned(job.source.label, output, facts)
                suited = upscaler.suited(
                    facts["source_width"],
                    facts["source_height"],
                    jpeg_quality=facts["jpeg_quality"],
                    target=plan.target,
                )
                self._remark(job.source.label, suited.model, jpeg_quality=facts["jpeg_quality"])
        times, sizes = estimate.span(seconds, estimate.TIME_SLACK), estimate.span(size, estimate.SIZE_SLACK)
        self._emit(
            "estimate",
            pictures=pictures,
            seconds=round(seconds, 3),
            seconds_range=[round(bound, 3) for bound in times],
            file_bytes=size,
            file_bytes_range=[round(bound) for bound in sizes],
            **self.counts,
        )
        self.console.say(
            f"{pictures} to do, {self.counts['skipped']} to skip, {self.counts['failed']} that cannot be done; "
            f"{length(times[0])} to {length(times[1])} on {upscaler.choice.device} and {sizes[0] / 1e6:.1f} to "
            f"{sizes[1] / 1e6:.1f} MB on the disk"
        )
        if code := exit_code([error for _, error in self.failures], len(jobs)):
            raise typer.Exit(code)

    def _say_planned(self, source: str, output: str, facts: dict[str, Any]) -> None:
        passes = " then ".join(f"x{scale}" for scale in facts["passes"]) or "no pass"
        tiles, model = facts["tiles"], "" if facts["model"] is None else f"{show(facts['model'])} "
        several = f"{facts['frames']} frames, " if facts["frames"] > 1 else ""
        self.console.say(
            f"{show(source)} -> {show(output)}  {facts['source_width']} x {facts['source_height']} -> "
            f"{facts['width']} x {facts['height']}, {model}{passes}, {tiles} tile{'s' if tiles != 1 else ''}, "
            f"{several}{facts['whole_image_bytes'] / 1e9:.2f} GB untiled"
        )

    def _emit(self, event: str, **fields: Any) -> None:
        if self.as_json:
            print_result(json.dumps({"event": event, **fields}))


def prefixed(error: HatError, source: str) -> HatError:
    """The same error, its message begun with the picture's name where that is not in it."""
    name = source.replace("\\", "/").rsplit("/", 1)[-1]
    message = error.message if name in error.message else f"{source}: {error.message}"
    return HatError(message, hint=error.hint)


def planned(
    job: Job, source: Path, upscaler: Upscaler, plan: Plan, decoder: Decoder, estimator: Estimator
) -> tuple[dict[str, Any], float]:
    """What enlarging a job's picture will mean: sizes, passes, tiles, memory, disk; and the seconds it will take.

    Raises:
        HatError: it cannot be done.
    """
    from hatcli.batch.naming import check_ending
    from hatcli.image import animation, encode

    info = decoder.look(source)
    upscaler = upscaler.suited(info.width, info.height, jpeg_quality=info.jpeg_quality, target=plan.target)
    size = upscaler.plan(info.width, info.height, plan.target)
    if job.output is None:
        container = plan.format or encode.format_for(info.format) or "PNG"
    else:
        container = plan.format or check_ending(job.output)
    encode.check_format(
        container,
        width=size.width,
        height=size.height,
        bits=info.bits,
        alpha=info.alpha,
        gray=info.channels == 1,
        options=plan.options,
    )
    moves = container == info.format if plan.frames is None else plan.frames == "all"
    frames = info.frames if moves and container in animation.FORMATS else 1
    tiles = memory = 0
    if size.passes:
        tiles = upscaler.tiles(info.width, info.height, size.passes[0], bits=info.bits)
        memory = upscaler.whole_bytes(info.width, info.height, size.passes[0], bits=info.bits)
    takes = estimator.of(source, info, size, container)
    facts = {
        "source_width": info.width,
        "source_height": info.height,
        "width": size.width,
        "height": size.height,
        "model": None if upscaler.model is None else upscaler.model.name,
        "jpeg_quality": info.jpeg_quality,
        "passes": list(size.passes),
        "tiles": tiles,
        "whole_image_bytes": memory,
        "frames": frames,
        "file_bytes": frames * takes.file_bytes,
    }
    return facts, frames * takes.seconds


def length(seconds: float) -> str:
    """A time for people."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def exit_code(errors: list[HatError], jobs: int) -> int:
    """0 without errors; 5 if the disk ended the run; what all failures share if everything failed alike; else 1."""
    from hatcli.batch.run import disk_ended

    codes = {error.exit_code for error in errors}
    if not codes:
        return 0
    if disk_ended(errors[-1]):
        return errors[-1].exit_code
    return codes.pop() if len(codes) == 1 and len(errors) >= jobs else 1
