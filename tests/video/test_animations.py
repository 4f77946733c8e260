"""Animated pictures to films and back: every frame, its exact time, its colours; read back by ffmpeg and libvips."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.commands import hat, refused
from support.films import ffmpeg, film, probed, streams, times
from support.readers import exiftool_tags, ffmpeg_frames, said_by

pytest.importorskip("av", reason="films need the extra `video`")
from hatcli.image import animation
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.video.to_animation import orientation, timed

MILLISECONDS = [30, 70, 250, 1230, 40]
Enlarge = Callable[..., tuple[Path, str]]


@pytest.fixture
def same(tmp_path: Path, weights: Path) -> Enlarge:
    """Makes nothing larger, so that what is read back is what was there."""

    def enlarge(source: Path, name: str, *options: str, width: int = 24) -> tuple[Path, str]:
        done = hat(source, "-o", tmp_path / name, "-n", weights, "--width", str(width), *options)
        assert done.exit_code == 0, done.stderr
        return tmp_path / name, done.stderr

    return enlarge


def moving(
    path: Path, durations: list[int] | list[Fraction], *, alpha: bool = False, size: tuple[int, int] = (16, 24)
) -> Path:
    """An animated picture of flat colours that change, some of it transparent; milliseconds."""
    frames = []
    for number in range(len(durations)):
        pixels = np.full((*size, 3), (40 * number, 200 - 30 * number, 90), np.uint8)
        opacity = np.full(size, 255, np.uint8)
        opacity[: size[0] // 2] = 0
        frames.append(Picture(pixels, opacity if alpha else None))
    format = {".gif": "GIF", ".png": "PNG", ".webp": "WEBP"}[path.suffix]
    with path.open("wb") as file:
        like = animation.Animation(tuple(frames), tuple(durations), 0)
        animation.write_into(file, iter(frames), like, format=format, options=EncodeOptions(lossless=format == "WEBP"))
    return path


def packet_times(path: Path) -> list[tuple[Fraction, Fraction]]:
    """When each frame begins and for how long it is shown, in seconds, as exactly as ffprobe says it."""
    said = probed(path, "-select_streams", "v:0", "-show_entries", "packet=pts,duration:stream=time_base")
    base = Fraction(said["streams"][0]["time_base"])
    packets = [(packet["pts"] * base, packet.get("duration", 0) * base) for packet in said["packets"]]
    return sorted(packets)


def begun(durations: list[Fraction]) -> list[Fraction]:
    return [sum(durations[:number], Fraction(0)) for number in range(len(durations))]


@pytest.mark.parametrize(
    ("ending", "container"),
    [(".gif", ".mp4"), (".png", ".mkv"), (".webp", ".webm"), (".gif", ".mov"), (".png", ".webm"), (".webp", ".mkv")],
)
def test_every_frame_of_an_animated_picture_keeps_its_time_in_a_film(
    tmp_path: Path, large: Enlarge, ending: str, container: str
) -> None:
    source = moving(tmp_path / f"a{ending}", MILLISECONDS, size=(64, 64))
    output, said = large(source, f"b{container}")
    assert "it plays for ever, which a film does not say: it plays once" in said
    seconds = [Fraction(milliseconds, 1000) for milliseconds in MILLISECONDS]
    assert packet_times(output) == list(zip(begun(seconds), seconds, strict=True))
    assert float(probed(output, "-show_format")["format"]["duration"]) == pytest.approx(1.62, abs=0.0015)


def test_times_that_are_no_milliseconds_are_exact_in_mp4(tmp_path: Path, large: Enlarge) -> None:
    seconds = [Fraction(1001, 24000), Fraction(1, 30), Fraction(1, 7), Fraction(2)]
    source = moving(tmp_path / "a.png", [1000 * duration for duration in seconds])
    output, _ = large(source, "b.mp4")
    assert packet_times(output) == list(zip(begun(seconds), seconds, strict=True))


def test_frames_that_say_no_time_are_shown_as_browsers_do_and_it_is_said(tmp_path: Path, large: Enlarge) -> None:
    source = moving(tmp_path / "a.gif", [0, 50, 0])
    output, said = large(source, "b.mp4")
    assert [duration for _, duration in packet_times(output)] == [Fraction(1, 10), Fraction(1, 20), Fraction(1, 10)]
    assert "frames that say no time: 2" in said


def test_colours_of_an_animated_picture_are_those_that_ffmpeg_shows_of_the_film(tmp_path: Path, same: Enlarge) -> None:
    source = moving(tmp_path / "a.png", [100, 100, 100])
    output, _ = same(source, "b.mp4", "--crf", "4")
    shown = ffmpeg_frames(output, width=24, height=16)[..., :3].astype(int)
    for number, frame in enumerate(shown):
        assert np.abs(frame - (40 * number, 200 - 30 * number, 90)).max() <= 3
    said = streams(output)[0]
    assert (said["color_space"], said["color_transfer"], said["color_primaries"]) == ("bt709", "iec61966-2-1", "bt709")


def test_transparency_is_laid_on_white_and_said(tmp_path: Path, same: Enlarge) -> None:
    source = moving(tmp_path / "a.webp", [100, 100], alpha=True)
    output, said = same(source, "b.mp4", "--crf", "4")
    assert "its transparency is laid on white" in said
    shown = ffmpeg_frames(output, width=24, height=16)
    assert (shown[0, 2, :, :3] >= 252).all()
    assert np.abs(shown[0, -2, :, :3].astype(int) - (0, 200, 90)).max() <= 3


@pytest.mark.parametrize(("codec", "name"), [("ffv1", "b.mkv"), ("prores", "b.mov")])
def test_transparency_is_kept_where_the_codec_can(tmp_path: Path, same: Enlarge, codec: str, name: str) -> None:
    source = moving(tmp_path / "a.png", [100, 100], alpha=True)
    output, said = same(source, name, "--codec", codec)
    assert "its transparency" not in said
    shown = ffmpeg_frames(output, width=24, height=16).astype(int)
    assert (shown[:, 2, :, 3] <= 1).all()
    assert (shown[:, -2, :, 3] >= 254).all()
    assert np.abs(shown[1, -2, :, :3] - (40, 170, 90)).max() <= 4


def test_a_still_picture_becomes_no_film(tmp_path: Path, weights: Path) -> None:
    source = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(source)
    line = refused(hat(source, "-o", tmp_path / "b.mp4", "-n", weights, "--scale", "2"), 1)
    assert "it is a still picture" in line
    assert not (tmp_path / "b.mp4").exists()


def test_a_part_of_an_animated_picture(tmp_path: Path, large: Enlarge) -> None:
    source = moving(tmp_path / "a.gif", [100] * 8)
    output, _ = large(source, "b.mp4", "--start", "0.2", "--duration", "0.3")
    assert [time for time, _ in packet_times(output)] == [0, Fraction(1, 10), Fraction(2, 10)]


def shown_for(path: Path) -> list[float]:
    """Milliseconds of each frame, read by Pillow, which does not write these formats here."""
    durations = []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            durations.append(float(image.info["duration"]))
    return durations


@pytest.mark.parametrize("ending", [".gif", ".png", ".webp"])
def test_every_frame_of_a_film_keeps_its_time_in_an_animated_picture(
    tmp_path: Path, large: Enlarge, ending: str
) -> None:
    source = film(tmp_path / "a.mkv", "-vf", "settb=1/1000,setpts='N*60+mod(N*N,5)*10'", "-fps_mode", "vfr",
                  "-enc_time_base", "1/1000", "-c:v", "libx264", frames=30)  # fmt: skip
    output, _ = large(source, f"b{ending}")
    wanted = [round(1000 * (b - a)) for a, b in zip(times(source), times(source)[1:], strict=False)]
    assert len(set(wanted)) > 2
    assert [round(duration) for duration in shown_for(output)[:-1]] == wanted
    with Image.open(output) as image:
        assert image.info["loop"] == 0
        assert image.size == (64, 48)


def test_ffprobe_finds_no_drift_in_a_gif_of_a_film_at_24000_1001(tmp_path: Path, large: Enlarge) -> None:
    source = film(tmp_path / "a.mp4", frames=100)
    output, _ = large(source, "b.gif")
    read = times(output)
    assert len(read) == 100
    assert max(abs(b - a) for a, b in zip(times(source), read, strict=True)) <= 0.0051


def test_a_png_says_24000_1001_exactly(tmp_path: Path, large: Enlarge) -> None:
    output, _ = large(film(tmp_path / "a.mp4", frames=5), "b.png")
    data = output.read_bytes()
    delays, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"fcTL":
            delays.append(struct.unpack_from(">HH", data, at + 8 + 20))
        at += 12 + length
    assert delays == [(1001, 24000)] * 5
    said_by("ffprobe", "-v", "error", "-f", "apng", output)


def test_frames_too_quick_for_a_gif_are_left_out_and_it_is_said(tmp_path: Path, large: Enlarge) -> None:
    source = film(tmp_path / "a.mp4", rate="60", frames=60)
    output, said = large(source, "b.gif")
    assert min(shown_for(output)) >= 20
    assert sum(shown_for(output)) == pytest.approx(1000, abs=10)
    assert f"{60 - len(shown_for(output))} of 60 are left out" in said


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_no_time_drifts_however_odd(format: str) -> None:
    unit = {"GIF": Fraction(1, 100), "WEBP": Fraction(1, 1000), "PNG": Fraction(1, 60000)}[format]
    generator = np.random.default_rng(5)
    ticks = [int(tick) for tick in np.cumsum(generator.integers(3000, 70000, 500))]
    shown = timed(ticks, ticks[-1] + 9001, Fraction(1, 90001), format)
    at = Fraction(0)
    for one in shown:
        assert abs(at - (ticks[one.number] - ticks[0]) * Fraction(1, 90001)) <= unit / 2
        at += one.seconds
    assert len(shown) == 500


def test_a_frame_longer_than_a_gif_can_say_is_shown_again() -> None:
    shown = timed([0, 1000], 1001, Fraction(1), "GIF")
    assert [one.number for one in shown] == [0, 0, 1]
    assert sum(one.seconds for one in shown) == 1001


def test_what_an_animated_picture_cannot_hold_is_said(tmp_path: Path, large: Enlarge) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,100 --> 00:00:00,200\nHallo\n")
    source = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x24:rate=25", "-f", "lavfi", "-i", "sine", "-f", "lavfi", "-i", "sine",
           "-i", tmp_path / "s.srt", "-map", "0", "-map", "1", "-map", "2", "-map", "3", "-t", "0.4", "-c:a", "flac",
           source)  # fmt: skip
    _, said = large(source, "b.gif")
    assert "GIF holds pictures alone: sound (2), subtitles left out" in said


def corner(shown: NDArray[np.uint8]) -> tuple[int, int]:
    """Where the brightest pixel is: 0 or 1 down, 0 or 1 to the right."""
    light = shown[..., :3].astype(int).sum(axis=2)
    row, column = np.unravel_index(int(light.argmax()), light.shape)
    return int(row >= light.shape[0] / 2), int(column >= light.shape[1] / 2)


@pytest.mark.parametrize("turn", ["transpose=1", "transpose=2", "transpose=1,transpose=1"])
def test_a_film_that_is_turned_becomes_an_upright_picture_as_ffmpeg_shows_it(
    tmp_path: Path, large: Enlarge, turn: str
) -> None:
    degrees = {"transpose=1": 90, "transpose=2": -90, "transpose=1,transpose=1": 180}[turn]
    flat = film(tmp_path / "flat.mp4", "-vf", "drawbox=0:0:40:40:black:fill,drawbox=0:0:8:6:white:fill", frames=3)
    source = rotated(flat, tmp_path / "a.mp4", degrees)
    output, _ = large(source, "b.png")
    shown = said_by("ffmpeg", "-v", "error", "-i", source, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    height, width = (32, 24) if abs(degrees) == 90 else (24, 32)
    wanted = np.frombuffer(shown, np.uint8).reshape(height, width, 3)
    with Image.open(output) as image:
        assert image.size == (2 * width, 2 * height)
        assert corner(np.asarray(image.convert("RGB"))) == corner(wanted)


def rotated(flat: Path, path: Path, degrees: int) -> Path:
    """The same film with a display matrix in its header, written there by hand."""
    data = bytearray(flat.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 8 + 4 + 4 + 4 + 8 + 2 + 2 + 2 + 2  # version 0, up to the matrix
    one = 1 << 16
    a, b, c, d = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), -90: (0, -one, one, 0)}[degrees]
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def test_a_mirrored_matrix_is_mirrored_back() -> None:
    one = 1 << 16
    assert orientation((-one, 0, 0, 0, one, 0, 0, 0, 1 << 30)) == (0, True)
    assert orientation((one, 0, 0, 0, -one, 0, 0, 0, 1 << 30)) == (2, True)
    assert orientation(None) == (0, False)


def test_pixels_that_are_not_square_are_made_so_and_it_is_said(tmp_path: Path, large: Enlarge) -> None:
    source = film(tmp_path / "a.mp4", "-vf", "setsar=4/3", "-c:v", "libx264", frames=3)
    output, said = large(source, "b.gif")
    assert "its pixels are 4:3: made square, 85 x 48" in said
    assert "-> 85 x 48" in said
    with Image.open(output) as image:
        assert image.size == (85, 48)


def test_hdr_stays_hdr_in_png_and_is_refused_elsewhere(tmp_path: Path, weights: Path, large: Enlarge) -> None:
    source = film(
        tmp_path / "a.mkv", "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params",
        "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited", size="64x48", frames=3,
    )  # fmt: skip
    assert "HDR" in refused(hat(source, "-o", tmp_path / "b.gif", "-n", weights, "--scale", "2"), 5)
    output, _ = large(source, "b.png")
    assert b"cICP" + bytes([9, 16, 0, 1]) in output.read_bytes()[:200]
    assert exiftool_tags(output)["BitDepth"] == 16


@pytest.mark.parametrize("option", [["--codec", "h264"], ["--crf", "20"], ["--pixel-format", "yuv420p"]])
def test_options_of_films_are_refused_for_pictures(tmp_path: Path, weights: Path, option: list[str]) -> None:
    source = film(tmp_path / "a.mp4", frames=3)
    line = refused(hat(source, "-o", tmp_path / "b.gif", "-n", weights, "--scale", "2", *option), 2)
    assert f"{option[0]} is of films, and GIF is none" in line
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_films_of_rgb_and_with_transparency_keep_both(tmp_path: Path, same: Enlarge) -> None:
    source = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=c=0x3060c0@0.5:size=32x24:rate=5,format=rgba", "-frames:v", "3", "-c:v", "ffv1",
           "-pix_fmt", "bgra", source)  # fmt: skip
    output, _ = same(source, "b.mkv", "--codec", "ffv1", width=32)
    shown = ffmpeg_frames(output, width=32, height=24).astype(int)
    assert np.abs(shown - (0x30, 0x60, 0xC0, 0x80)).max() <= 2
    opaque = tmp_path / "c.mkv"
    ffmpeg("-i", source, "-vf", "format=bgr0", "-c:v", "ffv1", opaque)
    flat, _ = same(opaque, "d.mp4", "--crf", "4", width=32)
    assert np.abs(ffmpeg_frames(flat, width=32, height=24)[..., :3].astype(int) - (0x30, 0x60, 0xC0)).max() <= 4
    assert streams(flat)[0]["color_space"] == "bt709"
