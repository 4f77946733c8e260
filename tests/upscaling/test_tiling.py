"""Tile geometry: covering, equal sizes, overlaps, and blending that leaves no trace where tiles agree."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from hatcli.upscaling.tiling import Span, blend_, plan, ramp, split


@pytest.mark.parametrize("length", [1, 15, 63, 64, 65, 96, 97, 500, 1000, 4097])
@pytest.mark.parametrize(("tile", "overlap"), [(64, 32), (64, 0), (100, 32), (256, 16)])
def test_tiles_cover_the_axis_with_equal_sides_and_at_least_the_overlap(length: int, tile: int, overlap: int) -> None:
    spans = split(length, tile=tile, overlap=overlap)
    assert spans[0].start == 0
    assert spans[-1].end == length
    assert {span.end - span.start for span in spans} == {min(spans[0].end, tile)}
    assert all(a.end - b.start >= overlap for a, b in pairwise(spans))
    assert all(a.start < b.start for a, b in pairwise(spans))


def test_tiles_of_a_large_image_need_no_padding() -> None:
    assert all((span.end - span.start) % 16 == 0 for span in split(1000, tile=200, overlap=32))


def test_there_is_never_a_sliver() -> None:
    spans = split(65, tile=64, overlap=8)
    assert len(spans) == 2
    assert min(span.end - span.start for span in spans) >= 40


def test_a_plan_counts_what_it_runs() -> None:
    tiles = plan(64, 100, tile=64, overlap=28)
    assert tiles.rows == (Span(0, 64),)
    assert tiles.columns == (Span(0, 64), Span(36, 100))
    assert tiles.count == 2
    assert tiles.pixels == 64 * 128


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
