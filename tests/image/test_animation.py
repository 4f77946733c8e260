"""Animations: every frame, its time and the loop, from file to file; damaged ones fall back to their first frame."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.gifs import random_gif
from support.pictures import noise
from support.readers import ffmpeg_frames, ffmpeg_frames_of_16_bits
from support.repeating import Doubling

from hatcli.batch import run as running
from hatcli.batch.inputs import InputFile
from hatcli.batch.outcomes import Outcome
from hatcli.batch.plan import Job, Plan
from hatcli.errors import InputError, UsageError
from hatcli.image import animation, decode
from hatcli.image.codecs import png
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.upscaling.device import choose
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

DURATIONS = [100, 250, 250, 1000]


def frames(*, alpha: bool = False) -> list[Image.Image]:
    """Four frames, the middle two alike, of few enough colours for a GIF."""
    pictures = []
    for number in (0, 1, 1, 2):
        pixels = np.zeros((12, 16, 4 if alpha else 3), np.uint8)
        pixels[..., number] = 250
        pixels[2:5, 3:9, :3] = 40 * number
        if alpha:
            pixels[..., 3] = 255
            pixels[6 + number :, :, 3] = 0
        pictures.append(Image.fromarray(pixels))
    return pictures


def file_of(format: str, *, alpha: bool = False, loop: int | None = 0) -> bytes:
    """Written by this project, since Pillow merges frames that are alike."""
    packed = io.BytesIO()
    blocks = [np.asarray(picture) for picture in frames(alpha=alpha)]
    pictures = tuple(
        Picture(np.ascontiguousarray(block[..., :3]), np.ascontiguousarray(block[..., 3]) if alpha else None)
        for block in blocks
    )
    whole = animation.Animation(pictures, tuple(map(float, DURATIONS)), 1 if loop is None else loop)
    animation.write_into(packed, iter(pictures), whole, format=format, options=EncodeOptions(lossless=format == "WEBP"))
    return packed.getvalue()


@pytest.mark.parametrize("format", ["GIF", "PNG"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("loops", [0, 1, 3])
def test_other_programs_read_every_frame_time_and_loop(format: str, alpha: bool, loops: int) -> None:
    with Image.open(io.BytesIO(file_of(format, alpha=alpha, loop=loops))) as image:
        assert getattr(image, "n_frames", 1) == 4
        said = image.info.get("loop")
        assert said == (loops if format == "PNG" else {0: 0, 1: None, 3: 2}[loops])
        for number, expected in enumerate(frames(alpha=alpha)):
            image.seek(number)
            assert image.info["duration"] == DURATIONS[number]
            shown, wanted = np.asarray(image.convert("RGBA")), np.asarray(expected.convert("RGBA"))
            assert (shown[..., 3] == wanted[..., 3]).all()
            assert (shown[wanted[..., 3] > 0] == wanted[wanted[..., 3] > 0]).all()


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_formats_pillow_writes_keep_the_playing_time(format: str) -> None:
    with Image.open(io.BytesIO(file_of(format))) as image:
        total = 0
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            total += round(image.info["duration"])
    assert total == sum(DURATIONS)


def enlarged(tmp_path: Path, data: bytes, output: str, *, wanted: str | None = None) -> Outcome:
    source = tmp_path / "source"
    source.write_bytes(data)
    upscaler = Upscaler({2: Doubling()}, choice=choose("cpu", "fp32"))
    jobs = [Job(InputFile(source, Path("source")), tmp_path / output)]
    ended = [
        event for event in running.run(jobs, upscaler, Plan(Target(), frames=wanted)) if isinstance(event, Outcome)
    ]
    assert len(ended) == 1
    return ended[0]


@pytest.mark.parametrize(("format", "ending"), [("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp")])
def test_an_animation_in_its_own_format_keeps_moving(tmp_path: Path, format: str, ending: str) -> None:
    outcome = enlarged(tmp_path, file_of(format), f"large.{ending}")
    assert outcome.status == "done", outcome.error
    assert not any("first of" in note for note in outcome.notes)
    with Image.open(tmp_path / f"large.{ending}") as image:
        assert image.size == (32, 24)
        assert getattr(image, "n_frames", 1) >= 3
        image.seek(getattr(image, "n_frames", 1) - 1)
        assert image.convert("RGB").getpixel((0, 0))[2] >= 245  # type: ignore[index]


def test_another_format_takes_the_first_frame_unless_all_are_asked_for(tmp_path: Path) -> None:
    outcome = enlarged(tmp_path, file_of("GIF"), "still.png")
    assert "first of 4 frames" in outcome.notes
    with Image.open(tmp_path / "still.png") as image:
        assert getattr(image, "n_frames", 1) == 1
    enlarged(tmp_path, file_of("GIF"), "moving.png", wanted="all")
    with Image.open(tmp_path / "moving.png") as image:
        assert getattr(image, "n_frames", 1) == 4
    outcome = enlarged(tmp_path, file_of("GIF"), "still.jpg", wanted="all")
    assert "first of 4 frames" in outcome.notes


def test_the_first_frame_alone_can_be_asked_for(tmp_path: Path) -> None:
    enlarged(tmp_path, file_of("GIF"), "still.gif", wanted="first")
    with Image.open(tmp_path / "still.gif") as image:
        assert getattr(image, "n_frames", 1) == 1
    with pytest.raises(UsageError, match="--frames some"):
        Plan(Target(), frames="some")


def test_a_still_beside_the_frames_stays_beside_them(tmp_path: Path) -> None:
    packed = io.BytesIO()
    still, *moving = frames()
    still.save(packed, "PNG", save_all=True, append_images=[moving[0], moving[2]], default_image=True, duration=40)
    enlarged(tmp_path, packed.getvalue(), "large.png")
    with Image.open(tmp_path / "large.png") as image:
        assert image.info["default_image"]
        assert image.convert("RGB").getpixel((0, 0)) == (250, 0, 0)


def test_damage_in_a_later_frame_leaves_the_first_one(tmp_path: Path) -> None:
    data = file_of("PNG")
    place = data.rindex(b"fdAT") + 12
    outcome = enlarged(tmp_path, data[:place] + bytes(20) + data[place + 20 :], "large.png")
    assert outcome.status == "done"
    assert any("only the first frame can be had" in note for note in outcome.notes)
    with Image.open(tmp_path / "large.png") as image:
        assert getattr(image, "n_frames", 1) == 1


def apng(samples: list[NDArray[Any]], controls: list[tuple[int, int, int, int]]) -> bytes:
    """RGBA frames `[h, w, 4]` with left, top, disposal and blending of each, the first one whole."""
    height, width = samples[0].shape[:2]
    depth = 8 * samples[0].itemsize
    parts = [png.SIGNATURE, png.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 6, 0, 0, 0))]
    parts.append(png.chunk(b"acTL", struct.pack(">II", len(samples), 0)))
    number = 0
    for frame, (left, top, disposal, blending) in zip(samples, controls, strict=True):
        size = frame.shape[1::-1]
        control = struct.pack(">IIIIIHHBB", number, *size, left, top, 30, 0, disposal, blending)
        parts.append(png.chunk(b"fcTL", control))
        pixels = zlib.compress(b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in frame))
        if number:
            parts.append(png.chunk(b"fdAT", struct.pack(">I", number + 1) + pixels))
        else:
            parts.append(png.chunk(b"IDAT", pixels))
        number += 2 if number else 1
    return b"".join([*parts, png.chunk(b"IEND", b"")])


def sixteen_bits(height: int, width: int, seed: int, *, opaque: bool = False) -> NDArray[np.uint16]:
    samples = noise(height, width, 4, bits=16, seed=seed).astype(np.uint16)
    if opaque:
        samples[..., 3] = 65535
    return samples


@pytest.mark.parametrize("disposal", [0, 1, 2])
def test_an_apng_of_16_bits_keeps_them_as_ffmpeg_shows_it(tmp_path: Path, disposal: int) -> None:
    samples = [sixteen_bits(12, 16, 0), sixteen_bits(5, 6, 1), sixteen_bits(4, 4, 2), sixteen_bits(12, 16, 3)]
    data = apng(samples, [(0, 0, 0, 0), (3, 2, disposal, 0), (8, 7, disposal, 0), (0, 0, 0, 0)])
    path = tmp_path / "a.png"
    path.write_bytes(data)
    moving = animation.read(data, decode.decode(data), name="a.png", max_pixels=10**6)
    assert moving is not None
    assert moving.durations == (300.0,) * 4
    for made, shown in zip(moving.frames, ffmpeg_frames_of_16_bits(path, width=16, height=12), strict=True):
        assert made.bits == 16
        assert made.alpha is not None
        assert np.array_equal(made.alpha, shown[..., 3])
        assert np.array_equal(made.pixels[made.alpha > 0], shown[made.alpha > 0][:, :3])


@pytest.mark.parametrize("seed", range(40))
def test_frames_of_a_gif_are_composed_as_ffmpeg_does(tmp_path: Path, seed: int) -> None:
    data, width, height, delays = random_gif(seed)
    (tmp_path / "odd.gif").write_bytes(data)
    first = decode.decode(data)
    moving = animation.moving(data, first, name="odd.gif", max_pixels=10**6)
    assert moving is not None
    shown = list(moving.frames())
    assert [duration for _, duration in shown] == [10 * delay for delay in delays]
    theirs = ffmpeg_frames(tmp_path / "odd.gif", width=width, height=height)
    assert len(theirs) == len(shown)
    alpha = np.full((height, width), 255, np.uint8) if first.alpha is None else first.alpha
    still = np.dstack([np.broadcast_to(first.pixels, (height, width, 3)), alpha])
    for ours, other in [(still, theirs[0]), *zip([plane for plane, _ in shown], theirs, strict=True)]:
        seen = other[..., 3] > 0
        assert np.array_equal(ours[..., 3] > 0, seen)
        assert np.array_equal(ours[seen], other[seen])
    told = decode.describe(data)
    assert (told.alpha, told.channels) == (first.alpha is not None, first.pixels.shape[2])


@pytest.mark.parametrize("bits", [8, 16])
def test_half_transparent_frames_are_laid_over_each_other_as_ffmpeg_does(tmp_path: Path, bits: int) -> None:
    small = [
        (sixteen_bits(*size, seed) // 257).astype(np.uint8) for seed, size in enumerate([(12, 16), (5, 6), (9, 9)])
    ]
    controls = [(0, 0, 0, 0), (3, 2, 0, 1), (7, 1, 2, 1)]
    path = tmp_path / "a.png"
    path.write_bytes(apng(small, controls))  # ffmpeg does so with 8 bits only
    data = apng([frame.astype(np.uint16) * 257 for frame in small] if bits == 16 else small, controls)
    moving = animation.read(data, decode.decode(data), name="a.png", max_pixels=10**6)
    assert moving is not None
    for made, frame in zip(moving.frames, ffmpeg_frames(path, width=16, height=12), strict=True):
        shown, step = frame.astype(int), 257 if bits == 16 else 1
        assert made.bits == bits
        assert made.alpha is not None
        assert np.abs(made.alpha / step - shown[..., 3]).max() <= 2
        dense = shown[..., 3] > 64
        assert np.abs(made.pixels[dense] / step - shown[dense][:, :3]).max() <= 4


def test_a_16_bit_animation_stays_one(tmp_path: Path) -> None:
    samples = [sixteen_bits(12, 16, seed, opaque=True) for seed in range(3)]
    outcome = enlarged(tmp_path, apng(samples, [(0, 0, 0, 0)] * 3), "large.png")
    assert outcome.status == "done", outcome.error
    for shown, stored in zip(
        ffmpeg_frames_of_16_bits(tmp_path / "large.png", width=32, height=24), samples, strict=True
    ):
        assert np.array_equal(shown[::2, ::2], stored)
        assert np.array_equal(shown[1::2, 1::2], stored)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "AVIF"])
def test_16_bit_frames_become_8_bits_with_a_note_where_the_format_has_no_more(tmp_path: Path, format: str) -> None:
    samples = [sixteen_bits(12, 16, seed, opaque=True) for seed in range(3)]
    data = apng(samples, [(0, 0, 0, 0)] * 3)
    moving = animation.read(data, decode.decode(data), name="a.png", max_pixels=10**6)
    assert moving is not None
    packed = io.BytesIO()
    options = EncodeOptions(lossless=format == "WEBP")
    notes = animation.write_into(packed, iter(moving.frames), moving, format=format, options=options)
    assert any("16 bits are rounded" in note for note in notes)
    with Image.open(io.BytesIO(packed.getvalue())) as image:
        assert getattr(image, "n_frames", 1) == 3
        if format == "WEBP":
            assert np.array_equal(np.asarray(image.convert("RGB")), (samples[0][..., :3].astype(int) + 128) // 257)


@pytest.mark.parametrize("cut", [60, 400, 1200])
def test_a_damaged_16_bit_animation_is_refused(cut: int) -> None:
    data = apng([sixteen_bits(12, 16, seed) for seed in range(3)], [(0, 0, 0, 0)] * 3)
    first = decode.decode(data)
    place = data.index(b"fdAT") + 8 + cut // 4
    for damaged in (data[:-cut], data[:place] + bytes(20) + data[place + 20 :]):
        with pytest.raises(InputError):
            animation.read(damaged, first, name="a.png", max_pixels=10**6)
    outside = apng([sixteen_bits(12, 16, 0), sixteen_bits(12, 16, 1)], [(0, 0, 0, 0), (5, 0, 0, 0)])
    with pytest.raises(InputError, match="a frame of it is damaged"):
        animation.read(outside, first, name="a.png", max_pixels=10**6)


def test_frames_count_towards_the_limit_of_pixels() -> None:
    data = file_of("GIF")
    with pytest.raises(InputError, match="4 frames of 16 x 12"):
        animation.read(data, decode.decode(data), name="a.gif", max_pixels=700)
