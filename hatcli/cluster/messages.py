"""What the driver and its workers tell each other: names and numbers; pictures never go this way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hatcli.batch.pieces import Piece
from hatcli.batch.places.address import Address
from hatcli.batch.plan import Plan
from hatcli.batch.reading import Stamp
from hatcli.cluster.weights import Weights
from hatcli.errors import HatError
from hatcli.upscaling.parts import Part
from hatcli.upscaling.progress import Progress
from hatcli.upscaling.settings import Settings


@dataclass(frozen=True)
class Order:
    """What is the same for every picture of a run.

    Attributes:
        device: `cpu` or `cuda`.
        precision: `fp32` or `bf16`.
        threads: that PyTorch takes on a CPU.
        neighbours: workers that share a node's memory with this one, itself among them.
        folder: that names of pictures are relative to.
        store: where results go, if not to a folder.
        credentials: of stores: what the driver's environment says of them.
    """

    plan: Plan
    settings: Settings
    weights: Weights
    device: str
    precision: str
    threads: int
    neighbours: int
    folder: str
    store: ResultStore | None = None
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ResultStore:
    """The place that results go to, in a store.

    Attributes:
        is_conditional: see `StorePlace`.
        run: the digest of the way in which results are made; see `Journal`.
    """

    address: Address
    is_conditional: bool
    run: str


@dataclass(frozen=True)
class Elsewhere:
    """An object, as of `Stored`, without its holder."""

    address: Address
    key: str
    seen: Stamp | None


@dataclass(frozen=True)
class Task:
    """A picture for a worker.

    Attributes:
        number: in the run.
        source: its file, or object.
        output: its result's file, or its key in the store of results.
        root: the journal's; see `Job`.
        may_replace: whether an object that has the result's name is hat's own.
        piece: see `Job`.
    """

    number: int
    source: str | Elsewhere
    relative: str
    output: str
    root: str
    may_replace: bool = False
    piece: Piece | None = None


@dataclass(frozen=True)
class Staged:
    """A finished result, and what the journal is to say of it.

    Attributes:
        temporary: the name that it has beside the one it is to get; None: an object, which has its name already.
    """

    temporary: str | None
    origin: Stamp
    made: Stamp
    made_by: Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a picture ended; `details` are the fields of an `Outcome`, `system` the number of the system's error."""

    details: Mapping[str, Any]
    error: HatError | None = None
    system: int | None = None
    staged: Staged | None = None


@dataclass(frozen=True)
class Division:
    """The parts that a picture can be made in."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Said:
    """Something about one picture: it is begun (None), got further, is on its way to its file, has ended, or is left to
    others in parts."""

    number: int
    what: Progress | str | Ended | Division | None
