"""One thread a device that gives jobs to its worker and believes it nothing but what it says in time."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hatcli.errors import HatError
from hatcli.serve import oom
from hatcli.serve.child import Child, DiedError
from hatcli.serve.jobs import DONE, FAILED, RUNNING, Job, Progress
from hatcli.serve.limits import Limits, RefusedError
from hatcli.serve.queue import MOST_CRASHES, MOST_KILLS, Queue
from hatcli.serve.state import State

TURN = 0.2  # seconds between two looks at what is wanted
GRACE = 20.0  # seconds a worker has to leave a job it is told to leave
LAST_WORDS = 1.0  # seconds a worker has to end that says nothing any more
START_AGAIN = 5.0  # seconds before a worker that could not start is started once more
MOST_HELD = 3  # jobs that a worker has: one in the network, two on their way to their files
TELL_EVERY = 0.25  # seconds between two events about one job's progress


class Supervisor(threading.Thread):
    """Takes job after job from the queue to a worker: the next one when a result is only to be written.

    Args:
        start_worker: makes a fresh worker.
    """

    def __init__(self, queue: Queue, state: State, limits: Limits, start_worker: Callable[[], Child]) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.device: dict[str, Any] = {}
        self.broken: HatError | None = None
        self.ready = threading.Event()  # the worker is, or it has said why it is not
        self.paused: str | None = None
        self._queue, self._state, self._limits = queue, state, limits
        self._start_worker = start_worker
        self._child: Child | None = None
        self._oom_kills: int | None = None  # in all, before the worker began
        self._held: dict[str, _Watch] = {}  # by their attempts
        self._stopping = threading.Event()

    @property
    def trouble(self) -> str | None:
        """Why there is no worker, or None."""
        return None if self.broken is None else self.broken.message

    def ask_to_stop(self) -> None:
        """Leave the job at its next tile, back to the queue, and end the worker."""
        self._stopping.set()

    def stop(self) -> None:
        """The same, and wait for it."""
        self.ask_to_stop()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Until `stop`."""
        try:
            while self._held or not self._stopping.is_set():
                if self._may_begin() and (job := self._next()) is not None:
                    self._begin(job)
                if self._held:
                    self._listen()
        finally:
            if self._child is not None:
                self._child.end(1.0)

    def _may_begin(self) -> bool:
        """Whether the worker can do with a job: it has none, or one whose result is only being written."""
        if self._stopping.is_set():
            return False
        if self._held:
            return len(self._held) < MOST_HELD and all(watch.is_written for watch in self._held.values())
        if self._is_possible() and self._worker_is_ready():
            return True
        self._stopping.wait(TURN)
        return False

    def _next(self) -> Job | None:
        """The next job; None if there is none, or the queue cannot be written."""
        is_alone = not self._held
        if not is_alone and (any(watch.job.is_suspect for watch in self._held.values()) or not self._is_possible()):
            return None
        try:
            return self._queue.take(seconds=TURN if is_alone else 0.0, alone=is_alone)
        except RefusedError as error:
            self.paused = error.message
            self._stopping.wait(1.0)
            return None

    def _is_possible(self) -> bool:
        """Whether results can be written."""
        try:
            full = self._state.free_bytes() <= 0
        except OSError:
            full = True
        self.paused = "the server's disk is full" if full else None
        return not full

    def _worker_is_ready(self) -> bool:
        """Start a worker unless there is one; whether it can take a job."""
        if self._child is not None:
            return True
        child = self._start_worker()
        deadline = time.monotonic() + self._limits.patience
        while not self._stopping.is_set() and time.monotonic() < deadline:
            try:
                answer = child.receive(TURN)
            except DiedError:
                break
            if answer is not None and answer["event"] == "ready":
                self._oom_kills = oom.kills()
                self._child, self.device, self.broken = child, answer, None
                self.ready.set()
                return True
            if answer is not None and answer["event"] == "broken":
                self.broken = HatError(answer["error"], hint=answer["hint"])
                break
        child.kill()
        self.broken = self.broken or HatError("the worker does not start", hint="its last words are in worker.log")
        if not self._stopping.is_set():
            self.ready.set()
            self._stopping.wait(START_AGAIN)
        return False

    def _begin(self, job: Job) -> None:
        """One job to the worker."""
        assert self._child is not None
        self._held[_attempt(job)] = _Watch(job, self._limits.patience + job.bytes / 100_000)
        with self._failing_well():
            self._child.send(
                do="run",
                attempt=_attempt(job),
                source=str(self._state.source(job)),
                target=str(self._state.result(job)),
                in_root=job.target is not None,
                name=job.name,
                parameters=job.parameters,
            )

    def _listen(self) -> None:
        """Hear one thing that the worker says, and look after the jobs that it has."""
        assert self._child is not None
        with self._failing_well():
            answer = self._child.receive(TURN)
            now = time.monotonic()
            watch = self._held.get(answer.pop("attempt", "")) if answer is not None else None
            if answer is not None and watch is not None:
                watch.heard = now
                if self._heard(watch, answer):
                    del self._held[_attempt(watch.job)]
            for watch in list(self._held.values()):
                if watch.left_since is None and not self._is_wanted(watch.job):
                    self._child.send(do="stop", attempt=_attempt(watch.job))
                    watch.left_since = now
                if watch.is_over(now):
                    self._hangs(watch)
                    return

    @contextmanager
    def _failing_well(self) -> Iterator[None]:
        """What goes wrong with the worker costs jobs that it has, and not the queue."""
        try:
            yield
        except DiedError:
            self._crashed()
        except Exception as error:  # a bug of ours
            traceback.print_exc()
            found = {"error": f"hat failed with {type(error).__name__}", "hint": "this is a bug in hat", "exit_code": 1}
            for job in self._drop_worker():
                self._end(job, FAILED, **found)

    def _is_wanted(self, job: Job) -> bool:
        now = self._queue.get(job.id)
        return not self._stopping.is_set() and now is not None and now.state == RUNNING and now.attempts == job.attempts

    def _heard(self, watch: _Watch, answer: dict[str, Any]) -> bool:
        """Pass on what the worker says of a job; whether that was the last of it."""
        event = answer.pop("event")
        if event == "progress":
            if (progress := watch.progress(**answer)) is not None:
                self._queue.advance(watch.job, progress)
        elif event == "writing":
            watch.is_written = True
        elif event == "done":
            self._end(watch.job, DONE, **answer)
        elif event == "failed":
            if answer.pop("disk"):
                self.paused = "the server's disk is full"
            self._end(watch.job, FAILED, **answer)
        elif event == "stopped":
            self._give_back(watch.job)
        return event in ("done", "failed", "stopped")

    def _crashed(self) -> None:
        """The worker died: its jobs wait again, except those that too many have died over."""
        assert self._child is not None
        code = self._child.ended(LAST_WORDS)
        lacked_memory = sys.platform != "win32" and code == -signal.SIGKILL and oom.kills() != self._oom_kills
        for job in self._drop_worker():
            if self._stopping.is_set():
                self._give_back(job)
            elif lacked_memory:
                self._give_back(job, crashes=1, why=f"its worker was killed for want of memory {MOST_CRASHES} times")
            elif sys.platform != "win32" and code == -signal.SIGKILL:  # by somebody's hand, or the system will not say
                self._give_back(job, kills=1, why=f"its worker was killed {MOST_KILLS} times")
            else:
                how = "it spoke no sense" if code is None else f"signal {-code}" if code < 0 else f"code {code}"
                why = f"its worker crashed {MOST_CRASHES} times ({how}); its last words are in worker.log"
                self._give_back(job, crashes=1, why=why)

    def _hangs(self, silent: _Watch) -> None:
        """The worker says nothing of a job: it is ended, and the job has failed; one that nobody wants is let go."""
        for job in self._drop_worker():
            if job is not silent.job or silent.left_since is not None:
                self._give_back(job)
                continue
            error = f"its worker was silent for {silent.patience:.0f} seconds and was ended"
            hint = "try a smaller scale, a smaller model or smaller tiles"
            self._end(job, FAILED, error=error, hint=hint, exit_code=1)

    def _drop_worker(self) -> list[Job]:
        """End the worker; the jobs that it had."""
        assert self._child is not None
        child, self._child = self._child, None
        child.kill()
        jobs = [watch.job for watch in self._held.values()]
        self._held.clear()
        return jobs

    def _end(self, job: Job, state: str, **found: Any) -> None:
        self._surely(lambda: self._queue.end(job, state, **found))

    def _give_back(self, job: Job, **counts: Any) -> None:
        self._surely(lambda: self._queue.give_back(job, **counts))

    def _surely(self, change: Callable[[], object]) -> None:
        """Write to the queue, however long the disk is full: what is done must not be forgotten."""
        while True:
            try:
                change()
                return
            except RefusedError as error:
                self.paused = error.message
                if self._stopping.wait(1.0):
                    return  # the job runs again after the next start


class _Watch:
    """A job that the worker has: when it was heard of last, and how fast it goes."""

    def __init__(self, job: Job, patience: float) -> None:
        self.job, self.patience = job, patience
        self.is_written = False  # whether its result is on its way to its file, and the network free
        self.heard = time.monotonic()
        self.left_since: float | None = None  # since when it is to leave the job
        self._first: tuple[float, float] | None = None  # time and share of the first progress
        self._told = 0.0

    def is_over(self, now: float) -> bool:
        """Whether it has been silent for too long."""
        if self.left_since is not None:
            return now - self.left_since > GRACE
        return now - self.heard > self.patience

    def progress(self, done: float, tile: int, tiles: int) -> Progress | None:
        """What to tell, if it is time."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        if now - self._told < TELL_EVERY and done < 1:
            return None
        self._told = now
        began, share = self._first
        rate = (done - share) / (now - began) if now - began > 0.5 else 0.0
        return Progress(done, tile, tiles, round((1 - done) / rate, 1) if rate > 0 else None)


def _attempt(job: Job) -> str:
    return f"{job.id}:{job.attempts}"
