"""Jobs to outcomes: reading, enlarging and writing overlap; a picture that fails is told and the rest goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from hatcli.batch.bugs import BugReport
from hatcli.batch.decoder import Decoder, DecoderHere
from hatcli.batch.enlarging import enlarge
from hatcli.batch.intake import Intake
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Event, Outcome, Started, disk_ended
from hatcli.batch.plan import FINISHED, Job, Plan
from hatcli.batch.writers import Writers
from hatcli.errors import OutputError
from hatcli.upscaling.upscaler import Upscaler


def run(
    jobs: Iterable[Job],
    upscaler: Upscaler,
    plan: Plan,
    *,
    journals: dict[Path, Journal] | None = None,
    decoder: Decoder | None = None,
) -> Generator[Event, None, None]:
    """Each job: `Started`, any number of `Advanced`, `Writing`, one `Outcome`, which may come while a later job runs.

    Whatever a picture makes go wrong is its failure; bugs are written down. A failure ends the run after what is
    finished has been written if `plan.fail_fast`, or if the disk is full. So does an exception thrown into the
    generator, such as Ctrl-C, after the outcomes of what was finished by then, the one that was told last maybe once
    more; closing it does so as well, except that nobody hears of them. No temporary file stays.

    Args:
        journals: open ones by `Job.root`; results below other folders are not noted anywhere.
        decoder: who decodes, closed at the end; None: this process.
    """
    bugs = BugReport()
    journals = {} if journals is None else journals
    intake = Intake(jobs, plan, journals, decoder or DecoderHere(max_pixels=plan.max_pixels), bugs)
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(plan.writers, "write") as threads:
        writers = Writers(threads, plan, intake.journals, bugs)
        enlarging = _enlarge_all(intake, upscaler, writers)
        try:
            reader_done = reader.submit(intake.read_all, intake.read_stdin())
            yield from noted(until_failure(enlarging, plan), intake.journals)
            writers.accepted()
            intake.queue.stop()
            yield from noted(writers.last(), intake.journals)
        except GeneratorExit:
            raise
        except BaseException:
            enlarging.close()
            intake.queue.stop()
            yield from noted(writers.last(), intake.journals)
            raise
        finally:
            enlarging.close()  # else the writer of a result that is written as it is made would wait for more of it
            intake.queue.stop()
            intake.decoder.close()
        reader_done.result()  # a bug in the reader's thread must not pass for the end of the jobs


def deliver(events: Generator[Event, None, None], tell: Callable[[Event], None]) -> None:
    """Tell every event of a run.

    An exception on the way, such as Ctrl-C, ends the run; what was finished by then is told before it is raised again.
    The outcome that was told last may come twice then, as nobody knows whether it had arrived: the same object.
    """
    try:
        for event in events:
            tell(event)
    except BaseException as interruption:
        try:
            event = events.throw(interruption)
            while True:
                tell(event)
                event = next(events)
        finally:
            events.close()


def until_failure(events: Iterable[Event], plan: Plan) -> Iterator[Event]:
    """The events up to a failure after which the others make no sense."""
    for event in events:
        yield event
        if isinstance(event, Outcome) and event.error is not None and (plan.fail_fast or disk_ended(event.error)):
            return


def noted(events: Iterable[Event], journals: Mapping[Path, Journal]) -> Iterator[Event]:
    """The events, with those noted in the journals that made nothing; results were noted when they were written."""
    for event in events:
        if isinstance(event, Outcome) and event.status != "done":
            with suppress(OutputError):  # it is told in any case, and the next result will say so, too
                _note(event, journals)
        yield event


def _note(outcome: Outcome, journals: Mapping[Path, Journal]) -> None:
    job = outcome.job
    journal = journals.get(job.root) if job.root is not None else None
    result, source = job.result, job.source.origin
    if journal is None or result is None or source is None:
        return
    if outcome.error is not None:
        journal.record_failure(result, source, outcome.error)
    elif outcome.reason is not None and outcome.reason != FINISHED:
        journal.record_passed(result, source, outcome.reason)


def _enlarge_all(intake: Intake, upscaler: Upscaler, writers: Writers) -> Generator[Event, None, None]:
    """Picture after picture through the network, results to the writers."""
    for ready in intake.queue:
        yield Started(ready.job)
        yield from writers.finished()
        if isinstance(ready.found, Outcome):
            yield ready.found
            continue
        began = time.monotonic()
        try:
            if ready.found is None:
                yield from _enlarge_film(ready.job, intake, upscaler)
            else:
                yield from enlarge(ready.job, ready.found, upscaler, intake.plan, writers)
        except Exception as error:
            failure = intake.bugs.failure(error, ready.job.source.label)
            yield Outcome(ready.job, "failed", error=failure, seconds=time.monotonic() - began)
    yield from writers.finished(all_of_them=True)


def _enlarge_film(job: Job, intake: Intake, upscaler: Upscaler) -> Iterator[Event]:
    assert intake.plan.films is not None, "films are jobs only where somebody enlarges them"
    journal = intake.journals.get(job.root) if job.root is not None else None
    yield from intake.plan.films.enlarge(job, upscaler, intake.plan, journal)
