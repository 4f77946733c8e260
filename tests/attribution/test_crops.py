"""Which part of a large picture is compared."""

from __future__ import annotations

import numpy as np
import pytest

from hatcli.attribution.crops import Crop, most_detailed, parse
from hatcli.errors import UsageError


def flat(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), 90, np.uint8)


def test_the_part_with_detail_is_taken_in_the_pictures_own_shape() -> None:
    picture = flat(300, 400)
    picture[200:260, 300:380] = np.random.default_rng(0).integers(0, 256, (60, 80, 3))
    crop = most_detailed(picture, area=60 * 80)
    assert (crop.width, crop.height) == (80, 60)
    assert abs(crop.left - 300) <= 1
    assert abs(crop.top - 200) <= 1
    assert crop.of(picture).std() > 60


@pytest.mark.parametrize("size", [(1, 1), (30, 40), (1, 5000), (5000, 1), (3, 4000), (977, 1009)])
def test_no_part_is_larger_than_asked_for_or_outside(size: tuple[int, int]) -> None:
    crop = most_detailed(flat(*size), area=1200)
    assert 1 <= crop.width * crop.height <= 1200
    assert crop.width * crop.height >= min(size[0] * size[1], 1100)
    assert crop.of(flat(*size)).shape == (crop.height, crop.width, 3)


def test_the_same_part_of_a_larger_picture_is_at_the_same_place() -> None:
    picture = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    large = picture.repeat(4, 0).repeat(4, 1)
    crop = Crop(7, 5, 20, 10)
    assert np.array_equal(crop.of(large, 4)[::4, ::4], crop.of(picture))


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "", "1,2,3,-4", "0,0,0,5", "0,0,61,40", "1,0,60,1", "0,0,1,41"])
def test_what_is_no_part_of_the_picture_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text, width=60, height=40)


def test_a_part_is_written_as_place_and_size() -> None:
    assert parse("1, 2,59,38", width=60, height=40) == Crop(1, 2, 59, 38)
