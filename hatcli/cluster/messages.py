"""What the driver and its workers tell each other: names and numbers; pictures never go this way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hatcli.batch.plan import Plan
from hatcli.batch.reading import Stamp
from hatcli.cluster.weights import Weights
from hatcli.errors import HatError
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
    """

    plan: Plan
    settings: Settings
    weights: Weights
    device: str
    precision: str
    threads: int
    neighbours: int
    folder: str


@dataclass(frozen=True)
class Task:
    """A picture for a worker: its number in the run, its file, its result's file and the folder of the journal."""

    number: int
    source: str
    relative: str
    output: str
    root: str


@dataclass(frozen=True)
class Staged:
    """A finished result under a temporary name, beside the one it is to get; what the journal is to say of it."""

    temporary: str
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
class Said:
    """Something about one picture: it is begun (None), got further, is on its way to its file, or has ended."""

    number: int
    what: Progress | str | Ended | None
