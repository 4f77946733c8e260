"""Tile geometry: covering, equal sizes, overlaps, and blending that leaves no trace where tiles agree."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hatcli.upscaling.tiling import Span, blend_, plan, ramp, split


@given(
    length=st.integers(1, 5000),
    tile=st.integers(1, 700),
    share=st.floats(0, 0.5),
    window=st.sampled_from([4, 7, 8, 12, 16, 24, 32]),
)
@example(length=384, tile=128, share=0.25, window=16)
@example(length=97, tile=96, share=0.5, window=16)
@example(length=100, tile=20, share=0.5, window=32)
@settings(max_examples=500, deadline=None)
def test_tiles_lie_on_the_grid_of_windows_cover_the_axis_and_overlap(
    length: int, tile: int, share: float, window: int
) -> None:
    overlap = int(tile * share)
    spans = split(length, tile=tile, overlap=overlap, window=window)
    assert spans[0].start == 0
    assert spans[-1].end == length
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(spans))
    if len(spans) == 1:
        return
    side = spans[0].end
    assert side % window == 0
    assert side <= max(tile, window)
    assert all(span.start % window == 0 for span in spans)
    assert all(span.end == min(span.start + side, length) for span in spans)
    promised = min(math.ceil(overlap / window) * window, side - window)
    assert all(a.end - b.start >= promised for a, b in pairwise(spans))
    assert all((a.end - b.start) % window == 0 for a, b in pairwise(spans))


@settings(deadline=None)
@given(length=st.integers(1, 5000), windows=st.integers(2, 40), shared=st.integers(0, 10))
def test_the_grid_costs_no_tile(length: int, windows: int, shared: int) -> None:
    window, tile, overlap = 16, windows * 16, min(shared, windows // 2) * 16
    fewest = 1 if length <= tile else math.ceil((length - overlap) / (tile - overlap))
    assert len(split(length, tile=tile, overlap=overlap, window=window)) == fewest


def test_there_is_never_a_sliver() -> None:
    spans = split(65, tile=64, overlap=8)
    assert len(spans) == 2
    assert min(span.end - span.start for span in spans) >= 32


def test_a_plan_counts_what_it_runs() -> None:
    tiles = plan(64, 100, tile=64, overlap=16)
    assert tiles.rows == (Span(0, 64),)
    assert tiles.columns == (Span(0, 64), Span(48, 100))
    assert tiles.count == 2
    assert tiles.pixels == 64 * (64 + 52)


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (32, 32), (32, -1)])
def test_impossible_tiles_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="cannot overlap"):
        split(100, tile=tile, overlap=overlap)


def test_the_ramp_rises_from_0_to_1_and_ignores_the_outer_quarters() -> None:
    weights = ramp(32, 2)
    assert weights[:16].eq(0).all()
    assert weights[-16:].eq(1).all()
    assert (weights.diff() >= 0).all()
    assert torch.allclose(weights + weights.flip(0), torch.ones(64))


def test_blending_is_exact_where_tiles_agree_and_between_them_where_not() -> None:
    image = torch.rand(3, 10, 40)
    later = image[..., 20:].clone()
    blend_(image[..., :30], later, overlap=10, scale=1, dim=2)
    assert torch.equal(later, image[..., 20:])
    ones = torch.ones(3, 20, 8)
    blend_(torch.zeros(3, 20, 8), ones, overlap=12, scale=1, dim=1)
    assert ones[:, 0].eq(0).all()
    assert ones[:, 12:].eq(1).all()
    assert ((ones >= 0) & (ones <= 1)).all()
