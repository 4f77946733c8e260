"""Films through the command line: everything but the pixels stays, read back by ffprobe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.commands import hat, refused
from support.films import ffmpeg, film, packets_hash, probed, streams, times

pytest.importorskip("av", reason="films need the extra `video`")
from hatcli.video.colors import Conversion
from hatcli.video.film import probe
from hatcli.video.frames import Found, moments

ROOT = Path(__file__).parent.parent.parent
Enlarge = Callable[..., tuple[Path, str]]


def test_times_and_frames_of_a_film_with_b_frames_stay_as_they_are(tmp_path: Path, large: Enlarge) -> None:
    source = film(tmp_path / "a.mp4")
    output, _ = large(source, "b.mp4")
    assert times(output) == times(source)
    video = streams(output)[0]
    assert (video["width"], video["height"], video["codec_name"]) == (64, 48, "h264")


def test_a_variable_frame_rate_is_kept(tmp_path: Path, large: Enlarge) -> None:
    source = film(tmp_path / "a.mkv", "-vf", "settb=1/1000,setpts='N*40+mod(N*N,7)*3'", "-fps_mode", "vfr",
                  "-enc_time_base", "1/1000", "-c:v", "libx264", frames=30)  # fmt: skip
    assert len({round(b - a, 3) for a, b in zip(times(source), times(source)[1:], strict=False)}) > 2
    output, _ = large(source, "b.mkv")
    assert times(output) == times(source)


def test_sound_subtitles_chapters_and_attachments_are_copied_untouched(tmp_path: Path, large: Enlarge) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,100 --> 00:00:00,700\nHallo\n")
    (tmp_path / "c.txt").write_text(
        ";FFMETADATA1\ntitle=Film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=Eins\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\ntitle=Zwei\n"
    )
    (tmp_path / "font.ttf").write_bytes(b"not really a font")
    source = tmp_path / "a.mkv"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=32x24:rate=25", "-f", "lavfi", "-i", "sine", "-f", "lavfi", "-i",
        "sine=900",
        "-i", tmp_path / "s.srt", "-i", tmp_path / "s.srt", "-i", tmp_path / "c.txt", "-map", "0", "-map", "1", "-map",
        "2", "-map", "3", "-map", "4", "-map_metadata", "5", "-t", "1", "-c:v", "libx264", "-c:a", "flac", "-c:s:0",
        "srt", "-c:s:1", "ass", "-attach", tmp_path / "font.ttf", "-metadata:s:t", "mimetype=font/ttf",
        "-metadata:s:a:1", "language=deu", source,
    )  # fmt: skip
    output, _ = large(source, "b.mkv")
    before, after = streams(source), streams(output)
    assert [one["codec_type"] for one in after] == [one["codec_type"] for one in before]
    assert [one.get("codec_name") for one in after[1:]] == [one.get("codec_name") for one in before[1:]]
    assert after[2]["tags"]["language"] == "deu"
    for stream in ("a:0", "a:1", "s:0", "s:1"):
        assert packets_hash(output, stream) == packets_hash(source, stream)
    chapters = [probed(path, "-show_chapters")["chapters"] for path in (source, output)]
    assert [(one["start_time"], one["end_time"], one["tags"]["title"]) for one in chapters[1]] == [
        (one["start_time"], one["end_time"], one["tags"]["title"]) for one in chapters[0]
    ]
    assert after[-1]["tags"]["filename"] == "font.ttf"
    assert probed(output, "-show_format")["format"]["tags"]["title"] == "Film"


def test_sound_that_begins_before_zero_moves_no_frame(tmp_path: Path, large: Enlarge) -> None:
    source = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x24:rate=25", "-f", "lavfi", "-i", "sine", "-t", "1", "-c:a", "aac",
           source)  # fmt: skip
    output, _ = large(source, "b.mkv")
    assert times(output) == times(source)
    assert len(packets_hash(output, "a:0")) == len(packets_hash(source, "a:0"))


def test_what_a_container_cannot_hold_is_refused_before_any_work(tmp_path: Path, weights: Path) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,100 --> 00:00:00,700\nHallo\n")
    source = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x24:rate=25", "-i", tmp_path / "s.srt", "-t", "0.5", "-c:s", "srt",
           source)  # fmt: skip
    line = refused(hat(source, "-o", tmp_path / "b.mp4", "-n", weights, "--scale", "2"), 2)
    assert "cannot hold stream 1 (subtitle)" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "s.srt"]


def test_hdr_of_ten_bits_keeps_depth_colours_and_mastering_display(tmp_path: Path, large: Enlarge) -> None:
    light = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    source = film(
        tmp_path / "a.mkv", "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params",
        f"log-level=none:master-display={light}:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited",
        "-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc", "-color_range", "tv",
        size="64x48", frames=6,
    )  # fmt: skip
    output, _ = large(source, "b.mkv")
    kept = ("pix_fmt", "color_space", "color_transfer", "color_primaries", "color_range", "codec_name")
    assert {name: streams(output)[0][name] for name in kept} == {name: streams(source)[0][name] for name in kept}
    side = [
        probed(path, "-read_intervals", "%+#1", "-show_frames")["frames"][0]["side_data_list"][:2]
        for path in (source, output)
    ]
    assert side[0] == side[1]


@pytest.mark.parametrize(("matrix", "range"), [("bt709", "tv"), ("smpte170m", "pc"), ("bt2020nc", "tv")])
@pytest.mark.parametrize("format", ["yuv420p", "yuv420p10le"])
def test_colours_do_not_shift(tmp_path: Path, matrix: str, range: str, format: str) -> None:
    source = tmp_path / "a.mkv"
    scaled = f"scale=out_color_matrix={matrix}:out_range={range},format={format}"
    ffmpeg("-f", "lavfi", "-i", "color=c=0x3060c0:size=32x24:rate=25", "-frames:v", "1", "-vf", scaled, "-c:v", "ffv1",
           "-colorspace", matrix, "-color_range", range, source)  # fmt: skip
    found = probe(source)
    conversion = Conversion(found.colors, deep=found.is_deep)
    [moment] = moments(found, Found(), start=Fraction(0), length=None, deinterlace=False)
    rgb = conversion.to_rgb(moment.frame)
    assert np.abs(rgb / (257 if found.is_deep else 1) - (0x30, 0x60, 0xC0)).max() < 4.5, (
        "what ffmpeg was told to draw, through 8 bits"
    )
    back = conversion.from_rgb(rgb, format)
    for before, after in zip(moment.frame.planes, back.planes, strict=True):
        kind = np.uint16 if found.is_deep else np.uint8
        steps = np.frombuffer(bytes(before), kind)[:8].astype(int) - np.frombuffer(bytes(after), kind)[:8]
        assert np.abs(steps).max() <= 1
    assert (back.colorspace, back.color_range) == (moment.frame.colorspace, moment.frame.color_range)


def test_rotation_and_the_shape_of_pixels_are_kept(tmp_path: Path, large: Enlarge) -> None:
    flat = film(tmp_path / "flat.mp4", "-vf", "setsar=4/3", "-c:v", "libx264", frames=5)
    source = tmp_path / "a.mp4"
    ffmpeg("-display_rotation", "90", "-i", flat, "-c", "copy", source) if _can_rotate() else ffmpeg(
        "-i", flat, "-c", "copy", "-metadata:s:v", "rotate=90", source
    )
    output, _ = large(source, "b.mp4")
    before, after = streams(source)[0], streams(output)[0]
    assert after["sample_aspect_ratio"] == before["sample_aspect_ratio"] == "4:3"
    assert after.get("side_data_list") == before.get("side_data_list") is not None


def _can_rotate() -> bool:
    said = subprocess.run(["ffmpeg", "-h", "full"], capture_output=True, text=True, check=False).stdout
    return "display_rotation" in said


def test_odd_sizes_keep_every_pixel(tmp_path: Path, large: Enlarge) -> None:
    source = film(
        tmp_path / "a.mkv", "-vf", "format=yuv444p,crop=33:25:0:0:exact=1", "-c:v", "libx264", frames=4, size="64x48"
    )
    output, said = large(source, "b.mkv", "--scale", "3")
    assert (streams(output)[0]["width"], streams(output)[0]["height"]) == (99, 75), said


def test_interlaced_is_refused_with_a_hint_and_taken_apart_when_asked(
    tmp_path: Path, weights: Path, large: Enlarge
) -> None:
    source = film(tmp_path / "a.mkv", "-flags", "+ildct+ilme", "-top", "1", "-c:v", "mpeg2video", size="64x48")
    refusal = hat(source, "-o", tmp_path / "b.mkv", "-n", weights, "--scale", "2")
    assert "interlaced" in refused(refusal, 1)
    assert "--deinterlace" in refusal.stderr
    output, _ = large(source, "b.mkv", "--deinterlace")
    assert len(times(output)) == len(times(source))
    assert times(output) == times(source)


@pytest.mark.parametrize("codec", ["hevc", "av1", "ffv1", "prores"])
def test_each_codec_writes_what_ffprobe_reads(tmp_path: Path, large: Enlarge, codec: str) -> None:
    source = film(tmp_path / "a.mkv", size="64x48", frames=5)
    output, _ = large(source, "b.mkv", "--codec", codec)
    assert streams(output)[0]["codec_name"] == codec
    assert times(output) == times(source)


def test_frames_without_times_follow_at_the_frame_rate_and_it_is_said(tmp_path: Path, large: Enlarge) -> None:
    source = film(tmp_path / "a.h264", "-c:v", "libx264", "-bf", "0", rate="25", frames=10)
    output, said = large(source, "b.mkv")
    assert times(output) == [round(number / 25, 3) for number in range(10)]
    assert "frames without a time: 10" in said


@pytest.mark.parametrize("kind", ["sound", "empty", "cut", "no film"])
def test_what_is_no_whole_film_costs_a_line(tmp_path: Path, weights: Path, kind: str) -> None:
    source = tmp_path / "a.mp4"
    if kind == "sound":
        ffmpeg("-f", "lavfi", "-i", "sine", "-t", "0.2", "-c:a", "aac", source)
    elif kind == "cut":
        source.write_bytes(film(tmp_path / "w.mp4").read_bytes()[:1500])
    else:
        source.write_bytes(b"" if kind == "empty" else b"nothing of that kind" * 50)
    assert "a.mp4" in refused(hat(source, "-o", tmp_path / "b.mp4", "-n", weights, "--scale", "2"), 1)
    assert not (tmp_path / "b.mp4").exists()


def test_a_matroska_that_is_cut_off_gives_what_is_there_and_says_so(tmp_path: Path, large: Enlarge) -> None:
    whole = film(tmp_path / "w.mkv", "-c:v", "ffv1", rate="5", frames=20)
    source = tmp_path / "a.mkv"
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    output, said = large(source, "b.mkv")
    assert 1 <= len(times(output)) < 20
    assert "cut off" in said


def test_a_part_begins_at_zero_and_has_its_sound(tmp_path: Path, large: Enlarge) -> None:
    source = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x24:rate=25", "-f", "lavfi", "-i", "sine", "-t", "3", "-c:a", "flac",
           source)  # fmt: skip
    output, _ = large(source, "b.mkv", "--start", "1", "--duration", "0.4s")
    assert times(output) == [0.0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.28, 0.32, 0.36]
    assert packets_hash(output, "a:0")


def test_a_preview_is_from_the_middle_and_named_so(tmp_path: Path, weights: Path) -> None:
    source = film(tmp_path / "a.mkv", rate="25", frames=50)
    assert hat(source, "-n", weights, "--scale", "2", "--preview", "200ms").exit_code == 0
    assert len(times(tmp_path / "a_x2_preview.mkv")) == 5


def test_a_folder_may_mix_pictures_and_films(tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    film(folder / "a.mkv", frames=4)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=16x16", "-frames:v", "1", folder / "b.png")
    (folder / "c.mp4").write_bytes(b"broken")
    run: list[str | Path] = ["-o", tmp_path / "out", "-n", weights, "--scale", "2"]
    done = hat(folder, *run)
    assert done.exit_code == 1
    assert "2 done, 1 failed" in done.stderr
    (folder / "c.mp4").unlink()
    again = hat(folder, *run)
    assert "2 skipped" in again.stderr, again.stderr


def killed(source: Path, output: Path, weights: Path, after: float) -> bool:
    """Run it and kill it so many seconds after its first segment is wanted; False if it ended before."""
    command = [
        sys.executable,
        "-m",
        "hatcli",
        "upscale",
        source,
        "-o",
        output,
        "-n",
        weights,
        "--scale",
        "2",
        "--quiet",
    ]
    process = subprocess.Popen(list(map(str, command)), env={**os.environ, "PYTHONPATH": str(ROOT)})
    began = time.monotonic()
    while process.poll() is None and not list(output.parent.glob(".hat-film-*")):
        assert time.monotonic() - began < 120
        time.sleep(0.01)
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL) if sys.platform != "win32" else process.kill()
        process.wait()
        return True


def survives_kills(tmp_path: Path, weights: Path, delays: list[float], ending: str = ".mp4") -> int:
    """How many kills there were; the film is the same as an undisturbed one's, byte for byte."""
    source = film(tmp_path / "a.mp4", "-c:v", "libx264", "-bf", "2", rate="4", frames=130)
    whole = tmp_path / f"whole{ending}"
    assert hat(source, "-o", whole, "-n", weights, "--scale", "2").exit_code == 0
    output, kills = tmp_path / f"b{ending}", 0
    for delay in delays:
        if output.exists():
            output.unlink()
        kills += killed(source, output, weights, delay)
        assert not output.exists() or output.read_bytes() == (whole).read_bytes()
    if not output.exists():
        assert hat(source, "-o", output, "-n", weights, "--scale", "2").exit_code == 0
    assert output.read_bytes() == (whole).read_bytes()
    assert not list(tmp_path.glob(".hat-*")), "nothing is left beside it"
    return kills


def test_a_killed_run_goes_on_and_makes_the_same_film(tmp_path: Path, weights: Path) -> None:
    assert survives_kills(tmp_path, weights, [0.5, 0.15]) > 0


@pytest.mark.stress
@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_fifty_kills_make_the_same_film(tmp_path: Path, weights: Path, ending: str) -> None:
    count = max(1, round(50 * float(os.environ.get("HAT_STRESS", "1"))))
    delays = [0.05 + (number * 0.37) % 1.4 for number in range(count)]
    kills = survives_kills(tmp_path, weights, delays, ending)
    assert kills > count // 3


def test_without_pyav_a_film_costs_one_line_that_says_what_to_install(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film(tmp_path / "a.mkv", frames=3)
    monkeypatch.setitem(sys.modules, "av", None)
    done = hat(source, "-n", weights, "--scale", "2")
    assert "PyAV" in refused(done, 2)
    assert "pip install 'hatcli[video]'" in done.stderr


def test_a_dry_run_says_frames_and_writes_nothing(tmp_path: Path, weights: Path) -> None:
    source = film(tmp_path / "a.mkv", frames=12)
    done = hat(source, "-n", weights, "--scale", "2", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "12 frames" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
