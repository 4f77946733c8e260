"""The process pictures are decoded in: it may crash, hang or be killed, and the next picture is decoded alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.pictures import noise

from hatcli.batch import decoder as decoding
from hatcli.batch import decoder_process, reading
from hatcli.batch.decoder import DecoderHere, DecoderProcess
from hatcli.errors import InputError
from hatcli.image import decode

posix = pytest.mark.skipif(os.name == "nt", reason="needs named pipes and signals")


@pytest.fixture
def decoder() -> Iterator[DecoderProcess]:
    decoder = DecoderProcess()
    yield decoder
    decoder.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(noise(5, 6, 3)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def process_id(decoder: DecoderProcess) -> int:
    assert decoder._process is not None
    return decoder._process.pid


def hang(decoder: DecoderProcess) -> None:
    """Stop the decoder's process: from outside it looks as if it did not come to an end."""
    decoder.start()
    os.kill(process_id(decoder), signal.SIGSTOP)


def kill_soon(decoder: DecoderProcess, number: int, *, times: int = 1) -> None:
    """Send a signal to the decoder's process in a while, and to those that take its place at once."""

    def kill() -> None:
        killed: set[int] = set()
        time.sleep(0.3)
        while len(killed) < times:
            process = decoder._process
            if process is not None and process.pid not in killed:
                killed.add(process.pid)
                os.kill(process.pid, number)
                os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.001)

    threading.Thread(target=kill, daemon=True).start()


def test_pixels_arrive_as_they_are_in_the_file(decoder: DecoderProcess, picture: Path) -> None:
    loaded = decoder.load(picture, name="a")
    with Image.open(picture) as image:
        assert (loaded.picture.pixels == np.asarray(image)).all()
    assert loaded.picture.pixels.flags.writeable
    assert loaded.stamp == reading.stamp_of(picture.read_bytes(), modified=picture.stat().st_mtime_ns)
    again = decoder.load(picture.read_bytes(), name="stdin")
    assert (again.picture.pixels == loaded.picture.pixels).all()


def test_a_look_says_what_loading_would(decoder: DecoderProcess, picture: Path) -> None:
    assert decoder.look(picture) == decode.probe(picture)
    picture.unlink()
    assert decoder.look(picture).width == 6  # no file is looked at twice


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_decoder_killed_once_blames_no_picture(decoder: DecoderProcess, picture: Path, number: int) -> None:
    hang(decoder)
    first = process_id(decoder)
    kill_soon(decoder, number)
    assert decoder.load(picture, name="a").picture.height == 5
    assert process_id(decoder) != first


@posix
@pytest.mark.parametrize(
    ("number", "told"), [(signal.SIGKILL, "want of memory"), (signal.SIGSEGV, r"crashed twice \(signal 11\)")]
)
def test_a_picture_that_kills_two_decoders_is_to_blame(
    decoder: DecoderProcess, picture: Path, number: int, told: str
) -> None:
    hang(decoder)
    kill_soon(decoder, number, times=2)
    with pytest.raises(InputError, match=told):
        decoder.load(picture, name="b")
    assert decoder.load(picture, name="a").picture.height == 5


@posix
@pytest.mark.parametrize("look", [True, False])
def test_a_decoder_that_hangs_is_ended(
    decoder: DecoderProcess, picture: Path, monkeypatch: pytest.MonkeyPatch, look: bool
) -> None:
    decoder.look(picture)
    hang(decoder)
    monkeypatch.setattr(decoding, "_PATIENCE", 0.2)
    other = picture.rename(picture.with_name("other.png"))
    with pytest.raises(InputError, match="did not end in 0 seconds"):
        decoder.look(other) if look else decoder.load(other, name="b")
    monkeypatch.undo()
    assert decoder.load(other, name="a").picture.height == 5


@posix
def test_closing_ends_a_decoder_in_the_middle_of_a_picture(decoder: DecoderProcess, picture: Path) -> None:
    hang(decoder)
    threading.Timer(0.3, decoder.close).start()
    for ask in (decoder.look, lambda path: decoder.load(path, name="b")):
        with pytest.raises(InputError, match="the run has ended"):
            ask(picture)


@posix
def test_a_look_at_a_pipe_takes_nothing_from_it(decoder: DecoderProcess, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="is a pipe"):
        decoder.look(tmp_path / "pipe.png")


@posix
def test_ctrl_c_while_the_decoder_starts_is_not_heard_by_it(tmp_path: Path, picture: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from hatcli.batch.decoder import DecoderProcess\n"
        "decoder = DecoderProcess(); decoder.start(); print('started', flush=True)\n"
        "try: time.sleep(30)\n"
        "except KeyboardInterrupt: print(decoder.look(Path(sys.argv[1])).width); decoder.close()\n"
    )
    for wait in (0.0, 0.1, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(picture)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        stdout, stderr = process.communicate(timeout=60)
        assert (stdout, stderr) == ("6\n", "")


def test_nothing_of_the_folder_it_is_started_in_is_run(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    decoder = DecoderProcess()
    try:
        assert decoder.look(picture).width == 6
    finally:
        decoder.close()


def test_what_no_decoder_should_raise_is_a_bad_picture(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object, **__: object) -> None:
        raise TypeError("odd")

    monkeypatch.setattr(decode, "decode", odd)
    with pytest.raises(InputError, match=r"TypeError: odd"):
        DecoderHere().load(picture, name="x.png")
    monkeypatch.setattr(decode, "probe", odd)
    with pytest.raises(InputError, match=r"TypeError: odd"):
        DecoderHere().look(picture)


def test_the_process_needs_no_torch() -> None:
    program = f"import sys; import {decoder_process.__name__}; print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "False"
