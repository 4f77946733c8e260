"""What is decided from a look at a file is what is decided from the decoded picture: a dry run does not lie."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import hat
from support.pictures import noise
from support.repeating import Doubling

from hatcli.batch.decision import Decision, decide, info_of
from hatcli.batch.decoder import DecoderHere
from hatcli.batch.inputs import InputFile
from hatcli.batch.plan import Job, Plan
from hatcli.errors import HatError
from hatcli.image import encode
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.upscaling.device import choose
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

PLANS = {
    "same": Plan(Target()),
    "jpeg": Plan(Target(), format="JPEG"),
    "width": Plan(Target(width=20), only_if_smaller=True),
    "all frames": Plan(Target(), frames="all", format="WEBP"),
    "lossless": Plan(Target(scale=1.5), format="WEBP", options=EncodeOptions(lossless=True)),
}


def animation(format: str) -> bytes:
    frames = [Image.fromarray(noise(9, 12, 3, seed=number)) for number in range(3)]
    file = io.BytesIO()
    frames[0].save(file, format, save_all=True, append_images=frames[1:], duration=40)
    return file.getvalue()


@pytest.fixture
def corpus(tmp_path: Path) -> list[Path]:
    """A picture of every kind that decisions depend on."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for bits in (8, 16):
        for gray in (False, True):
            for alpha in (False, True):
                picture = Picture(
                    noise(9, 12, 1 if gray else 3, bits=bits), noise(9, 12, 1, bits=bits)[..., 0] if alpha else None
                )
                name = f"{bits}{'gray' if gray else 'rgb'}{'alpha' if alpha else ''}"
                for ending in (".png", ".tif"):
                    encode.write(picture, folder / f"{name}{ending}", overwrite=False)
    for format in ("GIF", "WEBP", "PNG"):
        (folder / f"moving.{format.lower()}").write_bytes(animation(format))
    turned = Image.fromarray(noise(9, 12, 3))
    exif = turned.getexif()
    exif[274] = 6
    turned.save(folder / "turned.jpg", quality=60, exif=exif)
    turned.save(folder / "pages.tif", save_all=True, append_images=[turned])
    return sorted(folder.iterdir())


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
@pytest.mark.parametrize("alpha", ["model", "drop"])
def test_a_look_and_the_picture_lead_to_one_decision(corpus: list[Path], plan: Plan, alpha: str) -> None:
    upscaler = Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"), settings=Settings(alpha=alpha))
    decoder, decided = DecoderHere(), 0
    for path in corpus:
        job = Job(InputFile(path, Path(path.name)), None)
        original = decoder.load(path, name=path.name, all_frames=plan.frames != "first")
        told: list[Decision | str] = []
        for info in (decoder.look(path), info_of(original)):
            try:
                told.append(decide(info, job, plan, upscaler))
                decided += 1
            except HatError as error:
                told.append(error.message)
        assert told[0] == told[1], path.name
    assert decided > len(corpus)


def test_a_dry_run_foresees_what_the_run_does(corpus: list[Path], weights: Path) -> None:
    """Every file of the corpus, through the command line: sizes, model, skipped and failed are the same."""
    folder = corpus[0].parent
    (folder / "broken.png").write_bytes(corpus[0].read_bytes()[:20])
    arguments = (folder, "-o", folder.parent / "out", "-n", weights, "--width", "20", "--only-if-smaller", "--json")
    for wide in ("large.png", "larger.png"):
        Image.fromarray(noise(5, 30, 3)).save(folder / wide)
    ends = []
    for extra in (("--dry-run",), ()):
        events = [json.loads(line) for line in hat(*arguments, *extra).stdout.splitlines()]
        kinds = {"plan": "done"}
        ends.append(
            {
                event["input"]: (
                    kinds.get(event["event"], event["event"]),
                    *(event.get(field) for field in ("output", "width", "height", "model", "reason", "error")),
                )
                for event in events
                if event["event"] in ("plan", "done", "skipped", "failed")
            }
        )
    assert ends[0] == ends[1]
    assert {end[0] for end in ends[0].values()} == {"done", "skipped", "failed"}
    for path in (folder.parent / "out").glob("*.png"):
        with Image.open(path) as image:
            assert np.asarray(image).shape[1] == 20
