"""`hat` as a whole: what it takes for a picture, how mistakes are told, closed streams, and Ctrl-C at any time."""

from __future__ import annotations

import inspect
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from support.commands import PHOTO, refused
from typer.testing import CliRunner

from hatcli.cli import app
from hatcli.cli.commands.upscale import upscale
from hatcli.cli.shared import console

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX shells and signals")
HAT = [sys.executable, "-m", "hatcli"]


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with Image.open(PHOTO) as image:
        image.crop((0, 0, 12, 10)).save("photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    "first",
    [["photo.png"], ["./photo.png"], ["phot?.png"], ["folder"], ["@list.txt"], ["-j1", "photo.png"]],
)
def test_a_picture_as_the_first_word_is_enlarged(photo: Path, weights: Path, first: list[str]) -> None:
    (photo.parent / "folder").mkdir()
    shutil.copy(photo, photo.parent / "folder" / "photo.png")
    (photo.parent / "list.txt").write_text("photo.png\n")
    result = CliRunner().invoke(app, [*first, "-n", str(weights), "-o", "out/"])
    assert result.exit_code == 0, result.stderr
    with Image.open(photo.parent / "out" / "photo_x2.png") as large:
        assert large.size == (24, 20)


def test_commands_come_before_pictures_and_a_missing_picture_is_told_as_one(photo: Path) -> None:
    (photo.parent / "doctor").mkdir()
    assert "device" in CliRunner().invoke(app, ["doctor"]).stdout
    assert "there is no file other.png" in refused(CliRunner().invoke(app, ["other.png"]), 2)


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["upscal", "a.png"], "there is no command 'upscal'", "'upscale'"),
        (["nothing"], "there is no command 'nothing'", "--help"),
        (["upscale", "--scael", "2"], "there is no option --scael", "--scale"),
        (["upscale", "-o"], "option '-o' requires an argument", "--help"),
        (["compare"], "IMAGE is missing", "compare --help"),
        (["upscale", "a.png", "--width", "wide"], "--width: ", "upscale --help"),
        (["models", "shwo"], "there is no command 'shwo'", "'show'"),
        (["doctor", "extra"], "(extra)", "doctor --help"),
    ],
)
def test_what_is_mistyped_is_told_in_two_lines(words: list[str], error: str, hint: str) -> None:
    result = CliRunner().invoke(app, words)
    assert error in refused(result, 2)
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("hint: ")
    assert hint in lines[1]
    assert result.stdout == ""


def test_without_words_there_is_help() -> None:
    result = CliRunner().invoke(app, [])
    assert "upscale" in result.stdout + result.stderr
    assert "error" not in result.stderr


def shell(line: str, *, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", "-c", line], capture_output=True, check=False, input=stdin, timeout=120)


@posix
def test_a_closed_stdin_is_told(photo: Path, weights: Path) -> None:
    done = shell(f"{sys.executable} -m hatcli upscale - -o out.png -n {weights} <&-")
    assert done.returncode == 1
    assert b"error: cannot read stdin" in done.stderr
    assert b"Traceback" not in done.stderr


@posix
@pytest.mark.parametrize("options", ["--json", "-o -"])
def test_a_closed_stdout_that_is_wanted_is_told(photo: Path, weights: Path, options: str) -> None:
    done = shell(f"{sys.executable} -m hatcli photo.png {options} -n {weights} >&-")
    assert done.returncode == 5
    assert re.search(rb"error: .*stdout is closed", done.stderr)
    assert b"Traceback" not in done.stderr


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["photo.png --json", "photo.png -o -", "doctor"])
def test_a_full_stdout_is_told(photo: Path, weights: Path, words: str) -> None:
    model = "" if words == "doctor" else f"-n {weights}"
    done = shell(f"{sys.executable} -m hatcli {words} {model} >/dev/full")
    assert done.returncode == 5, done.stderr
    assert re.search(rb"error: .*the disk is full while writing stdout", done.stderr)
    assert b"Traceback" not in done.stderr


@posix
@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", "2>&- >&- <&-"])
def test_without_anybody_to_talk_to_pictures_are_enlarged(photo: Path, weights: Path, how: str) -> None:
    if "full" in how and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    done = shell(f"{sys.executable} -m hatcli photo.png -n {weights} {how}")
    assert done.returncode == 0
    with Image.open(photo.with_name("photo_x2.png")) as large:
        assert large.size == (24, 20)


@posix
@pytest.mark.parametrize("wait", [0.1, 0.2, 0.4, 1.2])
def test_ctrl_c_early_leaves_no_traceback(photo: Path, weights: Path, wait: float) -> None:
    process = subprocess.Popen(
        [*HAT, "photo.png", "-n", str(weights)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    if process.returncode == -signal.SIGINT and b"__main__.py" not in stderr:
        pytest.skip("Python itself was still starting")
    assert process.returncode in (130, 0), stderr
    assert b"Traceback" not in stderr


@posix
def test_ctrl_c_while_python_itself_ends_changes_no_exit_code() -> None:
    late = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT)"  # runs after hat's own
    program = f"{late}; import sys; sys.argv[1:] = ['--version']; from hatcli.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")


@posix
def test_ctrl_c_five_times_leaves_no_traceback(photo: Path, weights: Path) -> None:
    for number in range(60):
        Image.new("RGB", (64, 64), (number, 9, 9)).save(photo.with_name(f"{number:03}.png"))
    process = subprocess.Popen(
        [*HAT, str(photo.parent), "-n", str(weights), "-o", "out"], stderr=subprocess.PIPE, start_new_session=True
    )
    while process.poll() is None and not list(photo.parent.glob("out/*.png")):
        time.sleep(0.01)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert b"Traceback" not in stderr
    assert b"Exception ignored" not in stderr
    for path in photo.parent.glob("out/*.png"):
        with Image.open(path) as image:
            image.load()


def test_help_breaks_nothing_inside_a_word_at_60_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERMINAL_WIDTH", "60")
    shown = CliRunner().invoke(app, ["upscale", "--help"]).stdout
    assert max(len(line) for line in shown.splitlines()) <= 60
    assert "…" not in shown
    words = set(re.sub(r"[│╭╮╰╯─]", " ", shown).split())
    parameters = [one for one in inspect.signature(upscale).parameters.values() if one.name != "context"]
    told = " ".join(parameter.annotation.__metadata__[0].help or "" for parameter in parameters)
    assert "transparency:" in told.lower()
    assert set(told.split()) <= words
    assert "<str>" not in shown.split("Options", 1)[1]  # older Typers show it of the argument


@pytest.mark.parametrize(
    ("option", "word", "ends"),
    [
        ("--format", "w", "webp"),
        ("--device", "cu", "cuda:1"),
        ("--model", "hat-t", "hat-t"),
        ("-n", "real", "real-hat"),
    ],
)
def test_a_shell_completes_names(option: str, word: str, ends: str) -> None:
    environment = {"_HAT_COMPLETE": "complete_bash", "COMP_WORDS": f"hat upscale {option} {word}", "COMP_CWORD": "3"}
    told = CliRunner().invoke(app, [], prog_name="hat", env=environment)
    assert ends in told.stdout.split()
    assert all(line.startswith(word) for line in told.stdout.split())


@pytest.mark.parametrize("scale", ["2", "x2", "2x", "X2", "2.0"])
def test_a_factor_may_be_written_as_people_do(photo: Path, weights: Path, scale: str) -> None:
    assert CliRunner().invoke(app, ["photo.png", "-s", scale, "-n", str(weights)]).exit_code == 0
    with Image.open(photo.with_name("photo_x2.png")) as large:
        assert large.size == (24, 20)


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["photo.png", "-s", "big"], "--scale big is not a factor", "--scale 4"),
        (["photo.png", "-o", "newdir"], "newdir has no ending", "in / for a folder"),
        (["photo.png", "-o", "x.xcf"], "x.xcf has no ending", ".png .jpg .webp .tif .avif .gif .bmp"),
        (["https://example.org/a.png"], "pictures from a URL need an output", "-o large/"),
        (["photo.png", "photo2.png", "-o", "z.png"], "one file z.png", "z.png/"),
        (["photo.png", "-j", "0"], "--jobs", "default"),
        (["photo.png", "--threads", "0"], "--threads must be from 1 to 1024", "one a core"),
        (["photo.png", "--threads", "100000"], "--threads must be from 1 to 1024", "one a core"),
        (["photo.png", "--name", ""], "a name template", "{stem}"),
        (["photo.png", "--name", "."], "a name template", "{stem}"),
    ],
)
def test_what_newcomers_type_is_understood(photo: Path, weights: Path, words: list[str], error: str, hint: str) -> None:
    shutil.copy(photo, photo.with_name("photo2.png"))
    result = CliRunner().invoke(app, [*words, "-n", str(weights)])
    assert error in refused(result, 2)
    assert hint in result.stderr.splitlines()[1]


@pytest.mark.parametrize(
    "head", [b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", b"\x1aE\xdf\xa3" + bytes(30), b"RIFF\0\0\0\0AVI LIST"]
)
def test_a_video_with_the_ending_of_a_picture_is_named_as_one(photo: Path, weights: Path, head: bytes) -> None:
    photo.with_name("film.png").write_bytes(head + bytes(100))
    result = CliRunner().invoke(app, ["film.png", "-o", "out.png", "-n", str(weights)])
    assert "it is a video" in refused(result, 1)
    assert "rename it" in result.stderr


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_line_of_progress_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    with console.Console().bars(120) as bars:
        bars.picture("holiday/" + "long" * 20 + "/final.png")
        bars.tiles(0.25, 12, 144)
        bars._progress.refresh()
        tiles = terminal.getvalue()
        bars.writing()
        bars._progress.refresh()
    lines = [line for line in plain(terminal.getvalue()).replace("\r", "\n").splitlines() if line.strip()]
    assert lines
    assert all(len(line) <= width for line in lines)
    for text in ("final.png", "tile 12/144", "0:00:00", "left"):
        assert any(text in line for line in plain(tiles).splitlines()), text
    assert any("writing" in line and "left" in line for line in lines)
    assert any("0/120" in line for line in lines)


def plain(text: str) -> str:
    """Without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
