"""Parts of the pictures: chosen by names alone, together everything, apart from each other."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from hatcli.batch.shards import WHOLE, Shard, parse, place_of
from hatcli.errors import UsageError

NAMES = [PurePosixPath(f"{number % 7}/scan {number}.tif") for number in range(500)]


def test_the_place_of_a_name_is_that_of_the_documented_hash() -> None:
    digest = hashlib.sha256("früh/a b.png".encode()).digest()
    assert place_of(PurePosixPath("früh/a b.png")) == int.from_bytes(digest[:8], "big")
    assert (
        place_of(PureWindowsPath("früh\\a b.png"))
        == place_of(PurePosixPath("fru\u0308h/a b.png"))
        == place_of(PurePosixPath("früh/a b.png"))
    )


@pytest.mark.parametrize("count", [1, 2, 3, 16, 100])
def test_every_name_is_in_one_part_and_parts_are_about_equal(count: int) -> None:
    parts = [[name for name in NAMES if Shard(number, count).holds(name)] for number in range(1, count + 1)]
    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    if count <= 16:
        assert min(map(len, parts)) > len(NAMES) / count / 2.5


def test_a_part_in_parts_is_that_part() -> None:
    whole = {name for name in NAMES if Shard(3, 5).holds(name)}
    parts = [{name for name in NAMES if part.holds(name)} for part in Shard(3, 5).split(4)]
    assert set().union(*parts) == whole
    assert sum(map(len, parts)) == len(whole)


@pytest.mark.parametrize("one", [WHOLE, Shard(1, 2), Shard(2, 4), Shard(3, 6), Shard(2, 3), Shard(5, 9)])
@pytest.mark.parametrize("other", [WHOLE, Shard(2, 2), Shard(3, 4), Shard(1, 3), Shard(2, 9)])
def test_parts_overlap_if_a_name_is_in_both(one: Shard, other: Shard) -> None:
    common = [number for number in range(36) if number % one.count == one.number - 1]
    assert one.overlaps(other) is any(number % other.count == other.number - 1 for number in common)
    assert other.overlaps(one) is one.overlaps(other)


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "3", "3/", "-1/4", "1/0", "a/b", "1/2/3", "1/9999999", "1.0/2", "", "٣/٤"]
)
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no part"):
        parse(text)


def test_a_part_is_read_as_it_is_written() -> None:
    assert parse(" 3 / 16 ") == Shard(3, 16)
    assert str(parse("03/16")) == "3/16"
