"""A run, or a dry run, shown by views: one for people, one for machines; and the exit code in the end."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hatcli.errors import HatError, InputError

if TYPE_CHECKING:
    from hatcli.batch.batch import Batch
    from hatcli.batch.outcomes import Event, Foresight, Tally
    from hatcli.cluster.forecast import ClusterEstimate
    from hatcli.cluster.session import Session
    from hatcli.models.opening import Model


@dataclass(frozen=True)
class Beginning:
    """What is said before the first picture.

    Attributes:
        pictures: None where they are still being listed.
        model: what `-n` means: a model's name, or `auto`.
        usual: the model for clean pictures.
        sister: the one `auto` has for others, or None.
        notes: what should be known of it, a sentence each.
    """

    pictures: int | None
    model: str
    usual: Model
    sister: Model | None
    is_chosen: bool
    device: str
    precision: str
    why: str
    notes: list[str]


class View(Protocol):
    """Whoever shows a run."""

    def begin(self, beginning: Beginning) -> None:
        """Before the first picture."""

    def unreadable(self, name: str, error: HatError) -> None:
        """What was named, or lay in a folder, and could not become a job."""

    def tell(self, event: Event | Foresight) -> None:
        """Something happened."""

    def end(self, batch: Batch, tally: Tally, seconds: float) -> None:
        """After the last picture of a run."""

    def end_dry_run(self, batch: Batch, tally: Tally) -> None:
        """After the last picture of a dry run."""

    def tell_cluster(self, estimate: ClusterEstimate) -> None:
        """What a run on the cluster would take, after the end of a dry run."""


def show_run(batch: Batch, views: Sequence[View], events: Generator[Event, None, None] | None = None) -> int:
    """Run and show it; the exit code.

    Args:
        events: of a run that goes elsewhere; None: it goes here.
    """
    from hatcli.batch.outcomes import Tally
    from hatcli.batch.run import deliver, run

    tally = Tally()
    _begin(batch, tally, views)
    began = time.monotonic()
    if events is None:
        events = run(batch.jobs, batch.upscaler, batch.plan, journals=batch.journals, decoder=batch.decoder)
    try:
        deliver(events, Telling(tally, views).tell)
    finally:
        for view in views:
            view.end(batch, tally, time.monotonic() - began)
    return tally.exit_code(len(batch.jobs))


def show_dry_run(batch: Batch, views: Sequence[View], session: Session | None = None) -> int:
    """Show what a run would do; the exit code.

    Args:
        session: the cluster that would do it; None: this machine.
    """
    from hatcli.batch.dry_run import foresee
    from hatcli.batch.outcomes import Tally

    tally = Tally()
    workload = None if session is None else session.workload(batch)
    _begin(batch, tally, views)
    telling = Telling(tally, views)
    for event in foresee(batch):
        telling.tell(event)
        if workload is not None:
            workload.add(event)
    for view in views:
        view.end_dry_run(batch, tally)
    if workload is not None and (estimate := workload.estimate()) is not None:
        for view in views:
            view.tell_cluster(estimate)
    return tally.exit_code(len(batch.jobs))


def _begin(batch: Batch, tally: Tally, views: Sequence[View]) -> None:
    beginning = _beginning(batch)
    for view in views:
        view.begin(beginning)
    for refused in batch.found.unreadable:
        error = InputError(f"cannot read {refused.filename}: {refused.strerror or refused}")
        tally.fail(str(refused.filename), error)
        for view in views:
            view.unreadable(str(refused.filename), error)


class Telling:
    """Who hears of a run: the tally and the views.

    An outcome that comes again, because Ctrl-C struck while it was told, goes to those alone who have not heard of it.
    """

    def __init__(self, tally: Tally, views: Sequence[View]) -> None:
        self._listeners = [tally.add, *(view.tell for view in views)]
        self._heard: list[Event | Foresight | None] = [None] * len(self._listeners)

    def tell(self, event: Event | Foresight) -> None:
        """An event to all who have not heard of it."""
        for place, listener in enumerate(self._listeners):
            if event is not self._heard[place]:
                listener(event)
                self._heard[place] = event


def _beginning(batch: Batch) -> Beginning:
    from hatcli.models.opening import Auto, remarks
    from hatcli.upscaling.size import passes_for

    opened, scale, choice = batch.opened, batch.plan.target.scale, batch.upscaler.choice
    usual = opened.usual(scale) if isinstance(opened, Auto) else opened
    reached = math.prod(passes_for(scale, usual)) if scale else 0
    return Beginning(
        pictures=len(batch.jobs) if isinstance(batch.jobs, list) else None,
        model=opened.name,
        usual=usual,
        sister=opened.sister(scale) if isinstance(opened, Auto) else None,
        is_chosen=isinstance(opened, Auto),
        device=batch.device,
        precision=choice.precision,
        why=choice.why,
        notes=remarks(usual, scale=scale, reached=reached),
    )
