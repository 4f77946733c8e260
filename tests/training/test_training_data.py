"""Training data: patches that match, folders, pairs of folders, archives, the cache, and faults that are named."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.training_data import write_pictures

from hatcli.errors import InputError, MemoryLimitError, UsageError
from hatcli.image.resample import imresize
from hatcli.training.batches import PatchSampler
from hatcli.training.checks import check
from hatcli.training.data import AnyPair, load_pairs, picture_files
from hatcli.training.degradations import DEGRADATIONS
from hatcli.training.sources import find_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def pairs_of(folder: Path) -> list[AnyPair]:
    return list(load_pairs(picture_files(folder), scale=2, smallest=8))


def pack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=f"set/{path.name}")
            text = tarfile.TarInfo(f"set/{path.stem}.json")
            text.size = 2
            tar.addfile(text, io.BytesIO(b"{}"))
    return archive


def same(ours: list[AnyPair], others: list[AnyPair]) -> bool:
    return len(ours) == len(others) and all(
        np.array_equal(a.high, b.high) and np.array_equal(a.low, b.low) for a, b in zip(ours, others, strict=True)
    )


@pytest.mark.parametrize("degradation", [None, "photo"])
def test_patches_of_both_resolutions_show_the_same_place(folder: Path, degradation: str | None) -> None:
    degrade = DEGRADATIONS[degradation] if degradation else None
    low, high = PatchSampler(pairs_of(folder), batch=16, patch=8, seed=1, degradation=degrade).next()
    assert low.shape == (16, 3, 8, 8)
    assert high.shape == (16, 3, 16, 16)
    reduced = torch.nn.functional.interpolate(high, scale_factor=0.5, mode="bicubic", antialias=True)
    near, moved = ((reduced - at)[..., 2:-2, 2:-2].abs().mean() for at in (low, low.roll((1, 1), (2, 3))))
    assert near < (0.02 if degradation is None else 0.1)
    assert near < 0.6 * moved


def test_real_world_patches_show_the_same_place_on_average(folder: Path) -> None:
    degrade = DEGRADATIONS["real-world"]
    low, high = PatchSampler(pairs_of(folder), batch=64, patch=8, seed=1, degradation=degrade).next()
    assert low.shape == (64, 3, 8, 8)
    ours, theirs = low.mean(dim=(2, 3)).flatten(), high.mean(dim=(2, 3)).flatten()
    assert float(torch.corrcoef(torch.stack([ours, theirs]))[0, 1]) > 0.8


def test_processes_draw_different_patches(folder: Path) -> None:
    first, second = (PatchSampler(pairs_of(folder), batch=4, patch=8, seed=1, rank=rank).next()[0] for rank in (0, 1))
    assert not torch.equal(first, second)


def test_folders_inside_folders_count_only_when_asked(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a" / "b")
    with pytest.raises(UsageError, match="no picture"):
        find_sources([tmp_path])
    assert len(find_sources([tmp_path], recursive=True)) == 3


def test_an_archive_gives_the_pictures_of_its_folder(folder: Path, tmp_path: Path) -> None:
    archive = pack(tmp_path / "shard-000.tar", folder)
    sources = find_sources([archive])
    assert [source.name for source in sources] == [f"shard-000.tar/set/{n}.png" for n in range(3)]
    assert same(list(load_pairs(sources, scale=2, smallest=8)), pairs_of(folder))


def test_archives_in_a_folder_are_its_shards(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for number in range(2):
        pack(tmp_path / "shards" / f"{number}.tar", folder)
    assert len(find_sources([tmp_path / "shards"])) == 6


def test_a_damaged_archive_is_named(folder: Path, tmp_path: Path) -> None:
    whole = pack(tmp_path / "a.tar", folder).read_bytes()
    (tmp_path / "a.tar").write_bytes(b"not an archive" * 100)
    with pytest.raises(InputError, match=r"a\.tar is not a whole tar archive"):
        find_sources([tmp_path / "a.tar"])
    (tmp_path / "a.tar").write_bytes(whole)
    sources = find_sources([tmp_path / "a.tar"])
    (tmp_path / "a.tar").write_bytes(whole[:700])
    with pytest.raises(InputError, match=r"a\.tar ends inside set/0\.png"):
        list(load_pairs(sources, scale=2, smallest=8))


def test_small_pictures_of_a_pair_are_taken_as_they_are(folder: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    for path in folder.iterdir():
        Image.new("RGB", (22, 20), (7, 8, 9)).save(small / f"{path.stem}x2.png")
    pairs = list(load_pairs(find_sources([folder], small=small, scale=2), scale=2, smallest=8))
    assert all((pair.low == (7, 8, 9)).all() for pair in pairs)
    assert pairs[0].high.shape == (40, 44, 3)


def test_a_pair_whose_sizes_do_not_fit_is_named(folder: Path, tmp_path: Path) -> None:
    small = write_pictures(tmp_path / "small")
    with pytest.raises(InputError, match=r"0\.png is 45 x 40 pixels, but 0\.png reduced by 2 is 22 x 20"):
        list(load_pairs(find_sources([folder], small=small, scale=2), scale=2, smallest=8))
    (small / "2.png").unlink()
    with pytest.raises(UsageError, match=r"no small picture for 2\.png"):
        find_sources([folder], small=small, scale=2)


def test_the_cache_gives_the_same_pairs_and_is_made_once(folder: Path, tmp_path: Path) -> None:
    cache, sources = tmp_path / "cache", find_sources([folder])
    first = list(load_pairs(sources, scale=2, smallest=8, cache=cache, budget=1))
    times = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    second = list(load_pairs(sources, scale=2, smallest=8, cache=cache))
    assert same(first, pairs_of(folder))
    assert same(second, first)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == times
    assert isinstance(first[0].high, np.memmap)
    batch, again = (PatchSampler(pairs, batch=4, patch=8, seed=2).next()[0] for pairs in (first, pairs_of(folder)))
    assert torch.equal(batch, again)


def test_a_picture_that_changed_is_cached_anew(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    list(load_pairs(find_sources([folder]), scale=2, smallest=8, cache=cache))
    Image.new("RGB", (45, 40), (1, 2, 3)).save(folder / "0.png")
    os.utime(folder / "0.png", ns=(1, 1))
    changed = next(iter(load_pairs(find_sources([folder]), scale=2, smallest=8, cache=cache)))
    assert (changed.high == (1, 2, 3)).all()


def test_more_than_the_memory_budget_is_refused_with_the_way_out(folder: Path) -> None:
    with pytest.raises(MemoryLimitError) as caught:
        list(load_pairs(find_sources([folder]), scale=2, smallest=8, budget=8000))
    assert "--cache" in str(caught.value.hint)


def test_the_reduction_is_matlabs(folder: Path) -> None:
    pair = pairs_of(folder)[0]
    assert np.array_equal(pair.low, imresize(pair.high, 0.5))


def test_bad_data_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        picture_files(tmp_path / "missing")
    with pytest.raises(InputError, match=r"0\.png is too small: 44 x 40 pixels"):
        list(load_pairs(picture_files(folder), scale=2, smallest=64))
    (folder / "3.png").write_bytes((folder / "0.png").read_bytes()[:200])
    with pytest.raises(InputError, match=r"3\.png"):
        pairs_of(folder)


def test_checking_goes_on_after_a_fault_and_names_each(folder: Path) -> None:
    (folder / "1.png").write_bytes(b"")
    Image.new("RGB", (8, 8)).save(folder / "2.png")
    Image.new("RGB", (50, 50)).save(folder / "3.png")
    findings = list(check(find_sources([folder]), scale=2, smallest=8))
    assert [finding.problem is None for finding in findings] == [True, False, False, True]
    assert "1.png" in str(findings[1].problem)
    assert "too small" in str(findings[2].problem)
    assert findings[3].megapixels == pytest.approx(0.0025)


def half_flat(folder: Path) -> list[AnyPair]:
    """A picture that is flat but for noise in its rightmost quarter, at scale 2: 160 x 160 pixels."""
    pixels = np.full((160, 160, 3), 128, np.uint8)
    pixels[:, 120:] = np.random.default_rng(0).integers(0, 256, (160, 40, 3))
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "flat.png")
    return pairs_of(folder)


@pytest.mark.parametrize(
    ("candidates", "share", "least", "most"), [(1, 1.0, 20, 36), (8, 1.0, 88, 97), (8, 0.5, 52, 68)]
)
def test_patches_are_drawn_where_there_is_detail(
    tmp_path: Path, candidates: int, share: float, least: int, most: int
) -> None:
    """Of places over the picture 28% touch the noise; of the best of eight places 92%."""
    sampler = PatchSampler(
        half_flat(tmp_path / "flat"), batch=400, patch=8, seed=3, candidates=candidates, detail_share=share
    )
    high = sampler.next()[1]
    lively = (high.amax(dim=(1, 2, 3)) - high.amin(dim=(1, 2, 3)) > 0.2).float().mean()
    assert least <= 100 * float(lively) <= most


def test_without_candidates_the_random_numbers_are_what_they_were(folder: Path) -> None:
    """Saved states of runs without them go on."""
    pairs = pairs_of(folder)
    plain, unused = (PatchSampler(pairs, batch=4, patch=8, seed=1, detail_share=share) for share in (1.0, 0.3))
    assert torch.equal(plain.next()[0], unused.next()[0])
    assert plain.position == unused.position
    random = np.random.default_rng([1, 0])
    areas = np.array([pair.size[0] * pair.size[1] for pair in pairs], dtype=np.float64)
    for number in random.choice(len(pairs), size=4, p=areas / areas.sum()):
        height, width = pairs[number].size
        for limit in (height - 7, width - 7, 4, 2):
            random.integers(limit)
    assert repr(random.bit_generator.state) == plain.position
