"""A run over several devices: a process for each, a part of the pictures for each, told as one run."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hatcli.batch.batch import Batch
from hatcli.batch.inputs import InputFile
from hatcli.batch.outcomes import Advanced, Event, Outcome, Started
from hatcli.batch.places.address import is_url, parse
from hatcli.batch.places.objects import Stored
from hatcli.batch.places.store import StorePlace
from hatcli.batch.plan import Job
from hatcli.batch.shards import Shard
from hatcli.cli.shared.interruptions import Terminated
from hatcli.errors import HatError, InputError, MemoryLimitError, OutputError, UsageError, WeightsError
from hatcli.upscaling.progress import Progress

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from hatcli.__main__ import main
main()
"""
_TURN = 0.2  # seconds between two looks; without it, Ctrl-C could not interrupt the waiting on Windows
_LAST_WORDS = 200  # lines of a process's stderr that are kept
_ERRORS = {kind.exit_code: kind for kind in (InputError, UsageError, WeightsError, MemoryLimitError, OutputError)}


def run_on(devices: Sequence[str], batch: Batch, arguments: list[str]) -> Generator[Event, None, None]:
    """The events of processes that run the same command, each on its device over its part of the pictures.

    They are told to end, and what they finish is told, when an exception such as Ctrl-C is thrown in, or when a picture
    fails under `--fail-fast`.

    Args:
        batch: settled here, its journals not open.
        arguments: as they were typed, the command first.

    Raises:
        HatError: a process ended before its pictures did; the others have gone on.
    """
    processes = []
    try:
        for device, shard in zip(devices, batch.shard.split(len(devices)), strict=True):
            listed = isinstance(batch.jobs, list)
            if not listed or any(shard.holds(job.source.relative) for job in batch.jobs):
                extra = ["--device", device, "--shard", str(shard)]
                processes.append(_Process(device, shard, _with(arguments, extra)))
        joined = _Joined(processes, batch)
        try:
            yield from joined.events(fail_fast=batch.plan.fail_fast)
        except GeneratorExit:
            raise
        except BaseException as interruption:
            joined.stop(signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT)
            yield from joined.events(fail_fast=False)
            raise
        joined.raise_what_ended_early()
    finally:
        for process in processes:
            process.close()


def _with(arguments: list[str], extra: list[str]) -> list[str]:
    """The arguments with options that win over those typed."""
    options = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:options], *extra, "--json", "--quiet", "--no-progress", *arguments[options:]]


@dataclass
class _Process:
    """One of the processes; `summary` comes last, `told_to_end` says that its end is our wish."""

    device: str
    shard: Shard
    arguments: list[str]
    summary: dict[str, Any] | None = None
    told_to_end: bool = False
    words: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_WORDS))

    def __post_init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path), *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=sys.platform != "win32",  # Ctrl-C comes through us, once
        )
        self._listener = threading.Thread(target=self._listen, name=f"words of {self.device}", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        self.words.extend(line.rstrip("\n") for line in self._process.stderr)

    def lines(self) -> Iterator[str]:
        """What it tells, until it ends."""
        assert self._process.stdout is not None
        yield from self._process.stdout

    def stop(self, number: int) -> None:
        """Tell it to end."""
        self.told_to_end = True
        with suppress(OSError):
            if sys.platform == "win32":
                self._process.terminate()
            else:
                self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it has told everything."""
        self._listener.join()
        return self._process.wait()

    def close(self) -> None:
        """See to it that it is gone."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def why_it_ended(self) -> HatError | None:
        """What to say of a process that left pictures behind of itself."""
        code = self.wait()
        if self.told_to_end or (self.summary is not None and not self.summary.get("not_started")):
            return None
        said = [line.removeprefix("error: ") for line in self.words if line.startswith("error: ")]
        how = f"signal {-code}" if code < 0 else f"code {code}"
        message = said[-1] if said else f"its process ended with {how}"
        hint = next((line.removeprefix("hint: ") for line in self.words if line.startswith("hint: ")), None)
        return _ERRORS.get(code, HatError)(f"{self.device}, part {self.shard}: {message}", hint=hint)


class _Joined:
    """What all processes tell, one after the other."""

    def __init__(self, processes: list[_Process], batch: Batch) -> None:
        self._processes, self._jobs = processes, _Jobs(batch)
        self._queue: queue.SimpleQueue[tuple[_Process, str | None]] = queue.SimpleQueue()
        self._alive = list(processes)
        self._shown: Job | None = None
        for process in processes:
            threading.Thread(target=self._read, args=(process,), name=f"run on {process.device}", daemon=True).start()

    def _read(self, process: _Process) -> None:
        try:
            for line in process.lines():
                self._queue.put((process, line))
        finally:
            self._queue.put((process, None))

    def events(self, *, fail_fast: bool) -> Iterator[Event]:
        """Until all processes have ended."""
        while self._alive:
            try:
                process, line = self._queue.get(timeout=_TURN)
            except queue.Empty:
                continue
            if line is None:
                self._alive.remove(process)
                continue
            fields = json.loads(line)
            if fields.get("event") == "summary":
                process.summary = fields
                self._jobs.count(fields)
            elif (job := self._jobs.of(fields)) is not None:
                yield from self._told(process, job, fields)
                if fail_fast and fields["event"] == "failed":
                    self.stop(signal.SIGINT)

    def _told(self, process: _Process, job: Job, fields: dict[str, Any]) -> Iterator[Event]:
        if fields["event"] != "progress":
            yield outcome_of(job, fields)
            return
        if process is self._alive[0] and job is not self._shown:
            self._shown = job
            yield Started(job)
        yield Advanced(job, Progress(fields["done"], fields["tile"], fields["tiles"]))

    def stop(self, number: int) -> None:
        """Tell all processes to end."""
        for process in self._alive:
            process.stop(number)

    def raise_what_ended_early(self) -> None:
        """Raise the first reason for which a process left pictures behind."""
        for process in self._processes:
            if error := process.why_it_ended():
                raise error


class _Jobs:
    """The jobs that lines are about; those of stores, which only the processes list, are made from what lines say."""

    def __init__(self, batch: Batch) -> None:
        self._stream = None if isinstance(batch.jobs, list) else batch.jobs
        self._jobs = {} if self._stream is not None else {job.source.label: job for job in batch.jobs}
        self._unreadable = {str(refused.filename) for refused in batch.found.unreadable}

    def of(self, fields: dict[str, Any]) -> Job | None:
        """The job of a line; None: it is about none."""
        label = fields.get("input")
        if not isinstance(label, str) or self._stream is None or label in self._unreadable:
            return self._jobs.get(str(label))
        if fields["event"] == "progress":
            return self._jobs.setdefault(label, Job(_source(label), None))
        begun = self._jobs.pop(label, None)
        job = begun or Job(_source(label), None)
        result = _source(str(fields.get("output", "")))
        return replace(job, output=result.path, stored=result.stored)

    def count(self, summary: dict[str, Any]) -> None:
        """How many there were, by the last line of a process that has listed them."""
        if self._stream is not None:
            told = sum(summary[name] for name in ("done", "skipped", "failed", "not_started"))
            self._stream.made += told - len(self._unreadable)


def _source(label: str) -> InputFile:
    """A file or an object as a line calls it."""
    if not is_url(label):
        return InputFile(Path(label), Path(Path(label).name))
    at = parse(label)
    return InputFile(None, Path(Path(at.key).name), stored=Stored(StorePlace(None, at.base, ""), at.key))


def outcome_of(job: Job, fields: dict[str, Any]) -> Outcome:
    """What a line of `--json` says of a picture."""
    if fields["event"] == "failed":
        kind = _ERRORS.get(fields["exit_code"], HatError)
        return Outcome(job, "failed", error=kind(fields["error"], hint=fields["hint"]))
    if fields["event"] == "skipped":
        return Outcome(job, "skipped", reason=fields["reason"])
    numbers = {name: fields[name] for name in ("width", "height", "source_width", "source_height", "seconds")}
    return Outcome(job, "done", notes=tuple(fields["notes"]), model=fields["model"], **numbers)
