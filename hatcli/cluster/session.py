"""A cluster for the length of a command: which workers it has, and a run over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hatcli.atomic import sweep
from hatcli.batch import streams
from hatcli.batch.batch import Batch
from hatcli.batch.outcomes import Event
from hatcli.batch.places import credentials
from hatcli.batch.places.journal import StoreJournal
from hatcli.batch.places.stream import JobStream
from hatcli.batch.plan import Job
from hatcli.cluster.calibration import service_of
from hatcli.cluster.connection import connected
from hatcli.cluster.dispatch import run
from hatcli.cluster.forecast import Calibration, Sample, Workload
from hatcli.cluster.messages import Order, ResultStore
from hatcli.cluster.nodes import Node, Slots, alive, slots
from hatcli.cluster.sending import task_of
from hatcli.cluster.sizes import size_of
from hatcli.cluster.weights import described
from hatcli.errors import UsageError
from hatcli.image import encode
from hatcli.upscaling.device import PRECISIONS, DeviceChoice, choose

if TYPE_CHECKING:
    from hatcli.cluster.ray_workers import RayWorkers

Say = Callable[[str], None]


@dataclass(frozen=True)
class Session:
    """A cluster that this process is connected to."""

    nodes: list[Node]
    slots: Slots
    say: Say

    @property
    def workers(self) -> int:
        """How many there can be on the nodes that are there."""
        return sum(count for _, count in self.slots.on(self.nodes))

    def choice(self, precision: str, *, here: bool = False) -> DeviceChoice:
        """Device and precision of the workers.

        Args:
            precision: as in `--precision`.
            here: whether pieces are to be tried on this machine, whatever it has.
        """
        kind = self.slots.device
        if kind == "cuda" and precision == "auto":
            precision = _precision_of_a_card()
        taken = PRECISIONS[precision] if precision in PRECISIONS else choose("cpu", precision).dtype
        workers, nodes = self.workers, len(self.nodes)
        why = f"{workers} worker{'s' * (workers != 1)} on {nodes} node{'s' * (nodes != 1)} of a Ray cluster"
        return DeviceChoice(choose().device if here and kind == "cuda" else torch.device(kind), taken, why)

    def check(self, batch: Batch) -> None:
        """Refuse what only this machine can read, or nothing would remember.

        Raises:
            UsageError: naming the first such picture.
        """
        jobs = batch.jobs
        for file in [job.source for job in jobs] if isinstance(jobs, list) else batch.found.files:
            if file.origin is None or (file.path is not None and streams.is_stream(file.path)):
                raise UsageError(f"{file.label} cannot be read by a cluster", hint="leave --ray out")
        if jobs.target.root is None if isinstance(jobs, JobStream) else any(job.root is None for job in jobs):
            raise UsageError(
                "--ray is for several pictures, whose results a journal remembers",
                hint="leave --ray out for a single one",
            )

    def order(self, batch: Batch) -> Order:
        """What workers are told of a run."""
        return Order(
            plan=batch.plan,
            settings=batch.upscaler.settings,
            weights=described(batch.opened),
            device=self.slots.device,
            precision=batch.upscaler.choice.precision,
            threads=self.slots.threads,
            neighbours=1,
            folder=os.getcwd(),  # noqa: PTH109
            store=_result_store(batch),
            credentials=credentials.carried() if isinstance(batch.jobs, JobStream) else {},
        )

    def _workers(self, batch: Batch) -> RayWorkers:
        from hatcli.cluster.ray_workers import RayWorkers

        sources = [str(file.path.absolute().parent) for file in batch.found.files[:1] if file.path is not None]
        return RayWorkers(self.order(batch), self.slots, tuple(sources), self.say)

    def workload(self, batch: Batch) -> Workload:
        """What a run over these pictures would be; they are added one by one."""
        self.check(batch)
        order = self.order(batch)

        def tried(samples: list[Sample]) -> Calibration:
            tasks = [task_of(number, sample.job, may_replace=False) for number, sample in enumerate(samples)]
            containers = [sample.container for sample in samples]
            with closing(self._workers(batch)) as workers:
                found, start = workers.tried_out(tasks, containers, each_once=isinstance(batch.jobs, JobStream))
            trials = [trial for one in found for trial in one.trials]
            if not trials:
                refused = next((one.refused.message for one in found if one.refused is not None), "nothing was read")
                return Calibration([], None, refused)
            shares_cores = self.slots.device == "cpu"
            service = service_of(trials, shares_cores=shares_cores, writers=batch.plan.writers, start=start)
            divides = order.store is None and set(encode.STREAMED).issuperset(containers)
            return Calibration(trials, replace(service, divides=divides))

        weights_bytes = sum(os.stat(file.path).st_size for file in order.weights.files)  # noqa: PTH116
        return Workload(
            tried,
            batch.plan,
            say=self.say,
            device=self.slots.device,
            workers=self.workers,
            nodes=len(self.nodes),
            weights_bytes=weights_bytes,
        )

    def run(self, batch: Batch) -> Generator[Event, None, None]:
        """A batch that is made ready, on the workers: the same events as of `batch.run.run`."""
        batch.decoder.close()  # the workers have their own
        workers = self._workers(batch)
        journals = batch.journals.items()
        workers.paths += tuple(str(root.absolute()) for root, one in journals if not isinstance(one, StoreJournal))
        folders: set[Path] = set()
        jobs: Iterable[Job] = _noted(batch.jobs, folders)
        if isinstance(batch.jobs, list):
            jobs = list(jobs)
        with closing(workers):
            yield from run(jobs, batch.plan, batch.journals, workers, size_of=size_of)
        sweep(folders)


def _noted(jobs: Iterable[Job], folders: set[Path]) -> Iterator[Job]:
    """The jobs; the folders of their results are noted on the way."""
    for job in jobs:
        if job.output is not None:
            folders.add(job.output.parent)
        yield job


def _result_store(batch: Batch) -> ResultStore | None:
    for journal in batch.journals.values():
        if isinstance(journal, StoreJournal):
            return ResultStore(journal.place.address, journal.place.is_conditional, journal.run)
    return None


@contextmanager
def joined(address: str, *, device: str, workers: int | None, threads: int | None, say: Say) -> Iterator[Session]:
    """Connected to a cluster inside.

    Raises:
        UsageError: there is no such cluster, or no room in it.
    """
    if workers is not None and workers < 1:
        raise UsageError("--workers must be at least 1", hint="without it, one for each card, or for each CPU")
    with connected(address):
        nodes = alive()
        threads = threads or torch.get_num_threads()
        yield Session(nodes, slots(nodes, device=device, workers=workers, threads=threads), say)


def _precision_of_a_card() -> str:
    """What `auto` takes on the cards of the cluster, told by one of them."""
    import ray

    def ask() -> str:
        from hatcli.upscaling.device import choose

        return choose("cuda", "auto").precision

    return str(ray.get(ray.remote(num_gpus=1, num_cpus=0)(ask).remote()))
