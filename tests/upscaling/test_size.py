"""Sizes: what the user asks for to passes and final pixels."""

from __future__ import annotations

import pytest

from hatcli.errors import UsageError
from hatcli.upscaling.memory import parse_bytes
from hatcli.upscaling.size import Target, passes_for, plan_size


@pytest.mark.parametrize(
    ("factor", "native", "passes"),
    [
        (2, [2, 3, 4], (2,)),
        (2.5, [2, 3, 4], (3,)),
        (4, [2, 3, 4], (4,)),
        (5, [2, 3, 4], (2, 3)),
        (8, [2, 3, 4], (2, 4)),
        (16, [2, 3, 4], (4, 4)),
        (1.2, [4], (4,)),
        (5, [4], (4, 4)),
        (16, [2], (2, 2, 2, 2)),
        (1, [4], ()),
        (0.5, [4], ()),
    ],
)
def test_the_fewest_passes_with_the_smallest_product_run_small_factors_first(
    factor: float, native: list[int], passes: tuple[int, ...]
) -> None:
    assert passes_for(factor, native) == passes


@pytest.mark.parametrize(
    ("target", "size"),
    [
        (Target(), (400, 200)),
        (Target(scale=2.5), (250, 125)),
        (Target(width=333), (333, 166)),
        (Target(height=333), (666, 333)),
        (Target(width=300, height=120), (240, 120)),
        (Target(long_edge=151), (151, 76)),
        (Target(short_edge=60), (120, 60)),
        (Target(megapixels=0.02), (200, 100)),
        (Target(width=50), (50, 25)),
    ],
)
def test_targets_give_exact_sizes(target: Target, size: tuple[int, int]) -> None:
    plan = plan_size(100, 50, target, native=[2, 3, 4])
    assert (plan.width, plan.height) == size


@pytest.mark.parametrize("width", [97, 640, 1001, 2999])
@pytest.mark.parametrize("wanted", [3840, 3001, 6001])
def test_a_wanted_width_is_met_to_the_pixel(width: int, wanted: int) -> None:
    if wanted / width <= 16:
        assert plan_size(width, 731, Target(width=wanted), native=[4]).width == wanted


def test_a_side_never_vanishes() -> None:
    plan = plan_size(1000, 1, Target(width=1500), native=[2])
    assert (plan.width, plan.height) == (1500, 2)
    assert plan_size(1000, 1, Target(width=100), native=[2]).height == 1


@pytest.mark.parametrize(
    "values",
    [{"scale": 1}, {"scale": 17}, {"scale": 2, "width": 5}, {"width": 0}, {"megapixels": -1}, {"scale": float("nan")}],
)
def test_targets_that_cannot_be_meant_are_usage_errors(values: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Target(**values)  # type: ignore[arg-type]


def test_more_than_16_times_is_refused() -> None:
    with pytest.raises(UsageError, match="at most 16"):
        plan_size(10, 10, Target(width=1000), native=[4])


@pytest.mark.parametrize(
    ("text", "count"),
    [("4GB", 4 * 10**9), ("800 mb", 8 * 10**8), ("2GiB", 2 << 30), ("1.5G", 1_500_000_000), ("77", 77)],
)
def test_amounts_of_memory_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "lots", "4XB", "-1GB", "nan", "0", "1e400"])
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_bytes(text)
