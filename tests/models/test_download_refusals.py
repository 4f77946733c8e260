"""Hostile files, full disks, unknown hashes: refused in one line, with nothing installed."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from support.fake_hub import REPO, FakeHub, Published
from support.tiny_model import NOTHING, PTH, entry_for, finish, refused, saved, state_of

from hatcli.errors import OutputError
from hatcli.models import download, store, transfer
from hatcli.network import checkpoint

# Unknown hashes


def test_a_file_whose_sha256_is_unknown_needs_consent_before_anything_is_asked(hub: FakeHub, tiny: Published) -> None:
    error = refused(entry_for(PTH, sha256=None))
    assert error.exit_code == 3
    assert "--allow-unverified" in (error.hint or "")
    assert hub.seen == []
    path, _ = finish(entry_for(PTH, sha256=None), allow_unverified=True)
    assert checkpoint.read(path).metadata["source_sha256"] == hashlib.sha256(PTH).hexdigest()


def test_consent_does_not_switch_off_a_known_sha256(tiny: Published) -> None:
    tiny.tag = hashlib.sha256(PTH).hexdigest()
    tiny.content = bytes(len(PTH))
    assert "sha256" in refused(entry_for(PTH), allow_unverified=True).message


def test_halves_of_an_unverifiable_file_are_never_put_together(hub: FakeHub, tiny: Published) -> None:
    tiny.cuts = [30_000, *NOTHING]
    refused(entry_for(PTH, sha256=None), allow_unverified=True)
    tiny.cuts, hub.seen = [], []
    finish(entry_for(PTH, sha256=None), allow_unverified=True)
    assert [seen.range for seen in hub.bodies()] == [None]


# Hostile files, with the sha256 the catalogue expects: the last line of defence


class _Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"echo owned > {self.marker}",)


def test_a_pickle_that_would_run_a_command_is_refused_and_runs_nothing(hub: FakeHub, tmp_path: Path) -> None:
    content = saved({"params_ema": state_of(), "x": _Attack(tmp_path / "marker")})
    hub.publish(REPO, "HAT/tiny.pth", content)
    error = refused(entry_for(content))
    assert error.exit_code == 3
    assert not (tmp_path / "marker").exists()
    assert download.kept_bytes(entry_for(content)) == 0


def test_a_zip_bomb_is_refused(hub: FakeHub) -> None:
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (64 << 20))
    hub.publish(REPO, "HAT/tiny.pth", stream.getvalue())
    assert refused(entry_for(stream.getvalue())).exit_code == 3


@pytest.mark.parametrize("length", [2**40, 2**63, 200_000_000])
def test_an_absurd_safetensors_header_is_refused(hub: FakeHub, length: int) -> None:
    content = length.to_bytes(8, "little") + b'{"a":' + b" " * 100
    hub.publish(REPO, "HAT/tiny.pth", content)
    assert refused(entry_for(content)).exit_code == 3


def test_another_architecture_is_refused(hub: FakeHub) -> None:
    content = saved({"params_ema": {"body.0.weight": torch.zeros(3, 3)}})
    hub.publish(REPO, "HAT/tiny.pth", content)
    assert "HAT" in refused(entry_for(content)).message


def test_a_hat_for_another_scale_than_the_catalogue_says_is_refused(tiny: Published) -> None:
    assert "x2" in refused(entry_for(PTH, scale=4)).message


def test_a_link_in_the_place_of_a_kept_transfer_is_not_written_through(tiny: Published, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    part = store.partial_path(entry_for(PTH).sha256 or "")
    part.parent.mkdir(parents=True)
    try:
        part.symlink_to(precious)
    except OSError:
        pytest.skip("links need a privilege here")
    assert "link" in refused(entry_for(PTH)).message
    assert precious.read_bytes() == b"mine"


# Disks


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    hub: FakeHub, tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "free_bytes", lambda folder: 1_000_000)
    error = refused(entry_for(PTH))
    assert isinstance(error, OutputError)
    assert error.exit_code == 5
    assert "1 MB are free" in error.message
    assert hub.seen == []


def test_a_home_that_cannot_be_made_is_one_line(
    hub: FakeHub, tiny: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HAT_HOME", str(tmp_path / "file" / "home"))
    assert refused(entry_for(PTH)).exit_code == 5
