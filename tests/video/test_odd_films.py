"""Films as people have them: odd containers, covers, bitmap subtitles, damage, full disks; and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.commands import hat, refused
from support.films import ffmpeg, film, packets_hash, probed, streams, times
from support.readers import said_by
from typer.testing import CliRunner

pytest.importorskip("av", reason="films need the extra `video`")
from hatcli.cli import app
from hatcli.video.segments import Coded, Segments

ROOT = Path(__file__).parent.parent.parent
Enlarge = Callable[..., tuple[Path, str]]
MOVING = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25")
SOUND = ("-f", "lavfi", "-i", "sine")


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        (".avi", ["-c:v", "mpeg4", "-c:a", "mp3"]),
        (".ts", ["-c:v", "libx264", "-c:a", "aac"]),
        (".mov", ["-c:v", "prores_ks", "-c:a", "pcm_s16le"]),
        (".webm", ["-c:v", "libvpx-vp9", "-c:a", "libopus"]),
        (".mpg", ["-c:v", "mpeg2video", "-c:a", "mp2"]),
        (".flv", ["-c:v", "flv", "-c:a", "mp3"]),
        (".mp4", ["-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv444p12le", "-c:a", "aac"]),
    ],
)
def test_films_of_every_container_come_out_with_all_frames_and_packets(
    tmp_path: Path, large: Enlarge, ending: str, options: list[str]
) -> None:
    source = tmp_path / f"a{ending}"
    ffmpeg(*MOVING, *SOUND, "-t", "0.4", *options, "-ar", "44100" if ending != ".webm" else "48000", source)
    output, _ = large(source, "b.mkv")
    [pictures] = [one for one in streams(output) if one["codec_type"] == "video"]
    assert (int(pictures["nb_read_packets"]), pictures["width"]) == (10, 128)
    if ending == ".ts":  # whose packets have a header of their own each
        assert heard(output) == heard(source)
    else:
        assert [text for _, text in packets_hash(output, "a:0")] == [text for _, text in packets_hash(source, "a:0")]


def heard(path: Path) -> bytes:
    """Every sample of the sound, as ffmpeg decodes it."""
    return said_by("ffmpeg", "-v", "error", "-i", path, "-map", "0:a:0", "-f", "s16le", "-")


def test_a_frame_that_a_film_repeats_by_an_empty_packet_is_shown_on(tmp_path: Path, large: Enlarge) -> None:
    source = tmp_path / "a.ogv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=2,fps=10", "-t", "2", "-c:v", "libtheora", source)
    output, said = large(source, "b.mkv")
    assert "damaged" not in said
    assert 4 <= len(times(output)) < 20
    end = float(probed(output, "-show_format")["format"]["duration"])
    assert 1.5 <= end <= 2.1


@pytest.mark.parametrize("name", ["b.mkv", "b.mp4"])
def test_a_cover_is_kept_byte_for_byte(tmp_path: Path, large: Enlarge, name: str) -> None:
    cover, source = tmp_path / "cover.png", tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64", "-frames:v", "1", cover)
    ffmpeg(*MOVING, *SOUND, "-i", cover, "-map", "0", "-map", "1", "-map", "2", "-t", "0.4", "-c:v:0", "libx264",
           "-c:a", "aac", "-c:v:1", "copy", "-disposition:v:1", "attached_pic", source)  # fmt: skip
    output, _ = large(source, name)
    [found] = [one for one in streams(output) if one["disposition"]["attached_pic"]]
    assert (found["codec_name"], found["width"]) == ("png", 64)
    taken = tmp_path / "taken.png"
    ffmpeg("-i", output, "-map", f"0:{found['index']}", "-c", "copy", "-update", "1", "-frames:v", "1", taken)
    assert taken.read_bytes() == cover.read_bytes()
    again, _ = large(output, f"again_{name}")
    assert [one["disposition"]["attached_pic"] for one in streams(again)].count(1) == 1


def bitmap_subtitles(path: Path) -> Path:
    """One subtitle of 8 x 2 pixels, 0.1 to 0.3 s, as on discs (PGS)."""

    def segment(kind: int, ticks: int, body: bytes) -> bytes:
        return b"PG" + struct.pack(">IIBH", ticks, 0, kind, len(body)) + body

    window = bytes([1, 0]) + struct.pack(">HHHH", 4, 4, 8, 2)
    shown = struct.pack(">HHBHBBBB", 64, 48, 0x10, 0, 0x80, 0, 0, 1) + struct.pack(">HBBHH", 0, 0, 0, 4, 4)
    gone = struct.pack(">HHBHBBBB", 64, 48, 0x10, 1, 0, 0, 0, 0)
    runs = bytes([0, 0x88, 1, 0, 0]) * 2
    drawn = struct.pack(">HBB", 0, 0, 0xC0) + (len(runs) + 4).to_bytes(3, "big") + struct.pack(">HH", 8, 2) + runs
    palette = bytes([0, 0, 1, 235, 128, 128, 255])
    parts = [(0x16, 9000, shown), (0x17, 9000, window), (0x14, 9000, palette), (0x15, 9000, drawn), (0x80, 9000, b""),
             (0x16, 27000, gone), (0x17, 27000, window), (0x80, 27000, b"")]  # fmt: skip
    path.write_bytes(b"".join(segment(*part) for part in parts))
    return path


def test_bitmap_subtitles_are_copied_and_it_is_said_that_they_stay_small(tmp_path: Path, large: Enlarge) -> None:
    source = tmp_path / "a.mkv"
    ffmpeg(*MOVING, "-i", bitmap_subtitles(tmp_path / "s.sup"), "-map", "0", "-map", "1", "-t", "0.6", "-c:s", "copy",
           source)  # fmt: skip
    output, said = large(source, "b.mkv")
    assert "subtitle stream 1 is of pictures, which keep their size" in said
    assert packets_hash(output, "s:0") == packets_hash(source, "s:0") != []


def test_a_timecode_track_is_left_out_and_said(tmp_path: Path, large: Enlarge) -> None:
    source = tmp_path / "a.mov"
    ffmpeg(*MOVING, "-t", "0.2", "-c:v", "libx264", "-timecode", "01:00:00:00", source)
    _, said = large(source, "b.mov")
    assert "data stream 1 left out" in said


def test_sound_that_no_container_holds_names_a_way_out(tmp_path: Path, weights: Path) -> None:
    source = tmp_path / "a.wmv"
    ffmpeg(*MOVING, *SOUND, "-t", "0.2", "-c:v", "wmv2", "-c:a", "wmav2", source)
    done = hat(source, "-o", tmp_path / "b.mkv", "-n", weights, "--scale", "2")
    assert "cannot hold stream 1 (audio), wmav2" in refused(done, 2)
    assert "-c:a flac" in done.stderr


def test_damage_in_the_middle_costs_frames_not_the_film(tmp_path: Path, large: Enlarge) -> None:
    whole = film(tmp_path / "w.ts", "-c:v", "libx264", "-g", "5", rate="25", frames=50)
    data = bytearray(whole.read_bytes())
    for at in range(4000, len(data), 977):
        data[at] ^= 0xFF
    (tmp_path / "a.ts").write_bytes(data)
    output, _ = large(tmp_path / "a.ts", "b.mkv")
    shown = times(output)
    assert len(shown) >= 20
    assert shown == sorted(set(shown))


def test_frames_that_change_their_size_are_refused_with_a_hint(tmp_path: Path, weights: Path) -> None:
    first, second = film(tmp_path / "1.ts", size="64x48", frames=5), film(tmp_path / "2.ts", size="32x32", frames=5)
    (tmp_path / "a.ts").write_bytes(first.read_bytes() + second.read_bytes())
    done = hat(tmp_path / "a.ts", "-o", tmp_path / "b.mkv", "-n", weights, "--scale", "2")
    assert "change from 64 x 48 to 32 x 32" in refused(done, 1)
    assert not (tmp_path / "b.mkv").exists()


def test_times_far_from_zero_stay_there(tmp_path: Path, large: Enlarge) -> None:
    source = film(tmp_path / "a.mkv", "-c:v", "libx264", "-output_ts_offset", "100", rate="25", frames=6)
    output, _ = large(source, "b.mkv")
    assert times(output)[0] == 100
    assert times(output) == times(source)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--codec", "vp9"], "there is no --codec vp9"),
        (["--crf", "60"], "--crf 60 is not from 0 to 51"),
        (["--crf", "20", "--codec", "ffv1"], "ffv1 has no --crf"),
        (["--pixel-format", "pal8"], "has no --pixel-format pal8"),
        (["--preview", "0s"], "--preview 0s is no time"),
        (["--preview", "1s", "--start", "1"], "--preview takes its part from the middle"),
        (["--format", "gif"], "--format is of pictures"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(tmp_path: Path, weights: Path, options: list[str], line: str) -> None:
    source = film(tmp_path / "a.mkv", frames=3)
    assert line in refused(hat(source, "-n", weights, "--scale", "2", *options), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_a_part_beyond_the_end_is_a_line(tmp_path: Path, weights: Path) -> None:
    source = film(tmp_path / "a.mkv", frames=3)
    line = refused(hat(source, "-n", weights, "--scale", "2", "--start", "50"), 1)
    assert "there is no frame in that part of it" in line


def test_an_output_that_exists_is_not_replaced_unasked(tmp_path: Path, weights: Path) -> None:
    source = film(tmp_path / "a.mkv", frames=3)
    (tmp_path / "b.mkv").write_bytes(b"somebody's")
    assert "exists already" in refused(hat(source, "-o", tmp_path / "b.mkv", "-n", weights, "--scale", "2"), 2)
    assert (tmp_path / "b.mkv").read_bytes() == b"somebody's"


def test_a_film_from_stdin_is_refused_with_a_hint(tmp_path: Path, weights: Path) -> None:
    done = hat("-", "-o", tmp_path / "b.mkv", "-n", weights, "--scale", "2", stdin=b"film")
    assert "films are read from files" in refused(done, 2)


@pytest.mark.parametrize("source", ["a.mkv", "a.gif"])
def test_films_are_not_sent_to_other_machines(tmp_path: Path, weights: Path, source: str) -> None:
    made = film(tmp_path / source, *(["-c:v", "gif"] if source.endswith("gif") else []), frames=3)
    done = hat(made, "-o", tmp_path / "b.mkv", "--scale", "2", "--server", "http://127.0.0.1:9")
    assert "is a film, and films are enlarged on this machine alone" in refused(done, 2)


def test_a_disk_without_room_is_told_before_a_film_is_begun(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film(tmp_path / "a.mkv", frames=24)
    command: list[str | Path] = [source, "-o", tmp_path / "b.mkv", "-n", weights, "--scale", "2", "--codec", "ffv1"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3000))
    done = hat(*command)
    assert "the results need at least" in refused(done, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=30_000))
    done = hat(*command)
    assert done.exit_code == 0, done.stderr
    assert "the results may take" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_costs_a_line_with_the_films_name_and_can_be_resumed(
    tmp_path: Path, weights: Path
) -> None:
    source = film(tmp_path / "a.mkv", rate="4", frames=90)
    command = [sys.executable, "-m", "hatcli", "upscale", source, "-o", tmp_path / "b.mkv", "-n", weights, "--scale",
               "2", "--codec", "ffv1"]  # fmt: skip
    words = list(map(str, command))
    limited = "import resource, sys, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); " \
              "sys.argv = ['hat', *sys.argv[1:]]; runpy.run_module('hatcli', run_name='__main__')"  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([words[0], "-c", limited, *words[3:]], capture_output=True, env=environment, check=False)
    assert done.returncode == 5, done.stderr
    assert b"b.mkv grows larger than files may be here" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "b.mkv").exists()
    assert subprocess.run(words, env=environment, capture_output=True, check=False).returncode == 0
    assert len(times(tmp_path / "b.mkv")) == 90
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mkv"]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_ctrl_c_ends_in_a_line_and_the_same_command_goes_on(tmp_path: Path, weights: Path) -> None:
    source = film(tmp_path / "a.mkv", rate="4", frames=200, size="64x48")
    words = [sys.executable, "-m", "hatcli", "upscale", str(source), "-o", str(tmp_path / "b.mkv"), "-n", str(weights),
             "--scale", "2"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE)
    began = time.monotonic()
    while not list(tmp_path.glob(".hat-film-*/*.segment")):
        assert process.poll() is None, "it ended before"
        assert time.monotonic() - began < 120
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert not (tmp_path / "b.mkv").exists()
    again = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert again.returncode == 0, again.stderr
    assert len(times(tmp_path / "b.mkv")) == 200


def test_a_segment_that_is_cut_off_or_of_another_film_is_made_again(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "b.mkv", {"film": 1})
    with segments.writing(0) as made:
        made.add(Coded(0, 1, True, b"abc"))
        made.add(Coded(1, 1, False, b"defg"))
    segments.close()
    again = Segments(tmp_path / "b.mkv", {"film": 1})
    assert again.finished[0].times == (0, 1)
    again.close()
    path = next(tmp_path.glob(".hat-film-*/*.segment"))
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        found = Segments(tmp_path / "b.mkv", {"film": 1})
        assert found.finished == {}
        found.close()
    path.write_bytes(whole)
    other = Segments(tmp_path / "b.mkv", {"film": 2})
    assert other.finished == {}
    other.remove()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_make_one_film_at_once(tmp_path: Path, weights: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("files have no such locks there")
    source = film(tmp_path / "a.mkv", frames=3)
    held = Segments(tmp_path / "b.mkv", {})
    line = refused(hat(source, "-o", tmp_path / "b.mkv", "-n", weights, "--scale", "2"), 2)
    assert "another run makes" in line
    held.close()


def test_doctor_names_the_encoders_and_which_of_cards_run_here() -> None:
    facts = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    for name in ("h264", "hevc", "av1", "ffv1", "prores", "nvenc"):
        assert name in facts["films"]
    assert facts["packages"]["av"] != "not installed"


@pytest.mark.parametrize(("source", "output"), [("a.mkv", "b.gif"), ("a.gif", "b.mp4")])
def test_a_dry_run_between_films_and_animated_pictures_says_frames_and_writes_nothing(
    tmp_path: Path, weights: Path, source: str, output: str
) -> None:
    film(tmp_path / source, *(["-c:v", "gif"] if source.endswith("gif") else []), rate="10", frames=5)
    done = hat(tmp_path / source, "-o", tmp_path / output, "-n", weights, "--scale", "2", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "5 frames" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [source]
