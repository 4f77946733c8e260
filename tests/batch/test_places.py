"""Places in stores: pages, probes, owners, segments, results in parts; told of a store in memory."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.repeating import Doubling

from hatcli.batch.inputs import InputFile
from hatcli.batch.naming import Naming
from hatcli.batch.places import address, credentials, owner, segments
from hatcli.batch.places.asking import TakenError, ask
from hatcli.batch.places.journal import StoreJournal
from hatcli.batch.places.objects import Stored, stamp_from
from hatcli.batch.places.owner import Owner, TakenOverError
from hatcli.batch.places.segments import Segments
from hatcli.batch.places.store import StorePlace
from hatcli.batch.places.stream import JobStream, Page, Target, objects_below
from hatcli.batch.plan import Plan
from hatcli.batch.shards import WHOLE, Shard
from hatcli.errors import InputError, OutputError, UsageError
from hatcli.upscaling.device import choose
from hatcli.upscaling.size import Target as Size
from hatcli.upscaling.upscaler import Upscaler

obstore = pytest.importorskip("obstore")
memory = pytest.importorskip("obstore.store")


@pytest.fixture
def place() -> StorePlace:
    return StorePlace(memory.MemoryStore(), "s3://bucket", "out")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hatcli.batch.places.asking._FIRST_PAUSE", 0.0)
    monkeypatch.setattr(owner, "_SETTLING", 0.0)


def keys(place: StorePlace) -> list[str]:
    return [stored.key for page in place.pages() for stored in page]


ADDRESSES = {
    "s3://bucket/in/": ("s3://bucket", "in", True),
    "S3://bucket": ("s3://bucket", "", True),
    "s3://key:secret@bucket/a b/c.png": ("s3://bucket", "a b/c.png", False),
    "az://container/x?y.png": ("az://container", "x?y.png", False),
    "https://me:secret@example.org:8080/a%20b.png?sig=secret#x": ("https://example.org:8080", "a b.png", False),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_taken_apart_and_its_label_holds_no_secret(text: str) -> None:
    at = address.parse(text)
    assert (at.base, at.key, at.is_folder) == ADDRESSES[text]
    assert "secret" not in at.label
    assert address.is_url(text)


@pytest.mark.parametrize("text", ["photo.png", "C:/x.png", "ftp://x/y.png", "s3:/x/y", "./s3://x"])
def test_what_is_no_url_is_a_file(text: str) -> None:
    assert not address.is_url(text)


def test_a_probe_leaves_nothing_and_sees_that_conditions_hold(place: StorePlace) -> None:
    place.probe()
    assert place.is_conditional
    assert keys(place) == []


@pytest.mark.parametrize("patience", [60.0, -1.0])
def test_a_probe_that_a_killed_run_has_left_goes_when_it_is_old(
    place: StorePlace, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    monkeypatch.setattr(owner, "OLD_PROBE", patience)
    left = place.key_of(".hat-manifest/probe-0123456789ab")
    place.put(left, b"first")
    place.put(place.key_of("probe-a.png"), b"a picture")
    Owner(place, WHOLE).close()
    assert keys(place) == [*([left] if patience > 0 else []), "out/probe-a.png"], "a young one may be in use"


@pytest.fixture
def heedless(place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> StorePlace:
    """The same in a store that takes every `create` for an `overwrite`."""
    put = obstore.put

    def ignoring(*arguments: Any, mode: Any = None, **options: Any) -> Any:
        return put(*arguments, mode="overwrite", **options)

    monkeypatch.setattr(obstore, "put", ignoring)
    return place


def test_a_store_that_ignores_conditions_is_found_out_and_its_results_are_kept_all_the_same(
    heedless: StorePlace,
) -> None:
    heedless.probe()
    assert not heedless.is_conditional
    assert keys(heedless) == []
    heedless.put("out/a.png", b"somebody's")
    with pytest.raises(TakenError, match="there already"):
        heedless.put_result("out/a.png", io.BytesIO(b"new"), attributes={}, replace=False)
    assert heedless.read("out/a.png")[0] == b"somebody's"
    Owner(heedless, WHOLE)
    with pytest.raises(UsageError, match="another run"):
        Owner(heedless, Shard(1, 3))


def test_a_store_that_cannot_be_written_to_is_refused(place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*arguments: Any, **options: Any) -> Any:
        raise obstore.exceptions.PermissionDeniedError("secret words")

    monkeypatch.setattr(obstore, "put", refusing)
    with pytest.raises(OutputError, match="no permission") as caught:
        place.probe()
    assert "secret" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("size", [0, 100, 1 << 20])
@pytest.mark.parametrize("whole", [10, 1 << 26])
def test_results_go_whole_or_in_parts_and_carry_their_metadata(
    place: StorePlace, monkeypatch: pytest.MonkeyPatch, size: int, whole: int
) -> None:
    monkeypatch.setattr("hatcli.batch.places.store._WHOLE", whole)
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    stamp = place.put_result("out/a.png", io.BytesIO(content), attributes={"note": "words"}, replace=False)
    assert place.read("out/a.png") == (content, stamp)
    assert place.attributes("out/a.png")["note"] == "words"
    place.put_result("out/a.png", io.BytesIO(content), attributes={}, replace=False)  # an answer that was lost
    with pytest.raises(TakenError):
        place.put_result("out/a.png", io.BytesIO(content + b"!"), attributes={}, replace=False)
    place.put_result("out/a.png", io.BytesIO(content + b"!"), attributes={}, replace=True)
    assert place.read("out/a.png")[0] == content + b"!"


def test_a_picture_larger_than_allowed_is_not_read(place: StorePlace) -> None:
    place.put("out/a.png", b"x" * 1000)
    with pytest.raises(InputError, match="larger than"):
        place.read("out/a.png", most=999)


@pytest.mark.parametrize("other", [WHOLE, Shard(2, 3), Shard(5, 6)], ids=str)
def test_one_owner_a_part(place: StorePlace, other: Shard) -> None:
    first = Owner(place, Shard(2, 3))
    Owner(place, Shard(3, 3)).close()
    with pytest.raises(UsageError, match="another run writes to s3://bucket/out, part 2/3"):
        Owner(place, other)
    first.beat()
    first.close()
    Owner(place, other).close()
    assert keys(place) == []


def test_an_owner_killed_on_this_machine_is_followed_at_once(
    place: StorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Owner(place, WHOLE)
    monkeypatch.setattr(owner, "_is_alive_here", lambda told: False)
    second = Owner(place, WHOLE)
    with pytest.raises(TakenOverError):
        dead.beat()
    dead.close()
    second.beat()


def test_an_owner_on_another_machine_is_followed_when_it_gives_no_sign(
    place: StorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "machine", lambda: "elsewhere")
    elsewhere = Owner(place, WHOLE)
    monkeypatch.setattr(owner, "machine", lambda: "here")
    monkeypatch.setattr(owner, "PATIENCE", 0.1)
    signs = iter([True])
    monkeypatch.setattr(
        "hatcli.batch.places.owner.time.sleep", lambda seconds: elsewhere.beat() if next(signs, False) else None
    )
    with pytest.raises(UsageError, match="another run"):
        Owner(place, WHOLE)  # it gave a sign meanwhile
    Owner(place, WHOLE)


def test_a_run_that_was_taken_over_notes_nothing_more(place: StorePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "BEAT", 0.01)
    lines = Segments(place, WHOLE)
    key = place.key_of(".hat-manifest/owner-1-of-1.json")
    place.put(key, b'{"token": "another"}')
    lines._heart.join(0.5)
    for _ in range(200):
        lines._heart.join(0.01)
        if lines._failure is not None:
            break
    with pytest.raises(TakenOverError, match="taken over"):
        lines.append("{}\n")
    lines.close()
    assert place.read(key)[0] == b'{"token": "another"}'


def test_segments_of_all_runs_are_read_and_none_is_written_over(place: StorePlace) -> None:
    for number, shard in enumerate((WHOLE, Shard(1, 2), WHOLE)):
        lines = Segments(place, shard)
        lines.append(f'{{"line": {number}}}\n')
        lines.close()
    assert sorted(segments.lines_in(place)) == [f'{{"line": {number}}}' for number in range(3)]
    assert sorted(keys(place)) == [
        "out/.hat-manifest/shard-1-of-1/000001.jsonl",
        "out/.hat-manifest/shard-1-of-1/000002.jsonl",
        "out/.hat-manifest/shard-1-of-2/000001.jsonl",
    ]


def test_questions_are_asked_again_and_what_is_final_is_not() -> None:
    asked = []

    def question(error: Exception, times: int) -> str:
        asked.append(error)
        if len(asked) <= times:
            raise error
        return "answer"

    slow = obstore.exceptions.GenericError(
        "Server returned error response: 503 Service: <Code>SlowDown</Code> key=secret"
    )
    assert ask("it", lambda: question(slow, 3)) == "answer"
    asked.clear()
    with pytest.raises(InputError, match=r"its store says 503 SlowDown$"):
        ask("it", lambda: question(slow, 99))
    asked.clear()
    with pytest.raises(InputError, match="no permission for it"):
        ask("it", lambda: question(obstore.exceptions.GenericError("status: 403 Forbidden secret"), 99))
    assert len(asked) == 1


def test_the_files_of_the_aws_command_line_are_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:1\n")
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = id\naws_secret_access_key = 50%\n[default]\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    found = {"region": "eu-west-1", "endpoint": "http://127.0.0.1:1", "access_key_id": "id", "secret_access_key": "50%"}
    assert credentials._profile() == found
    carried = credentials.carried()
    assert carried["AWS_SECRET_ACCESS_KEY"] == "50%"
    assert carried["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert not {"AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} & carried.keys(), "files stay here"
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert "region" not in credentials._profile()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert credentials._profile() == {}


def test_names_that_no_folder_can_have_are_left_out(place: StorePlace) -> None:
    names = ["a.png", "b/c.JPG", "notes.txt", ".h.png", "b/.x/d.png", ".hat-manifest/e.png", "large/f.png", "x\\y.png"]
    for name in names:
        place.put(f"out/{name}", b"")
    avoid = StorePlace(None, "s3://bucket", "out/large")
    found = [str(file.relative) for page in objects_below(place, recursive=True, avoid=avoid) for file in page.files]
    assert found == ["a.png", "b/c.JPG"]
    flat = [str(file.relative) for page in objects_below(place, recursive=False, avoid=None) for file in page.files]
    assert flat == ["a.png"]
    parts = [list(objects_below(place, recursive=True, avoid=avoid, shard=Shard(number, 2))) for number in (1, 2)]
    assert [sum(page.listed for page in part) for part in parts] == [2, 2], "every part counts what all have"
    assert sorted(str(file.relative) for part in parts for page in part for file in page.files) == found


class Counted:
    """Pages of a million names, and how many were taken; see `Holder`."""

    base = "s3://bucket"
    address = address.parse("s3://bucket")
    taken = 0

    def known(self, key: str) -> None:
        return None

    def read(self, key: str, *, most: int) -> Any:
        raise AssertionError("nothing is read")

    def read_head(self, key: str) -> bytes:
        raise AssertionError("nothing is read")

    def pages(self) -> Iterator[Page]:
        for page in range(1000):
            self.taken += 1
            names = [f"{page:04}/{number:04}.png" for number in range(1000)]
            yield Page(
                len(names),
                [InputFile(None, Path(name), stored=Stored(self, name, stamp_from(1, 1, name))) for name in names],
            )


def stream(counted: Counted, target: StorePlace, journal: StoreJournal | None, shard: Shard = WHOLE) -> JobStream:
    upscaler = Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"))
    goes = Target(place=target)
    return JobStream(counted.pages(), goes, Naming(), Plan(Size()), upscaler, shard, journal, "inputs")


def test_work_begins_with_the_first_page_and_memory_stays_flat(
    place: StorePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "BEAT", 3600.0)  # else it may just be sending, and hold the lines more than once
    counted, journal = Counted(), StoreJournal(place, {})
    journal.open()
    jobs = iter(stream(counted, place, journal))
    assert str(next(jobs).stored) == "s3://bucket/out/0000/0000_x2.png"
    assert counted.taken == 1
    for _ in range(5000):
        next(jobs)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(30_000):
        next(jobs)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    journal.close()
    assert grown < 400 * 30_000, "bytes; a name and its place take two hundred, and a job five hundred more"
    assert counted.taken <= 37


@pytest.mark.parametrize("name", ["a.psd", "b.png", "c.JPEG", "d.jp2"])
def test_a_name_is_decided_by_itself_and_no_two_share_a_result(name: str, place: StorePlace) -> None:
    counted = Counted()
    made = stream(counted, place, None)._name(InputFile(None, Path(name), stored=Stored(counted, name)))
    assert made == {"a.psd": "a_psd_x2.png", "b.png": "b_x2.png", "c.JPEG": "c_x2.JPEG", "d.jp2": "d_jp2_x2.png"}[name]
