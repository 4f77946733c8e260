"""Memory does not grow with a film, whatever it becomes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.films import film

pytestmark = [pytest.mark.stress, pytest.mark.skipif(os.name == "nt", reason="needs getrusage")]
ROOT = Path(__file__).parent.parent.parent
MEASURED = (
    "import resource, runpy, sys\n"
    "try: runpy.run_module('hatcli', run_name='__main__')\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stdout)"
)


def most_memory(source: Path, output: Path, weights: Path) -> int:
    """The most kilobytes that enlarging a film takes."""
    words = ["upscale", source, "-o", output, "-n", weights, "--scale", "2", "--quiet", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("ending", [".mkv", ".gif", ".webp"])
def test_a_film_eight_times_as_long_takes_no_more_memory(
    tmp_path: Path, weights: Path, ending: str, share: float
) -> None:
    count = max(100, round(300 * share))
    short = film(tmp_path / "short.mkv", "-c:v", "libx264", size="96x64", rate="25", frames=count)
    long = film(tmp_path / "long.mkv", "-c:v", "libx264", size="96x64", rate="25", frames=8 * count)
    usual, most = (most_memory(source, tmp_path / f"{source.stem}_x2{ending}", weights) for source in (short, long))
    print(f"{ending}: {usual / 1000:.0f} MB, eight times as long {most / 1000:.0f} MB")  # noqa: T201
    assert most <= usual + 25_000
