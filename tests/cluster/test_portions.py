"""Every picture is handed out once, the longest first, large ones alone, in portions that shrink towards the end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatcli.cluster.portions import LARGE, LEAST_PART, MOST_PICTURES, Portions


def handed_out(portions: Portions, workers: int) -> list[list[int]]:
    made = []
    while portion := portions.next(workers):
        made.append(portion)
    return made


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e9), max_size=300), st.integers(1, 40))
def test_each_picture_is_in_one_portion(sizes: list[float], workers: int) -> None:
    made = handed_out(Portions(sizes), workers)
    assert sorted(number for portion in made for number in portion) == list(range(len(sizes)))
    assert max(map(len, made), default=0) <= MOST_PICTURES


def test_the_longest_go_first_and_large_ones_alone() -> None:
    sizes = [1e4] * 500 + [LARGE * 3, LARGE * 1.01] + [2e4] * 500
    made = handed_out(Portions(sizes), 2)
    assert made[:2] == [[500], [501]]
    firsts = [sizes[portion[0]] for portion in made]
    assert firsts == sorted(firsts, reverse=True)


@pytest.mark.parametrize("workers", [1, 3, 16])
def test_the_last_portions_are_small_so_that_nobody_waits_for_one_worker(workers: int) -> None:
    made = handed_out(Portions(np.full(1000, 600.0)), workers)
    assert [len(portion) for portion in made[-workers:]] == [1] * workers
    assert len(made[0]) == min(MOST_PICTURES, 1000 // workers // 4)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=60), st.integers(1, 40), st.floats(0, 1e9))
def test_a_picture_is_divided_into_even_shares_of_all_work_and_no_part_is_small(
    sizes: list[float], workers: int, in_work: float
) -> None:
    portions, largest = Portions(sizes), max(sizes)
    parts = portions.parts(workers, lambda: in_work)
    assert 1 <= parts <= workers
    if parts > 1:
        assert largest / parts >= LEAST_PART
        assert largest * workers >= 1.5 * (sum(sizes) + in_work) * (1 - 1e-9)
        assert portions.next(workers) == [sizes.index(largest)]


@pytest.mark.parametrize(
    ("sizes", "workers", "in_work", "parts"),
    [
        ([400e6], 4, 0, 4),  # one scan, and nobody idle
        ([400e6], 1, 0, 1),
        ([400e6, 400e6], 4, 0, 2),
        ([400e6] * 4, 4, 0, 1),  # one for each
        ([400e6], 4, 1200e6, 1),  # the same, the other three at work on theirs
        ([400e6] + [4e6] * 100, 4, 0, 2),
        ([400e6] + [4e6] * 1000, 4, 0, 1),  # the others have enough to do meanwhile
        ([3e6], 16, 0, 3),
        ([1.9e6], 16, 0, 1),
    ],
)
def test_only_a_picture_that_others_would_wait_for_is_divided(
    sizes: list[float], workers: int, in_work: float, parts: int
) -> None:
    assert Portions(sizes).parts(workers, lambda: in_work) == parts


def test_nothing_is_left_to_be_divided_in_the_end() -> None:
    portions = Portions([5e6])
    assert portions.next(4) == [0]
    assert portions.parts(4, lambda: 5e6) == 1
