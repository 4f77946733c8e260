"""Small commands and the Python API, from the outside."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commands import PHOTO
from typer.testing import CliRunner

import hatcli
from hatcli.cli import app
from hatcli.cli.shared.console import show
from hatcli.evaluation import speed
from hatcli.evaluation.speed import Contestant, PeakMemory, Timing, compete, measure_limits


def test_doctor_names_device_versions_and_models() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    facts = json.loads(result.stdout)
    assert facts["device"] in ("cpu", "cuda:0", "mps")
    assert facts["packages"]["torch"] == torch.__version__
    assert {"hat-t-x2", "hat-t-x3", "hat-t-x4"} <= set(facts["models"])
    assert "device" in CliRunner().invoke(app, ["doctor"]).stdout


def test_doctor_breaks_no_word_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = CliRunner().invoke(app, ["doctor"]).stdout.splitlines()
    assert all(len(line) <= 60 for line in lines if " " in line[13:])
    assert any(line.startswith("packages ") for line in lines)


def test_version_is_printed() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == f"hat {hatcli.__version__}"


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_python_api_enlarges_a_photo_with_the_bundled_weights(tmp_path: Path, scale: int) -> None:
    upscaler = hatcli.load("hat-t", scale=scale, device="cpu")
    from hatcli.upscaling.size import Target

    written = upscaler.upscale_file(PHOTO, tmp_path / "large.png", Target(scale=scale))
    with Image.open(written) as large, Image.open(PHOTO) as small:
        assert large.size == (small.width * scale, small.height * scale)
        back = np.asarray(large.resize(small.size, Image.Resampling.BOX), dtype=int)
        assert np.abs(back - np.asarray(small, dtype=int)).mean() < 2.5


def test_bench_prints_a_row_a_network_and_the_limit() -> None:
    arguments = ["bench", "-n", "hat-t", "--sizes", "16", "--repeats", "1", "--no-reference", "--quiet"]
    facts = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert facts["limits"]["fp32"] > 0
    assert [row["network"] for row in facts["results"]] == ["hat fp32"]
    assert CliRunner().invoke(app, [*arguments, "--markdown"]).stdout.startswith("| model")


def test_bench_says_once_what_is_running() -> None:
    arguments = ["bench", "-n", "hat-t", "--sizes", "8,16", "--repeats", "2", "--no-reference"]
    said = CliRunner().invoke(app, arguments).stderr
    assert said.count("running") == 1
    assert "hat-t x4 at 8, 16 pixels, 2 times each" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--sizes", "large"], "is not a list of sizes"),
        (["--sizes", "0"], "is not a list of sizes"),
        (["--precision", "fp16"], "there is no precision fp16"),
        (["--repeats", "0"], "--repeats must be at least 1"),
        (["-n", "hat-xxl"], "hat-xxl"),
        (["-n", ","], "no model was named"),
        (["-s", "5"], "--scale 5 is not a whole factor from 2 to 4"),
    ],
)
def test_bench_refuses_what_cannot_be_meant(wrong: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["bench", *wrong])
    assert result.exit_code == 2
    assert [line.split(":")[0] for line in result.stderr.splitlines() if "running" not in line] == ["error", "hint"]
    assert said in result.stderr


def test_contestants_take_turns_and_ratios_refer_to_the_reference() -> None:
    calls: list[str] = []

    def contestant(name: str) -> Contestant:
        def run(image: torch.Tensor) -> torch.Tensor:
            calls.append(name)
            return image

        return Contestant(name, run, 1.0, torch.float32)

    events = list(compete([contestant("reference"), contestant("b")], 8, device=torch.device("cpu"), repeats=2))
    assert calls == ["reference", "b"] * 2
    timings = [event for event in events if isinstance(event, Timing)]
    assert timings[0].ratio == pytest.approx(1)
    assert all(timing.share is not None and timing.gflops is not None for timing in timings)


@pytest.mark.parametrize("mark", [True, False])
def test_peak_memory_sees_what_is_taken(monkeypatch: pytest.MonkeyPatch, mark: bool) -> None:
    if not mark:  # as where the kernel keeps none
        monkeypatch.setattr(speed, "_forget_high_water", lambda: False)
    with PeakMemory(torch.device("cpu")) as peak, mmap.mmap(-1, 80 << 20) as taken:  # nothing an allocator has kept
        for _ in range(20):
            taken.seek(0)
            taken.write(bytes(80 << 20))
    assert peak.bytes > 60 << 20


def test_the_machine_has_limits() -> None:
    limits = measure_limits(torch.device("cpu"))
    assert limits.fp32 > 0
    assert limits.bandwidth > 0


def test_outside_strings_cannot_reach_the_terminal_raw() -> None:
    assert show("a\x1b[31mb") == "a\\x1b[31mb"
    assert show("x\u202ey") == "x\\u202ey"
    assert show(Path("photo[final].png")) == "photo[final].png"
    assert show("bad\udcff") == "bad\\udcff"


def test_help_reads_no_markdown_parser_and_leaves_the_real_one_to_others() -> None:
    program = (
        "import sys; sys.argv = ['hat', '--help']\n"
        "from hatcli.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'markdown_it' not in sys.modules and 'torch' not in sys.modules\n"
        "import typer.rich_utils\n"
        "assert type(typer.rich_utils.Markdown('*a*')).__module__ == 'rich.markdown'\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "upscale" in result.stdout
