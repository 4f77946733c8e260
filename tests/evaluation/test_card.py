"""The test card and its measure: nothing for lines drawn well, much for steps, and no other fault counted as steps."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hatcli.evaluation import card
from hatcli.evaluation.evaluate import bicubic

Pixels = NDArray[np.uint8]


@cache
def example(scale: int) -> tuple[Pixels, Pixels]:
    """The small card and the truth."""
    found = card.example(scale)
    return found.low, found.truth


def jagged(result: NDArray[Any], scale: int) -> card.CardScores:
    return card.measure(result, example(scale)[1], scale=scale)


def half_plane(angle: float, *, side: int = 120) -> NDArray[np.float64]:
    """A straight edge through the middle at an angle, each pixel the share of 16 x 16 samples that is covered."""
    fine = (np.arange(side * 16) + 0.5) / 16 - side / 2 - 0.2
    above = np.sin(angle) * fine[None, :] + np.cos(angle) * fine[:, None] > 0
    covered: NDArray[np.float64] = above.reshape(side, 16, side, 16).mean(axis=(1, 3))
    return card.DARK + (card.LIGHT - card.DARK) * covered


def edge_at(angle: float, *, side: int = 120) -> card.Edge:
    places = np.arange(-40, 40, 0.5)
    along, normal = np.array([np.cos(angle), -np.sin(angle)]), np.array([np.sin(angle), np.cos(angle)])
    middle = np.full(2, side / 2 + 0.2)
    shapes = np.stack([np.ones_like(places), places], axis=1)
    return card.Edge(middle + places[:, None] * along, np.tile(normal, (len(places), 1)), shapes)


@pytest.mark.parametrize("degrees", [5, 17, 30, 45, 61, 85])
def test_a_straight_edge_has_nearly_none(degrees: int) -> None:
    angle = np.deg2rad(degrees)
    edge = edge_at(angle)
    straight = half_plane(angle)
    assert card.deviation(straight, edge, scale=1) < 0.07
    assert card.deviation(straight.round(), edge, scale=1) < 0.07


def test_a_wave_of_known_height_has_that_height_over_the_root_of_two() -> None:
    columns = np.arange(120)
    middle = 60 + 1.0 * np.sin(columns / 6)  # the edge itself, in pixels
    rows = np.clip(np.arange(120)[:, None] + 0.5 - middle[None, :] + 0.5, 0, 1)
    drawn = card.DARK + (card.LIGHT - card.DARK) * rows
    places = np.arange(-36, 36, 0.5)
    shapes = np.stack([np.ones_like(places), places], axis=1)
    points = np.stack([60 + places, np.full_like(places, 60.0)], axis=1)
    edge = card.Edge(points, np.tile([0.0, 1.0], (len(places), 1)), shapes)
    assert card.deviation(drawn, edge, scale=1) == pytest.approx(1 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_card_itself_has_nearly_none_repeated_pixels_much_and_bicubic_is_between(scale: int) -> None:
    low, truth = example(scale)
    itself, between = jagged(truth, scale), jagged(bicubic(scale)(low), scale)
    steps = jagged(low.repeat(scale, 0).repeat(scale, 1), scale)
    for value in ("jaggedness", "circles"):
        assert getattr(itself, value) < 0.06
        assert 1.2 * getattr(itself, value) < getattr(between, value) < 0.5 * getattr(steps, value)
        assert getattr(steps, value) > 0.2 * scale - 0.12
    for angle in card.ANGLES:
        assert itself.angles[angle] < between.angles[angle] < steps.angles[angle] or angle == 45
    assert (itself.text_psnr, steps.text_psnr < between.text_psnr) == (float("inf"), True)


def test_a_shifted_thicker_or_paler_card_is_not_jagged() -> None:
    truth = example(4)[1].astype(np.float64)
    moved = (0.6 * truth + 0.4 * np.roll(truth, 1, axis=1)).round().astype(np.uint8)
    thicker = np.minimum(truth, np.roll(truth, 2, axis=0)).astype(np.uint8)
    assert jagged(moved, 4).jaggedness < 0.08
    assert jagged(thicker, 4).jaggedness < 0.16
    assert jagged((128 + 0.6 * (truth - 128)).astype(np.uint8), 4).jaggedness < 0.06


def test_an_edge_that_is_not_there_counts_with_the_whole_reach() -> None:
    scale = 2
    truth = example(scale)[1]
    blank = np.full_like(truth, card.LIGHT)
    assert jagged(blank, scale).jaggedness == pytest.approx(card.REACH * scale)
    assert jagged(blank, scale).circles == pytest.approx(card.REACH * scale)


def test_one_crooked_bar_is_named() -> None:
    truth = example(4)[1].copy()
    row, column = divmod(card.ANGLES.index(40), card.COLUMNS)
    side = card.CELL * 4
    part = truth[row * side : (row + 1) * side, column * side : (column + 1) * side]
    part[:] = part[::8, ::8].repeat(8, 0).repeat(8, 1)
    found = jagged(truth, 4)
    assert found.worst_angle == 40
    assert found.angles[40] > 5 * found.angles[35]


def test_text_is_on_the_card_in_every_size_and_no_line_leaves_it() -> None:
    truth = example(2)[1][..., 0]
    text = truth[card.TEXT_TOP * 2 :]
    dark = (text < 128).any(axis=1)
    lines = int((np.diff(dark.astype(int)) == 1).sum())
    assert lines >= len(card.TEXT_SIZES)
    assert (truth[:, -4:] == card.LIGHT).all()
    assert (truth[-8:] == card.LIGHT).all()


def test_a_result_of_another_size_is_a_bug() -> None:
    with pytest.raises(ValueError, match="expected 576 x 624"):
        card.measure(np.zeros((10, 10, 3), np.uint8), example(2)[1], scale=2)
