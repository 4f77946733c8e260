"""Every picture is handed out once, the longest first, large ones alone, in portions that shrink towards the end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatcli.cluster.portions import LARGE, MOST_PICTURES, Portions


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
