"""Sets of pictures: which file belongs to which, how small pictures are made, and what bad data is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hatcli.errors import InputError, UsageError
from hatcli.evaluation.datasets import SetPicture, check_pairs, find_pairs, load_pair, name_parts, set_name
from hatcli.image.resample import imresize, modcrop


def pixels(height: int, width: int, *, channels: int = 3, seed: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)


def save(path: Path, samples: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(samples if samples.shape[2] == 3 else samples[:, :, 0]).save(path)
    return path


def test_small_pictures_are_made_by_matlabs_bicubic_from_the_cropped_truth(tmp_path: Path) -> None:
    truth = pixels(43, 38)
    save(tmp_path / "a.png", truth)
    (pair,) = find_pairs(tmp_path, scale=4)
    example = load_pair(pair, scale=4)
    assert np.array_equal(example.truth, modcrop(truth, 4))
    assert np.array_equal(example.low, imresize(modcrop(truth, 4), 1 / 4))


@pytest.mark.parametrize(
    ("truth", "small"),
    [
        ("baby.png", "baby.png"),
        ("baby.png", "babyx4.png"),
        ("baby.png", "baby_x4.png"),
        ("baby.png", "baby_LR.png"),
        ("baby.png", "baby_LRBI_x4.png"),
        ("baby_HR_x4.png", "baby_LRBI_x4.png"),
        ("0801.png", "0801x4m.png"),
        ("img_001_SRF_4_HR.png", "img_001_SRF_4_LR.png"),
        ("baby.bmp", "babyx4.jpg"),
        ("t7_x2.png", "t7_x2x4.png"),
    ],
)
def test_usual_names_of_pairs_are_matched(tmp_path: Path, truth: str, small: str) -> None:
    save(tmp_path / "hr" / truth, pixels(24, 24))
    save(tmp_path / "lr" / small, pixels(6, 6))
    save(tmp_path / "lr" / "unrelated.png", pixels(6, 6))
    (pair,) = find_pairs(tmp_path / "hr", scale=4, small_folder=tmp_path / "lr")
    assert pair.small == tmp_path / "lr" / small


def test_small_pictures_for_another_scale_are_not_taken(tmp_path: Path) -> None:
    save(tmp_path / "hr" / "baby.png", pixels(24, 24))
    for scale in (2, 3, 4):
        save(tmp_path / "lr" / f"babyx{scale}.png", pixels(24 // scale, 24 // scale))
    (pair,) = find_pairs(tmp_path / "hr", scale=3, small_folder=tmp_path / "lr")
    assert pair.small == tmp_path / "lr" / "babyx3.png"


def test_published_layouts_are_found_inside_the_folder(tmp_path: Path) -> None:
    save(tmp_path / "Set5" / "GTmod12" / "baby.png", pixels(24, 24))
    save(tmp_path / "Set5" / "LRbicx4" / "baby.png", pixels(6, 6))
    save(tmp_path / "LR" / "X4" / "babyx4.png", pixels(6, 6))
    (own,) = find_pairs(tmp_path / "Set5", scale=4, small_folder=tmp_path / "Set5" / "LRbicx4")
    (other,) = find_pairs(tmp_path / "Set5", scale=4, small_folder=tmp_path / "LR")
    assert own.truth == other.truth == tmp_path / "Set5" / "GTmod12" / "baby.png"
    assert other.small == tmp_path / "LR" / "X4" / "babyx4.png"


def test_one_folder_may_hold_both_sizes_if_names_tell_them_apart(tmp_path: Path) -> None:
    for number in (1, 2):
        save(tmp_path / f"img_00{number}_SRF_4_HR.png", pixels(24, 24))
        save(tmp_path / f"img_00{number}_SRF_4_LR.png", pixels(6, 6))
    pairs = find_pairs(tmp_path, scale=4, small_folder=tmp_path)
    assert [(pair.truth.name[8:], pair.small and pair.small.name[8:]) for pair in pairs] == [
        ("SRF_4_HR.png", "SRF_4_LR.png")
    ] * 2
    save(tmp_path / "plain" / "a.png", pixels(24, 24))
    with pytest.raises(UsageError, match="both sizes"):
        find_pairs(tmp_path / "plain", scale=4, small_folder=tmp_path / "plain")


def test_given_small_pictures_are_used_as_they_are(tmp_path: Path) -> None:
    save(tmp_path / "hr" / "a.png", pixels(50, 49))
    small = pixels(16, 16, seed=9)
    save(tmp_path / "lr" / "ax3.png", small)
    (pair,) = find_pairs(tmp_path / "hr", scale=3, small_folder=tmp_path / "lr")
    example = load_pair(pair, scale=3)
    assert np.array_equal(example.low, small)
    assert example.truth.shape == (48, 48, 3)


def test_names_are_taken_apart() -> None:
    parts = name_parts("baby_LRBI_x4")
    assert (parts.base, parts.role, parts.scale) == ("baby", "LR", 4)
    assert name_parts("collar").base == "collar"
    assert name_parts("x4").base == "x4"


def test_equal_stems_get_names_of_their_own(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "b.png"):
        save(tmp_path / name, pixels(24, 24))
    assert [pair.name for pair in find_pairs(tmp_path, scale=2)] == ["a.bmp", "a.png", "b"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("set5", "Set5"), ("B100", "BSD100"), ("Set14/GTmod12", "Set14"), ("urban100/HR", "Urban100"), ("mine", "mine")],
)
def test_sets_have_their_usual_names(tmp_path: Path, folder: str, name: str) -> None:
    assert set_name(tmp_path / folder) == name


def test_gray_stays_gray_or_is_expanded_on_request(tmp_path: Path) -> None:
    pair = SetPicture("g", save(tmp_path / "g.png", pixels(24, 24, channels=1)))
    native, colour = load_pair(pair, scale=2), load_pair(pair, scale=2, gray="rgb")
    assert native.low.shape == (12, 12, 1)
    assert np.array_equal(colour.low, native.low.repeat(3, axis=2))
    assert np.array_equal(colour.truth, native.truth.repeat(3, axis=2))


def test_a_gray_and_a_coloured_half_of_a_pair_meet_in_colour(tmp_path: Path) -> None:
    truth, small = save(tmp_path / "g.png", pixels(24, 24, channels=1)), save(tmp_path / "l.png", pixels(12, 12))
    example = load_pair(SetPicture("g", truth, small), scale=2)
    assert example.low.shape[2] == example.truth.shape[2] == 3


def test_sixteen_bits_are_rounded_to_eight(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 24 * 24).astype(np.uint16).reshape(24, 24)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    (pair,) = find_pairs(tmp_path, scale=2)
    truth = load_pair(pair, scale=2).truth
    assert np.array_equal(truth[:, :, 0], np.round(deep / 257).astype(np.uint8))


def test_hidden_files_and_other_files_are_not_pictures(tmp_path: Path) -> None:
    save(tmp_path / "a.png", pixels(24, 24))
    (tmp_path / "._a.png").write_bytes(b"resource fork")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    assert [pair.name for pair in find_pairs(tmp_path, scale=2)] == ["a"]


def test_a_damaged_picture_is_named_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    (pair,) = find_pairs(tmp_path, scale=2)
    with pytest.raises(InputError, match=r"broken\.png"):
        load_pair(pair, scale=2)
    with pytest.raises(InputError, match=r"broken\.png"):
        check_pairs([pair], scale=2)


def test_a_picture_too_small_to_score_is_named(tmp_path: Path) -> None:
    pair = SetPicture("tiny", save(tmp_path / "tiny.png", pixels(40, 20)))
    with pytest.raises(InputError, match=r"tiny\.png is too small .* 20 x 40") as raised:
        load_pair(pair, scale=5)
    with pytest.raises(InputError, match=r"tiny\.png is too small .* 20 x 40"):
        check_pairs([pair], scale=5)
    check_pairs([pair], scale=4)
    assert raised.value.hint is not None
    assert "21" in raised.value.hint
    assert load_pair(pair, scale=4).truth.shape == (40, 20, 3)


def test_sizes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    truth, small = save(tmp_path / "a.png", pixels(48, 40)), save(tmp_path / "ax4.png", pixels(12, 11))
    with pytest.raises(InputError, match=r"ax4\.png is 11 x 12 pixels, but a\.png reduced by 4 is 10 x 12"):
        load_pair(SetPicture("a", truth, small), scale=4)
    with pytest.raises(InputError, match=r"ax4\.png is 11 x 12 pixels, but a\.png reduced by 4 is 10 x 12"):
        check_pairs([SetPicture("a", truth, small)], scale=4)


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_pairs(tmp_path / "nowhere", scale=2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no pictures in"):
        find_pairs(tmp_path / "empty", scale=2)
    file = save(tmp_path / "file.png", pixels(24, 24))
    with pytest.raises(UsageError, match="not a folder"):
        find_pairs(file, scale=2)


def test_a_truth_without_a_small_picture_is_named(tmp_path: Path) -> None:
    save(tmp_path / "hr" / "a.png", pixels(24, 24))
    save(tmp_path / "hr" / "b.png", pixels(24, 24))
    save(tmp_path / "lr" / "ax2.png", pixels(12, 12))
    with pytest.raises(UsageError, match=r"no small picture for b\.png"):
        find_pairs(tmp_path / "hr", scale=2, small_folder=tmp_path / "lr")


def test_two_possible_small_pictures_are_named(tmp_path: Path) -> None:
    save(tmp_path / "hr" / "a.png", pixels(24, 24))
    save(tmp_path / "lr" / "ax2.png", pixels(12, 12))
    save(tmp_path / "lr" / "a_LR.png", pixels(12, 12))
    with pytest.raises(UsageError, match=r"a_LR\.png and ax2\.png could both be"):
        find_pairs(tmp_path / "hr", scale=2, small_folder=tmp_path / "lr")
