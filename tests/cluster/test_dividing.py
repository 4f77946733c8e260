"""A result that is made in parts and joined: the very file that one worker makes of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.networks import lively, tiny
from support.pictures import saved

from hatcli.batch import enlarging
from hatcli.batch import run as running
from hatcli.batch.decoder import DecoderHere
from hatcli.batch.inputs import InputFile
from hatcli.batch.journal import Journal
from hatcli.batch.outcomes import Advanced, Event, Outcome
from hatcli.batch.pieces import Divisible, Joint, Piece
from hatcli.batch.plan import Job, Plan
from hatcli.cluster.staging import StagingJournal
from hatcli.engine.workers import torch_threads
from hatcli.image.options import DecodeOptions
from hatcli.upscaling.device import choose
from hatcli.upscaling.parts import Part
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

TALL = (150, 40)


@pytest.fixture(autouse=True)
def _one_thread_and_small_bands(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("hatcli.upscaling.rows._RESIZED_PIXELS", 16)
    with torch_threads(1):
        yield


@pytest.fixture
def upscaler() -> Upscaler:
    settings = Settings(tile=32, overlap=8)
    return Upscaler({2: lively(tiny())}, choice=choose("cpu", "fp32"), settings=settings)


class Bench:
    """A folder whose pictures are enlarged whole, or by workers who stage parts."""

    def __init__(self, root: Path, upscaler: Upscaler, target: Target) -> None:
        self.root, self.upscaler, self.plan = root, upscaler, Plan(target)
        self.journal = StagingJournal(root)

    def events(self, job: Job, journal: Journal | None = None) -> list[Event]:
        journals = {} if journal is None else {self.root: journal}
        decoder = DecoderHere(max_pixels=10**6, options=DecodeOptions(pages=(1, None)))
        return list(running.run([job], self.upscaler, self.plan, journals=journals, decoder=decoder))

    def job(self, source: Path, name: str, piece: Piece | None = None) -> Job:
        return Job(InputFile(source, Path(source.name)), self.root / name, self.root, piece=piece)

    def outcome(self, job: Job, journal: Journal | None = None) -> Outcome:
        (outcome,) = (event for event in self.events(job, journal) if isinstance(event, Outcome))
        return outcome

    def whole(self, source: Path, name: str) -> bytes:
        job = self.job(source, name)
        assert self.outcome(job).status == "done"
        assert job.output is not None
        return job.output.read_bytes()

    def parts(self, source: Path, name: str, count: int = 3) -> tuple[Part, ...]:
        outcome = self.outcome(self.job(source, name, Divisible(count)), self.journal)
        return outcome.parts if outcome.status == "divided" else ()

    def staged(self, job: Job) -> tuple[str, str]:
        """The temporary name of what is made, and what it was made from."""
        assert self.outcome(job, self.journal).status == "done"
        assert job.output is not None
        taken = self.journal.taken(job.output)
        assert taken is not None
        assert taken.temporary is not None
        return taken.temporary, taken.origin.sha256

    def joint(self, source: Path, name: str, parts: tuple[Part, ...]) -> Joint:
        made = [self.staged(self.job(source, f"{part.top}.{name}", part)) for part in parts]
        return Joint(tuple(temporary for temporary, _ in made), made[0][1])


def written(path: Path, kind: str) -> Path:
    random = np.random.default_rng(5)
    if kind == "16 bit gray":
        Image.fromarray(random.integers(0, 65536, TALL).astype(np.uint16)).save(path.with_suffix(".png"))
    else:
        channels: dict[str, Any] = {"rgb": (3,), "rgba": (4,), "gray": ()}
        pixels = random.integers(0, 256, (*TALL, *channels[kind])).astype(np.uint8)
        profile = b"no profile, but kept" * 20
        Image.fromarray(pixels).save(path.with_suffix(".png"), dpi=(300, 300), icc_profile=profile)
    return path.with_suffix(".png")


@pytest.mark.parametrize(
    ("ending", "kind", "target"),
    [
        (".png", "rgb", Target()),
        (".tif", "rgb", Target(width=50)),
        (".png", "rgba", Target(scale=3)),
        (".tif", "rgba", Target()),
        (".tif", "gray", Target(scale=1.5)),
        (".png", "16 bit gray", Target()),
    ],
)
def test_parts_joined_are_the_file_that_is_made_whole(
    tmp_path: Path, upscaler: Upscaler, ending: str, kind: str, target: Target
) -> None:
    bench, source, name = Bench(tmp_path, upscaler, target), written(tmp_path / "in", kind), f"out{ending}"
    expected = bench.whole(source, "whole" + ending)
    parts = bench.parts(source, name)
    assert len(parts) == 3
    temporary, _ = bench.staged(bench.job(source, name, bench.joint(source, name, parts)))
    assert (tmp_path / temporary).read_bytes() == expected
    assert not (tmp_path / name).exists()


def test_a_joint_result_is_never_in_memory_whole_and_can_be_interrupted(
    tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, source = Bench(tmp_path, upscaler, Target()), written(tmp_path / "in", "rgb")
    joint = bench.joint(source, "out.png", bench.parts(source, "out.png"))
    monkeypatch.setattr("hatcli.batch.dividing._BLOCK", 2400)  # bytes: ten rows
    monkeypatch.setattr(enlarging, "UNWRITTEN_PARTS", 5000)
    monkeypatch.setattr(Upscaler, "stream", None)  # nothing is enlarged
    before = set(tmp_path.iterdir())
    job = bench.job(source, "out.png", joint)
    events = running.run([job], upscaler, bench.plan, journals={tmp_path: bench.journal})
    heard = [next(event for event in events if isinstance(event, Advanced)) for _ in range(3)]
    assert [round(event.progress.done * 300) for event in heard] == [10, 20, 30]
    events.close()
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("wrong", ["gone", "short", "cut", "link", "another input"])
def test_parts_that_are_not_what_they_were_are_not_joined(tmp_path: Path, upscaler: Upscaler, wrong: str) -> None:
    bench, source = Bench(tmp_path, upscaler, Target()), written(tmp_path / "in", "rgb")
    joint = bench.joint(source, "out.png", bench.parts(source, "out.png"))
    part = tmp_path / joint.names[1]
    if wrong == "gone":
        part.unlink()
    elif wrong in ("short", "cut"):
        part.write_bytes(part.read_bytes()[: -240 if wrong == "short" else -7])
    elif wrong == "link":
        part.rename(tmp_path / "elsewhere")
        part.symlink_to(tmp_path / "elsewhere")
    else:
        source.write_bytes(saved(np.zeros((*TALL, 3), np.uint8), "PNG"))
    before = set(tmp_path.iterdir())
    outcome = bench.outcome(bench.job(source, "out.png", joint), bench.journal)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert set(tmp_path.iterdir()) == before


def test_what_cannot_be_divided_is_made_at_once(tmp_path: Path, upscaler: Upscaler) -> None:
    bench, source = Bench(tmp_path, upscaler, Target()), written(tmp_path / "in", "rgb")
    frames = [Image.fromarray(np.full((*TALL, 3), shade, np.uint8)) for shade in (0, 90)]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    low = tmp_path / "low.png"
    Image.fromarray(np.zeros((40, 150, 3), np.uint8)).save(low)
    jobs = [
        (source, "a.jpg"),
        (source, "a.webp"),
        (tmp_path / "moving.png", "b.png"),
        (tmp_path / "pages.tif", "c.tif"),
    ]
    for path, name in [*jobs, (low, "d.png")]:
        temporary, _ = bench.staged(bench.job(path, name, Divisible(3)))
        assert (tmp_path / temporary).read_bytes() == bench.whole(path, name)
