"""How many workers a node gets, and which nodes are refused."""

from __future__ import annotations

import pytest

from hatcli.cluster.nodes import Node, difference, slots
from hatcli.cluster.seat import CODE, installed
from hatcli.errors import UsageError

CARDS = [Node("a", "10.0.0.1", 8, 2), Node("b", "10.0.0.2", 8, 1)]
CORES = [Node("a", "10.0.0.1", 4, 0), Node("b", "10.0.0.2", 2, 0)]


@pytest.mark.parametrize(
    ("nodes", "device", "workers", "threads", "each", "cpus_each"),
    [
        (CARDS, "auto", None, 8, [2, 1], 1),
        (CARDS, "cpu", None, 4, [2, 2], 4),
        (CORES, "auto", None, 1, [4, 2], 1),
        (CORES, "auto", None, 2, [2, 1], 2),
        (CORES, "auto", None, 8, [1, 1], 4),
        (CORES, "auto", 2, 2, [1, 1], 2),
        (CORES, "auto", 1, 2, [1, 0], 2),
        (CORES, "auto", 100, 2, [4, 2], 1),
    ],
)
def test_a_worker_for_each_card_or_for_as_many_cpus_as_a_run_here_has(
    nodes: list[Node], device: str, workers: int | None, threads: int, each: list[int], cpus_each: int
) -> None:
    found = slots(nodes, device=device, workers=workers, threads=threads)
    assert [count for _, count in found.on(nodes)] == each
    assert found.cpus_on(nodes[0]) == cpus_each
    assert found.threads == threads, "rounding would differ"


@pytest.mark.parametrize("device", ["cuda:1", "mps", "cuda:all"])
def test_a_device_of_this_machine_is_none_of_a_cluster(device: str) -> None:
    with pytest.raises(UsageError, match="one of this machine's"):
        slots(CARDS, device=device, workers=None, threads=2)


def test_cards_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match="no card"):
        slots(CORES, device="cuda", workers=None, threads=2)


def test_a_node_is_refused_for_the_first_thing_that_differs() -> None:
    ours = installed()
    assert CODE in ours
    assert difference(ours, ours, []) is None
    assert difference(ours, {}, []) == "has no hat"
    assert difference(ours, ours, ["/archive"]) == "does not see /archive"
    other = difference(ours, {**ours, "torch": "1.0"}, [])
    assert other == f"has torch 1.0, not {ours['torch']}"
    assert "hat's code" in (difference(ours, {**ours, CODE: "abc"}, []) or "")
