"""Offline use, carried copies, official shapes, and looking after what is installed."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from support.commands import hat
from support.commands import refused as refused_line
from support.fake_hub import COMMIT, FakeHub, Published
from support.tiny_model import PTH, TINY, entry_for, finish, refused, saved, state_of, verdict_on

from hatcli.errors import UsageError, WeightsError
from hatcli.models import catalog, download, opening, receipt, store
from hatcli.network import checkpoint
from hatcli.network.attention import cross_attention_index, self_attention_index
from hatcli.network.config import preset
from hatcli.network.hat import HAT

# Offline, and copies from elsewhere


@pytest.mark.parametrize("how", ["option", "environment"])
def test_offline_nothing_is_asked_and_what_is_missing_is_said(
    hub: FakeHub, tiny: Published, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "environment":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refused(entry_for(PTH), offline=how == "option")
    assert error.exit_code == 3
    assert "tiny-x2" in error.message
    assert str(store.weights_path("tiny-x2").parent) in (error.hint or "")
    assert hub.seen == []


def _in_hub_cache(content: bytes) -> Path:
    repository = Path(constants.HF_HUB_CACHE) / "models--someone--weights"
    blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)
    snapshot = repository / "snapshots" / COMMIT / "HAT" / "tiny.pth"
    snapshot.parent.mkdir(parents=True)
    try:
        snapshot.symlink_to(os.path.relpath(blob, snapshot.parent))
    except OSError:
        snapshot.write_bytes(content)
    return snapshot


@pytest.mark.parametrize("offline", [False, True])
def test_a_copy_in_the_hubs_cache_is_used_without_a_request(hub: FakeHub, tiny: Published, offline: bool) -> None:
    _in_hub_cache(PTH)
    finish(entry_for(PTH), offline=offline)
    assert hub.seen == []


def test_a_damaged_copy_in_the_hubs_cache_is_refused_offline_and_passed_over_online(
    hub: FakeHub, tiny: Published
) -> None:
    _in_hub_cache(PTH[:-1] + b"x")
    assert "sha256" in refused(entry_for(PTH), offline=True).message
    finish(entry_for(PTH))
    assert len(hub.bodies()) == 1


def test_a_cache_entry_that_leads_out_of_the_cache_is_not_followed(
    hub: FakeHub, tiny: Published, tmp_path: Path
) -> None:
    snapshot = _in_hub_cache(PTH)
    (tmp_path / "elsewhere.pth").write_bytes(PTH)
    snapshot.unlink()
    try:
        snapshot.symlink_to(tmp_path / "elsewhere.pth")
    except OSError:
        pytest.skip("links need a privilege here")
    refused(entry_for(PTH), offline=True)


def test_a_carried_copy_of_the_published_file_is_installed_without_a_network(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "stick.pth").write_bytes(PTH)
    for _ in download.install(entry_for(PTH), tmp_path / "stick.pth"):
        pass
    assert checkpoint.read(store.weights_path("tiny-x2")).config == TINY
    assert hub.seen == []
    assert (tmp_path / "stick.pth").read_bytes() == PTH


def test_a_carried_copy_of_something_else_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    for name, content in {"other.pth": saved(state_of(7)), "gone.pth": None}.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=r"sha256 differs|cannot be read"):
            list(download.install(entry_for(PTH), tmp_path / name))
    assert catalog.installed_path(entry_for(PTH)) is None


def test_a_copied_folder_is_all_an_offline_machine_needs(
    hub: FakeHub, tiny: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    finish(entry_for(PTH))
    shutil.copytree(store.root(), tmp_path / "firm")
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "firm"))
    path, _ = finish(entry_for(PTH), offline=True)
    assert path.is_relative_to(tmp_path / "firm")
    assert verdict_on(entry_for(PTH)) == "intact"


# Every official shape


def _official(variant: str, scale: int) -> dict[str, torch.Tensor]:
    """Random weights in the shape of an official checkpoint, without the cost of initialising a network."""
    config = preset(variant, upscale=scale)
    with torch.device("meta"):
        shapes = HAT(config).state_dict()
    indices = {
        "relative_position_index_SA": self_attention_index(config.window_size),
        "relative_position_index_OCA": cross_attention_index(config.window_size, config.overlap_window),
    }
    generator = torch.Generator().manual_seed(scale)
    return {
        key: indices[key] if key in indices else torch.rand(value.shape, generator=generator)
        for key, value in shapes.items()
    }


SHAPES = [
    pytest.param(variant, scale, wrapper, marks=() if light else pytest.mark.slow)
    for variant, scale, wrapper, light in [
        ("hat-s", 2, "params", True),
        ("hat-s", 3, "params_ema", True),
        ("hat-s", 4, "both", True),
        *[("hat", scale, wrapper, False) for scale in (2, 3, 4) for wrapper in ("params", "params_ema", "both")],
        *[("hat-l", scale, wrapper, False) for scale in (2, 3, 4) for wrapper in ("params", "params_ema", "both")],
    ]
]


@pytest.mark.parametrize(("variant", "scale", "wrapper"), SHAPES)
def test_an_official_shaped_checkpoint_reloads_bit_for_bit(
    hub: FakeHub, tmp_path: Path, variant: str, scale: int, wrapper: str
) -> None:
    state = _official(variant, scale)
    wrapped = {
        "params": {"params": state},
        "params_ema": {"params_ema": state},
        "both": {"params": {key: torch.zeros_like(value) for key, value in state.items()}, "params_ema": state},
    }[wrapper]
    torch.save(wrapped, tmp_path / "official.pth")
    known = catalog.resolve(variant, scale=scale)
    digest = receipt.digest(tmp_path / "official.pth")
    entry = replace(known, size=None, sha256=digest)
    list(download.install(entry, tmp_path / "official.pth"))
    path = catalog.installed_path(entry)
    assert path is not None
    opened = checkpoint.read(path)
    assert opened.config == preset(variant, upscale=scale)
    assert opened.state.keys() == state.keys()
    assert all(torch.equal(opened.state[key], value) for key, value in state.items())


# Looking after what is installed


def test_verify_tells_intact_from_changed_unknown_and_missing(tiny: Published) -> None:
    entry = entry_for(PTH)
    assert verdict_on(entry) == "missing"
    path, _ = finish(entry)
    assert verdict_on(entry) == "intact"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert verdict_on(entry) == "changed"
    store.receipt_path(entry.id).unlink()
    assert verdict_on(entry) == "unknown"


def test_the_receipt_is_what_sha256sum_reads(tiny: Published) -> None:
    path, _ = finish(entry_for(PTH))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert store.receipt_path("tiny-x2").read_bytes() == f"{expected}  tiny-x2.safetensors\n".encode()


def _change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_installed_weights_with_one_changed_byte_are_refused_when_they_are_opened(
    tiny: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_for(PTH)
    monkeypatch.setattr(catalog, "_catalog", lambda: ((entry,), {}))
    path, _ = finish(entry)
    assert opening.open_one("tiny", factor=None)[2] is not None
    _change_a_byte(path)
    with pytest.raises(WeightsError, match="has changed since") as caught:
        _ = opening.open_one("tiny", factor=None)[2]
    assert caught.value.hint == "hat models remove tiny, then hat download tiny"
    with Image.new("RGB", (8, 8)) as image:
        image.save(tmp_path / "a.png")
    assert "has changed since" in refused_line(hat(tmp_path / "a.png", "-n", "tiny", "--cpu"), 3)
    assert not (tmp_path / "a_x2.png").exists()


def test_bundled_weights_that_changed_are_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = catalog.resolve("hat-t-x2")
    there = catalog.installed_path(entry)
    assert there is not None
    shutil.copy(there, tmp_path / entry.filename)
    _change_a_byte(tmp_path / entry.filename)
    monkeypatch.setattr(store, "bundled", lambda filename: tmp_path / filename)
    with pytest.raises(WeightsError, match="has changed since") as caught:
        _ = opening.open_one("hat-t", factor=2)[2]
    assert caught.value.hint == "install hatcli again"


def _linked(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("links need a privilege here")


def test_a_link_in_the_place_of_a_receipt_is_neither_written_through_nor_believed(
    tiny: Published, tmp_path: Path
) -> None:
    precious = tmp_path / "victim.rc"
    precious.write_text("mine")
    entry = entry_for(PTH)
    _linked(store.receipt_path(entry.id), precious)
    assert "a link" in refused(entry).message
    assert precious.read_text() == "mine"
    store.receipt_path(entry.id).unlink()
    path, _ = finish(entry)
    store.receipt_path(entry.id).replace(tmp_path / "elsewhere")
    _linked(store.receipt_path(entry.id), tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match="a link"):
        receipt.expected(entry)
    assert path.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_devices_and_long_files_in_the_place_of_a_receipt_are_refused(tiny: Published) -> None:
    entry = entry_for(PTH)
    finish(entry)
    there = store.receipt_path(entry.id)
    there.unlink()
    os.mkfifo(there)
    with pytest.raises(WeightsError, match="a pipe"):
        receipt.expected(entry)
    there.unlink()
    there.write_bytes(b"0" * 10_000_000)
    with pytest.raises(WeightsError, match="larger than"):
        receipt.expected(entry)


def test_a_link_in_the_place_of_a_lock_is_not_followed(tiny: Published, tmp_path: Path) -> None:
    precious = tmp_path / "victim.rc"
    precious.write_text("mine")
    _linked(store.lock_path("tiny-x2"), precious)
    assert "a link" in refused(entry_for(PTH)).message
    assert precious.read_text() == "mine"


def test_a_home_of_a_user_there_is_not_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAT_HOME", "~nobody-has-this-name/x")
    with pytest.raises(UsageError, match="no such user"):
        store.root()
    with Image.new("RGB", (8, 8)) as image:
        image.save(tmp_path / "a.png")
    assert "no such user" in refused_line(hat(tmp_path / "a.png", "--cpu"), 2)


def test_remove_deletes_the_model_its_receipt_and_its_partial_transfer(tiny: Published) -> None:
    entry = entry_for(PTH)
    path, _ = finish(entry)
    part = store.partial_path(entry.sha256 or "")
    part.write_bytes(b"x" * 100)
    assert download.remove(entry) > 100
    assert not any((path.exists(), part.exists(), store.receipt_path(entry.id).exists()))
    assert download.remove(entry) == 0
    with pytest.raises(WeightsError):
        download.remove(catalog.resolve("hat-t"))


def test_a_bundled_model_is_never_downloaded(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "bundled", lambda filename: None)
    assert "missing from this installation" in refused(catalog.resolve("hat-t")).message
    assert hub.seen == []
