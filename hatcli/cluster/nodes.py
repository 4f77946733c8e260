"""The nodes of a cluster: what they have, how many workers each gets, and whether it can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hatcli.cluster.seat import CODE, PACKAGES
from hatcli.errors import UsageError


@dataclass(frozen=True)
class Node:
    """A machine, or what stands for one."""

    id: str
    name: str
    cpus: int
    gpus: int


def alive() -> list[Node]:
    """The nodes that are there now, in order of their ids."""
    import ray

    listed: Any = ray.nodes
    nodes = [node for node in listed() if node["Alive"]]
    alike = Counter(node["NodeManagerAddress"] for node in nodes)
    found = []
    for node in nodes:
        id_, address, has = node["NodeID"], node["NodeManagerAddress"], node["Resources"]
        name = address if alike[address] == 1 else f"{address} ({id_[:6]})"
        found.append(Node(id_, name, int(has.get("CPU", 0)), int(has.get("GPU", 0))))
    return sorted(found, key=lambda node: node.id)


@dataclass(frozen=True)
class Slots:
    """How many workers a node gets.

    Attributes:
        device: `cuda`: one for each card; `cpu`: one for each `cpus` of them.
        workers: at most, on all nodes together; None: as many as there is room for.
        cpus: of each worker, or all of a node that has fewer.
        threads: of each worker on a CPU, wherever it is; the last digit of a result depends on them.
    """

    device: str
    workers: int | None
    cpus: int
    threads: int

    def cpus_on(self, node: Node) -> int:
        """Of each worker on this node."""
        return 1 if self.device == "cuda" else max(1, min(self.cpus, node.cpus))

    def _room(self, node: Node) -> int:
        return node.gpus if self.device == "cuda" else node.cpus // self.cpus_on(node)

    def on(self, nodes: list[Node]) -> list[tuple[Node, int]]:
        """How many workers each of the nodes gets: spread evenly where fewer are wanted than there is room for."""
        left = {node: self._room(node) for node in nodes}
        counts = dict.fromkeys(nodes, 0)
        wanted = sum(left.values()) if self.workers is None else self.workers
        while wanted > 0 and any(left.values()):
            for node in nodes:
                if wanted > 0 and left[node] > 0:
                    counts[node], left[node], wanted = counts[node] + 1, left[node] - 1, wanted - 1
        return list(counts.items())

    def count_on(self, node: Node, nodes: list[Node]) -> int:
        """How many workers one of the nodes gets."""
        return dict(self.on(nodes)).get(node, 1)


def slots(nodes: list[Node], *, device: str, workers: int | None, threads: int) -> Slots:
    """How workers are spread over the nodes.

    Args:
        device: as in `--device`.
        threads: that a run on this machine has.

    Raises:
        UsageError: there is no such device, or no room for a worker.
    """
    kind = device.lower()
    if kind not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device} is one of this machine's", hint="with --ray, use auto, cpu or cuda")
    cards, cpus = sum(node.gpus for node in nodes), sum(node.cpus for node in nodes)
    if kind == "auto":
        kind = "cuda" if cards else "cpu"
    if not (cards if kind == "cuda" else cpus):
        what = "card" if kind == "cuda" else "CPU"
        raise UsageError(f"the cluster has no {what} for a worker", hint="start a node with one, or use --device cpu")
    room = threads
    if kind == "cpu" and workers is not None:
        room = max(1, min(threads, min(node.cpus for node in nodes if node.cpus) // -(-workers // len(nodes))))
    return Slots(kind, workers, room, threads)


def difference(ours: Mapping[str, str], theirs: Mapping[str, str], unseen: list[str]) -> str | None:
    """Why a node cannot be used, in a few words; None: it can.

    Args:
        unseen: paths that are not there.
    """
    if CODE not in theirs:
        return "has no hat"
    for package in (*PACKAGES, CODE):
        if ours.get(package) != theirs.get(package):
            return f"has {package} {theirs.get(package, 'not installed')}, not {ours.get(package, 'not installed')}"
    return f"does not see {unseen[0]}" if unseen else None
