"""Weights arrive whole and verified over whatever network there is, or not at all."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from support.fake_hub import COMMIT, REPO, FakeHub, Published
from support.tiny_model import NOTHING, PTH, TINY, entry_for, finish, refused, state_of

from hatcli.errors import WeightsError
from hatcli.models import download, store
from hatcli.models.catalog import WebSource
from hatcli.network import checkpoint

# A good download


def test_a_download_is_verified_converted_and_bit_for_bit_the_published_averaged_weights(
    hub: FakeHub, tiny: Published
) -> None:
    entry = entry_for(PTH)
    path, events = finish(entry)
    assert path == store.weights_path("tiny-x2")
    opened = checkpoint.read(path)
    for key, value in state_of(0).items():
        assert torch.equal(opened.state[key], value)
    assert [event.stage for event in events if event.stage != "verifying"][-1] == "converting"
    counts = [event.done for event in events if event.stage == "downloading"]
    assert counts == sorted(counts)
    assert counts[-1] == len(PTH)
    assert len(hub.bodies()) == 1


def test_the_installed_file_says_where_it_comes_from_and_under_which_licence(tiny: Published) -> None:
    entry = entry_for(PTH)
    path, _ = finish(entry)
    metadata = checkpoint.read(path).metadata
    assert metadata["source"] == entry.sources[0].address
    assert metadata["source_sha256"] == entry.sha256
    assert metadata["licence"] == "Apache-2.0"
    assert metadata["author"] == entry.author
    assert checkpoint.read(path).config == TINY


def test_nothing_but_the_model_and_its_receipt_stays(tiny: Published) -> None:
    finish(entry_for(PTH))
    stayed = {str(path.relative_to(store.root()).as_posix()) for path in store.root().rglob("*") if path.is_file()}
    assert stayed - {"locks/tiny-x2.lock"} == {"models/tiny-x2.safetensors", "models/tiny-x2.sha256"}


def test_an_installed_model_is_used_without_asking_anyone(hub: FakeHub, tiny: Published) -> None:
    first, _ = finish(entry_for(PTH))
    asked = len(hub.seen)
    again, events = finish(entry_for(PTH))
    assert (again, events, len(hub.seen)) == (first, [], asked)
    assert finish(entry_for(PTH), offline=True)[0] == first


def test_the_pinned_revision_is_asked_for_and_telemetry_is_not(hub: FakeHub, tiny: Published) -> None:
    finish(entry_for(PTH))
    assert {seen.path for seen in hub.seen} == {f"/{REPO}/resolve/{COMMIT}/HAT/tiny.pth"}


def test_a_dataset_repository_is_asked_for_as_one(hub: FakeHub) -> None:
    hub.put(f"/datasets/{REPO}/resolve/main/tiny.pth", PTH)
    finish(entry_for(PTH, sources=(WebSource(repo=REPO, revision="main", path="tiny.pth", dataset=True),)))


def test_a_safetensors_file_is_taken_as_well(hub: FakeHub, tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "x.safetensors", config=TINY, state=state_of(3))
    content = (tmp_path / "x.safetensors").read_bytes()
    hub.publish(REPO, "HAT/tiny.pth", content)
    path, _ = finish(entry_for(content, filename="tiny.safetensors"))
    assert torch.equal(checkpoint.read(path).state["conv_last.weight"], state_of(3)["conv_last.weight"])


# Broken connections


def test_a_cut_connection_is_continued_from_the_byte_it_broke_at(hub: FakeHub, tiny: Published) -> None:
    tiny.cuts = [30_000, 20_000]
    finish(entry_for(PTH))
    assert [seen.range for seen in hub.bodies()] == [None, "bytes=30000-", "bytes=50000-"]


def test_a_transfer_that_keeps_breaking_is_given_up_and_continued_by_the_next_run(
    hub: FakeHub, tiny: Published
) -> None:
    tiny.cuts = [30_000, *NOTHING]
    error = refused(entry_for(PTH))
    assert isinstance(error, WeightsError)
    assert "the same command" in (error.hint or "")
    assert download.kept_bytes(entry_for(PTH)) == 30_000
    tiny.cuts, hub.seen = [], []
    finish(entry_for(PTH))
    assert [seen.range for seen in hub.bodies()] == ["bytes=30000-"]


def test_another_mirror_continues_what_the_first_began(hub: FakeHub, tiny: Published) -> None:
    tiny.cuts = [30_000, *NOTHING]
    mirror = hub.put("/mirror/tiny.pth", PTH)
    mirror.redirect = False
    sources = (*entry_for(PTH).sources, WebSource(url=f"{hub.url()}/mirror/tiny.pth"))
    finish(entry_for(PTH, sources=sources))
    assert hub.bodies()[-1].path == "/mirror/tiny.pth"
    assert hub.bodies()[-1].range == "bytes=30000-"


def test_a_server_without_ranges_is_read_from_the_start_again(hub: FakeHub, tiny: Published) -> None:
    tiny.cuts, tiny.ranges = [30_000], False
    path, _ = finish(entry_for(PTH))
    assert torch.equal(checkpoint.read(path).state["conv_last.weight"], state_of(0)["conv_last.weight"])


def test_a_server_that_answers_a_range_with_other_bytes_is_not_believed(hub: FakeHub, tiny: Published) -> None:
    tiny.cuts, tiny.wrong_start = [30_000], True
    finish(entry_for(PTH))
    assert hub.bodies()[-1].range is None


def test_a_file_without_an_announced_length_arrives(tiny: Published) -> None:
    tiny.lengths = False
    finish(entry_for(PTH, size=None, size_estimate=len(PTH)))


def test_a_kept_beginning_that_is_wrong_costs_one_more_transfer_and_nothing_else(hub: FakeHub, tiny: Published) -> None:
    entry = entry_for(PTH)
    part = store.partial_path(entry.sha256 or "")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 40_000)
    finish(entry)
    assert [seen.range for seen in hub.bodies()] == ["bytes=40000-", None]


def test_a_kept_transfer_that_is_too_long_is_thrown_away(hub: FakeHub, tiny: Published) -> None:
    entry = entry_for(PTH)
    part = store.partial_path(entry.sha256 or "")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * (len(PTH) + 1))
    finish(entry)
    assert [seen.range for seen in hub.bodies()] == [None]


def test_a_complete_kept_transfer_is_not_fetched_again(hub: FakeHub, tiny: Published) -> None:
    entry = entry_for(PTH)
    part = store.partial_path(entry.sha256 or "")
    part.parent.mkdir(parents=True)
    part.write_bytes(PTH)
    finish(entry)
    assert hub.seen == []


# Wrong answers


def test_corruption_of_the_same_size_is_rejected_and_nothing_is_opened_or_installed(
    hub: FakeHub, tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "read", lambda path: pytest.fail("opened before it was verified"))
    tiny.tag = hashlib.sha256(PTH).hexdigest()  # the Hub still says what it should be
    tiny.content = PTH[:5000] + bytes([PTH[5000] ^ 1]) + PTH[5001:]
    error = refused(entry_for(PTH))
    assert error.exit_code == 3
    assert "sha256" in error.message
    assert download.kept_bytes(entry_for(PTH)) == 0


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_another_size_is_refused_before_its_body(hub: FakeHub, tiny: Published, change: int) -> None:
    tiny.content = PTH[:change] if change < 0 else PTH + b"x"
    tiny.tag = hashlib.sha256(PTH).hexdigest()
    error = refused(entry_for(PTH))
    assert f"{len(tiny.content)} bytes" in error.message
    assert download.kept_bytes(entry_for(PTH)) == 0


def test_a_hub_that_announces_another_sha256_is_refused_before_the_body(tiny: Published) -> None:
    tiny.tag = "0" * 64
    assert "another file" in refused(entry_for(PTH)).message
    assert download.kept_bytes(entry_for(PTH)) == 0


def test_a_web_page_in_place_of_the_file_is_named_as_one(tiny: Published) -> None:
    tiny.content, tiny.content_type = b"<!doctype html><p>Sign in to this hotel's network", "text/html; charset=utf-8"
    assert "web page" in refused(entry_for(PTH)).message


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (404, "EntryNotFound", "no such file"),
        (404, "RevisionNotFound", "no such file"),
        (404, None, "no such file"),
        (401, "RepoNotFound", "HF_TOKEN"),
        (403, "GatedRepo", "accept its terms"),
        (401, None, "HF_TOKEN"),
        (429, None, "fewer requests"),
        (500, None, "500"),
        (503, None, "503"),
    ],
)
def test_a_refusal_is_told_in_plain_words(tiny: Published, status: int, code: str | None, told: str) -> None:
    tiny.status, tiny.error_code = status, code
    error = refused(entry_for(PTH))
    assert error.exit_code == 3
    assert told in error.message
    assert "127.0.0.1" in error.message


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_the_next_mirror_is_asked_when_one_refuses(hub: FakeHub, tiny: Published, status: int) -> None:
    tiny.status = status
    hub.put("/mirror/tiny.pth", PTH).redirect = False
    sources = (*entry_for(PTH).sources, WebSource(url=f"{hub.url()}/mirror/tiny.pth"))
    path, _ = finish(entry_for(PTH, sources=sources))
    assert checkpoint.read(path).metadata["source"].endswith("/mirror/tiny.pth")


def test_the_next_mirror_is_asked_when_one_delivers_wrong_bytes(hub: FakeHub, tiny: Published) -> None:
    tiny.tag = hashlib.sha256(PTH).hexdigest()
    tiny.content = bytes(len(PTH))
    hub.put("/mirror/tiny.pth", PTH).redirect = False
    sources = (*entry_for(PTH).sources, WebSource(url=f"{hub.url()}/mirror/tiny.pth"))
    finish(entry_for(PTH, sources=sources))
    assert hub.bodies()[-1].range is None


# Tokens and networks


def test_the_token_goes_to_the_hub_and_never_to_its_storage_or_to_mirrors(
    hub: FakeHub, tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    tiny.token = "Bearer hf_secret"
    tiny.cuts = [1000, *NOTHING]
    hub.put("/mirror/tiny.pth", PTH).redirect = False
    sources = (*entry_for(PTH).sources, WebSource(url=f"{hub.url()}/mirror/tiny.pth"))
    finish(entry_for(PTH, sources=sources))
    sent = {(seen.server, "mirror" in seen.path): seen.authorization for seen in hub.seen}
    assert sent == {("hub", False): "Bearer hf_secret", ("storage", False): None, ("hub", True): None}


def test_a_stale_token_does_not_keep_a_public_file_away(
    hub: FakeHub, tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_stale")
    original = hub._answer

    def strict(request: Any, server: str) -> None:
        stale = server == "hub" and request.headers.get("Authorization") is not None
        tiny.status = 401 if stale else 200
        original(request, server)

    monkeypatch.setattr(hub, "_answer", strict)
    finish(entry_for(PTH))


def test_a_dead_network_is_told_at_once_and_every_dead_host_is_asked_only_once(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.__exit__()
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    sources = tuple(WebSource(url=f"{hub.url()}/{place}/tiny.pth") for place in "abcdef")
    error = refused(entry_for(PTH, sources=sources))
    assert error.exit_code == 3
    assert "no connection" in error.message
    assert error.message.count("127.0.0.1") == 1
    assert "network" in (error.hint or "")
    assert sum(naps) < 1


def test_a_server_that_accepts_and_never_answers_is_asked_only_once(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sources = tuple(WebSource(url=f"{address}/{place}.pth") for place in "abc")
        error = refused(entry_for(PTH, sources=sources))
    assert error.message.count("no answer") == 1


def test_a_name_that_cannot_be_looked_up_is_a_dead_network_too(hub: FakeHub) -> None:
    error = refused(entry_for(PTH, sources=(WebSource(url="http://no-such-host.invalid/tiny.pth"),)))
    assert "no connection" in error.message


def test_a_proxy_is_used(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", hub.url())
    monkeypatch.delenv("NO_PROXY")
    huggingface_hub.close_session()
    hub.put("/far/tiny.pth", PTH).redirect = False
    finish(entry_for(PTH, sources=(WebSource(url="http://weights.invalid/far/tiny.pth"),)))
    assert hub.bodies()[-1].path == "/far/tiny.pth"
