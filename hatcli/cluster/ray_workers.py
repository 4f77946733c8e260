"""Workers on the nodes of a Ray cluster: an actor for each card, or for each slot of a CPU; nodes may come and go."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hatcli.cluster.calibration import Tried
from hatcli.cluster.dispatch import Joined, Lost, News, Rested, Told
from hatcli.cluster.messages import Order, Task
from hatcli.cluster.nodes import Node, Slots, alive, difference
from hatcli.cluster.seat import Seat, installed
from hatcli.cluster.weights import WeightsFile, pieces
from hatcli.errors import HatError, UsageError, WeightsError

_LOOK_EVERY = 1.0  # seconds between two looks at which nodes there are
_MOST_AT_ONCE = 64  # messages of one worker between two looks at the others
_FAILED_STARTS = 5  # in a row, until the run ends
_PATIENCE = 120.0  # seconds without any node
_TRIED = 4  # workers that are tried out
_ANSWERS = 30.0  # seconds for all nodes to say what they have, before those that have said it begin


@dataclass
class _Seat:
    """An actor on a node, and what it is asked: versions, missing weights, to begin, to work."""

    actor: Any
    node: Node
    stage: str = "inquire"
    answer: Any = None  # an ObjectRef, or an ObjectRefGenerator while it works
    shift: int = 0
    given: int = 0  # pictures, in this shift
    is_working: bool = False


@dataclass
class RayWorkers:
    """See `dispatch.Workers`; inside `connection.connected`.

    Args:
        order: of the run; neighbours are filled in for each node.
        slots: how many workers a node gets.
        paths: that every node must see.
        say: tells people of nodes that come, go, or cannot be used.

    Raises:
        UsageError: a node has another hat, or does not see the folders.
    """

    order: Order
    slots: Slots
    paths: tuple[str, ...]
    say: Callable[[str], None]
    _seats: dict[str, _Seat] = field(default_factory=dict)
    _nodes: dict[str, Node] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)
    _pieces: dict[str, list[Any]] = field(default_factory=dict)
    _looked: float = 0.0
    _count: int = 0
    _failed_starts: int = 0
    _alone_since: float = field(default_factory=time.monotonic)
    _asked_since: float = field(default_factory=time.monotonic)
    _has_begun: bool = False
    _has_said_so: bool = False
    _is_stopped: bool = False

    def __post_init__(self) -> None:
        untyped: Any = cloudpickle
        untyped.register_pickle_by_value(sys.modules[Seat.__module__])
        self._actor: Any = ray.remote(Seat)
        self._ours = installed()

    def news(self, seconds: float) -> list[News]:
        """See `Workers.news`."""
        news = self._look_around()
        self._approve()
        waiting = {seat.answer: name for name, seat in self._seats.items() if seat.answer is not None}
        if not waiting:
            self._endure()
            time.sleep(min(seconds, 0.1))
            return news
        self._alone_since = time.monotonic()
        ready, _ = ray.wait(list(waiting), num_returns=1, timeout=0 if news else seconds, fetch_local=False)
        if ready:
            ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0, fetch_local=False)
        for answer in ready:
            news += self._hear(waiting[answer])
        return news

    def _look_around(self) -> list[News]:
        """Seats on nodes that are new, none on those that are gone."""
        if self._is_stopped or time.monotonic() - self._looked < _LOOK_EVERY:
            return []
        self._looked = time.monotonic()
        here = {node.id: node for node in alive() if node.id not in self._refused}
        for id_ in self._nodes.keys() - here.keys():
            self.say(f"node {self._nodes[id_].name} is gone")
        if self._has_begun:
            for id_ in here.keys() - self._nodes.keys():
                self.say(f"node {here[id_].name} has come")
        self._nodes = here
        lost = [name for name, seat in self._seats.items() if seat.node.id not in here]
        news: list[News] = [self._lose(name) for name in lost]
        for node, count in self.slots.on(list(here.values())):
            seated = sum(seat.node.id == node.id for seat in self._seats.values())
            for _ in range(count - seated):
                if self.slots.workers is None or len(self._seats) < self.slots.workers:
                    self._seat(node)
        return news

    def _approve(self) -> None:
        """Let those begin whose versions are right, once all have told theirs."""
        late = time.monotonic() - self._asked_since > _ANSWERS
        if late and not (self._has_begun or self._has_said_so):
            self._has_said_so = True
            self.say("note: the cluster has no free slot for some of the workers, or is slow to start them")
        if not (late or self._has_begun) and any(seat.stage == "inquire" for seat in self._seats.values()):
            return
        for seat in self._seats.values():
            if seat.stage == "approved":
                seat.stage, seat.answer = "weights", seat.actor.missing.remote(self.order.weights)

    def _seat(self, node: Node) -> None:
        self._count += 1
        options = {
            "num_cpus": self.slots.cpus_on(node),
            "num_gpus": 1 if self.slots.device == "cuda" else 0,
            "max_concurrency": 3,  # it works, and hears what comes next
            "max_restarts": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False),
        }
        actor = self._actor.options(**options).remote()
        self._seats[str(self._count)] = _Seat(actor, node, answer=actor.inquire.remote(self.paths))

    def _endure(self) -> None:
        if time.monotonic() - self._alone_since > _PATIENCE:
            raise HatError("no node is left to work on", hint="the same command goes on where this one ended")

    def _hear(self, name: str) -> list[News]:
        """The next messages of a worker."""
        seat = self._seats[name]
        try:
            if seat.is_working:
                return self._hear_work(name, seat)
            return self._hear_start(name, seat, ray.get(seat.answer))
        except ray.exceptions.RayTaskError as error:
            if not isinstance(error.cause, HatError) and seat.stage == "ready":
                raise  # a bug
            return self._fail(seat, error.cause)
        except ray.exceptions.RayError as error:
            self._failed_starts += seat.stage != "ready"
            if self._failed_starts >= _FAILED_STARTS:
                reason = str(error).strip().splitlines()[0][:200]
                hint = f"see Ray's logs on node {seat.node.name}"
                raise HatError(f"no worker can start: {reason}", hint=hint) from None
            return [self._lose(name)]

    def _hear_work(self, name: str, seat: _Seat) -> list[News]:
        said: list[Any] = []
        for _ in range(_MOST_AT_ONCE):
            reference = next(seat.answer, None)
            if reference is None:
                seat.is_working, seat.answer = False, None
                return [Told(name, said), Rested(name)]
            said += ray.get(reference)
            if not ray.wait([seat.answer], timeout=0, fetch_local=False)[0]:
                break
        return [Told(name, said)]

    def _hear_start(self, name: str, seat: _Seat, answer: Any) -> list[News]:
        """One step further: versions, then weights, then the network."""
        if seat.stage == "inquire":
            if (told := difference(self._ours, *answer)) is not None:
                return self._refuse(seat, told)
            seat.stage, seat.answer = "approved", None
        elif seat.stage == "weights" and answer:
            try:
                seat.answer = seat.actor.keep.remote([(file, self._pieces_of(file)) for file in answer])
            except WeightsError as error:  # nor has this machine what the node lacks
                return self._fail(seat, error)
            seat.stage = "kept"
        elif seat.stage in ("weights", "kept"):
            neighbours = self.slots.count_on(seat.node, list(self._nodes.values()))
            order = replace(self.order, neighbours=neighbours)
            seat.stage, seat.answer = "begin", seat.actor.begin.remote(order)
        else:
            seat.stage, seat.answer = "ready", None
            self._failed_starts, self._has_begun = 0, True
            return [Joined(name)]
        return []

    def _refuse(self, seat: _Seat, told: str) -> list[News]:
        """A node that cannot be used: the end of a run that has not begun, a note for one that has."""
        message = f"node {seat.node.name} {told}"
        if not self._has_begun:
            raise UsageError(message, hint="every node needs the same hat and packages, and the same folders")
        return self._leave_out(seat, message)

    def _leave_out(self, seat: _Seat, why: str) -> list[News]:
        self.say(f"note: {why}: it is not used")
        self._refused.add(seat.node.id)
        self._nodes.pop(seat.node.id, None)  # it has not gone
        lost = [other for other, one in self._seats.items() if one.node.id == seat.node.id]
        return [self._lose(other) for other in lost]

    def _fail(self, seat: _Seat, error: Exception) -> list[News]:
        """A node that cannot begin, or go on: the end of a run, unless others are at work and it is one that came."""
        if isinstance(error, HatError):
            failure = type(error)(f"node {seat.node.name}: {error.message}", hint=error.hint)
        else:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            failure = HatError(f"node {seat.node.name} cannot begin: {reason}", hint="run hat doctor there")
        if seat.stage == "ready" or not self._has_begun:
            raise failure from error
        return self._leave_out(seat, failure.message)

    def _pieces_of(self, file: WeightsFile) -> list[Any]:
        """References to the content of a file, which is put into Ray's memory once, for the first who lacks it."""
        if file.sha256 not in self._pieces:
            self._pieces[file.sha256] = [ray.put(piece) for piece in pieces(file)]
        return self._pieces[file.sha256]

    def _lose(self, name: str) -> Lost:
        seat = self._seats.pop(name)
        ray.kill(seat.actor)
        return Lost(name)

    @property
    def count(self) -> int:
        """See `Workers.count`."""
        return len(self._seats)

    def give(self, worker: str, tasks: list[Task]) -> None:
        """See `Workers.give`."""
        seat = self._seats.get(worker)
        if seat is None:
            return  # its loss will be heard of
        if not seat.is_working:
            seat.shift, seat.given, seat.is_working = seat.shift + 1, 0, True
            seat.answer = seat.actor.work.options(num_returns="streaming").remote(seat.shift)
        seat.given += len(tasks)
        seat.actor.feed.remote(seat.shift, tasks)

    def end(self, worker: str) -> None:
        """See `Workers.end`."""
        if (seat := self._seats.get(worker)) is not None:
            seat.actor.finish.remote(seat.shift, seat.given)

    def tried_out(self, tasks: list[Task], containers: list[str], *, each_once: bool) -> tuple[list[Tried], float]:
        """What pictures take on a few workers that work side by side, and the seconds until the first could begin.

        Args:
            each_once: whether a picture is tried by one worker, not by all.
        """
        began, start, joined = time.monotonic(), 0.0, 0
        while not joined or (joined < len(self._seats) and time.monotonic() - began < _ANSWERS):
            joined += sum(isinstance(news, Joined) for news in self.news(_LOOK_EVERY))
            start = start or (time.monotonic() - began if joined else 0.0)
        ready = [seat for seat in self._seats.values() if seat.stage == "ready"][:_TRIED]
        parts = [slice(number, None, len(ready)) if each_once else slice(None) for number in range(len(ready))]
        asked = [(seat, part) for seat, part in zip(ready, parts, strict=True) if tasks[part]]
        return ray.get([seat.actor.try_out.remote(tasks[part], containers[part]) for seat, part in asked]), start

    def stop(self) -> None:
        """See `Workers.stop`."""
        self._is_stopped = True
        for name, seat in list(self._seats.items()):
            if seat.is_working:
                seat.actor.stop.remote()
            else:
                self._lose(name)

    def close(self) -> None:
        """Let go of all."""
        for name in list(self._seats):
            self._lose(name)
