"""What a source is granted: bytes, time and repetitions; then the next one is asked."""

from __future__ import annotations

import time

import pytest
from support.fake_hub import FakeHub, Published
from support.tiny_model import PTH, entry_for, finish, refused

from hatcli.models import download, transfer
from hatcli.models.catalog import WebSource


def test_a_body_longer_than_any_hat_is_cut_off(tiny: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LARGEST", 50_000)
    tiny.lengths = False
    assert "more than" in refused(entry_for(PTH, size=None)).message
    tiny.lengths = True
    assert "more than" in refused(entry_for(PTH, size=None)).message


@pytest.mark.parametrize("size", [len(PTH), None])
def test_a_body_without_a_length_is_cut_off_where_the_file_must_end(tiny: Published, size: int | None) -> None:
    tiny.lengths, tiny.endless = False, True
    tiny.piece = 1 << 20
    estimate = len(PTH)
    assert "sends more than" in refused(entry_for(PTH, size=size, size_estimate=estimate)).message
    assert download.kept_bytes(entry_for(PTH)) <= 4 * estimate + download.SPARE


def test_a_source_that_trickles_is_given_up_for_the_next_one(
    hub: FakeHub, tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PACE", 0.5)
    tiny.piece, tiny.chunk_pause = 1, 0.02
    mirror = hub.put("/mirror/tiny.pth", PTH)
    mirror.redirect = False
    sources = (*entry_for(PTH).sources, WebSource(url=f"{hub.url()}/mirror/tiny.pth"))
    finish(entry_for(PTH, sources=sources))
    assert hub.bodies()[-1].path == "/mirror/tiny.pth"
    assert hub.bodies()[-1].range not in (None, "bytes=0-")  # what has come is not lost


def test_a_source_that_hands_out_a_byte_a_connection_is_given_up(
    tiny: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PACE", 0.5)
    tiny.cuts = [1] * 10_000
    assert "bytes a second" in refused(entry_for(PTH)).message


def test_a_file_whose_end_is_never_sent_is_not_fetched_again_and_again(hub: FakeHub, tiny: Published) -> None:
    tiny.missing = 5
    assert "does not continue" in refused(entry_for(PTH)).message
    assert len(hub.bodies()) <= 12


def test_a_pause_of_the_machine_is_not_the_sources_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pace = transfer.Pace()
    for seconds in (1.0, 7200.0, 1.0):  # a lid was closed for two hours
        clock[0] += seconds
        pace.arrived(100_000)
    clock[0] += transfer.PACE / 2
    pace.arrived(0)
    clock[0] += transfer.LONGEST_GAP
    pace.arrived(100)
    clock[0] += transfer.LONGEST_GAP
    with pytest.raises(transfer.SourceError, match="bytes a second"):
        pace.arrived(100)
