"""Results far larger than memory: rows go to the file as they are made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

pytestmark = pytest.mark.stress
PROGRAM = """
import sys
from pathlib import Path
import torch
from torch import nn
from hatcli.batch import outcomes
from hatcli.batch import run as running
from hatcli.batch.inputs import InputFile
from hatcli.batch.plan import Job, Plan
from hatcli.upscaling.device import choose
from hatcli.upscaling.size import Target
from hatcli.upscaling.settings import Settings
from hatcli.upscaling.upscaler import Upscaler

source, output = Path(sys.argv[1]), Path(sys.argv[2])
upscaler = Upscaler({4: nn.Upsample(scale_factor=4)}, choice=choose("cpu", "fp32"), settings=Settings(tile=256))
for event in running.run([Job(InputFile(source, source), output)], upscaler, Plan(Target())):
    if isinstance(event, outcomes.Outcome):
        assert event.status == "done", event.error
"""


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_gigapixel_takes_little_memory(tmp_path: Path, share: float, ending: str) -> None:
    side = 8192 if share >= 1 else 3072
    picture = Image.linear_gradient("L").resize((side, side)).convert("RGB")
    picture.putpixel((side - 1, side - 1), (1, 2, 3))
    picture.save(tmp_path / "a.png", compress_level=1)
    output = tmp_path / f"b.{ending}"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "a.png"), str(output)])
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        psutil.wait_procs([watched], timeout=0.05)
    assert process.wait() == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        with Image.open(output) as result:
            assert result.size == (4 * side, 4 * side)
            if ending == "png":
                result.verify()  # every checksum
    print(f"{4 * side} x {4 * side} {ending}: {peak / 1e6:.0f} MB, {output.stat().st_size / 1e6:.0f} MB file")  # noqa: T201
    assert peak < 1.5e9
