"""Thousands of damaged files in one run: each is a picture or one line, none ends the run."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from support.mutations import mutated
from support.pictures import noise

pytestmark = pytest.mark.stress
KINDS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "GIF": ".gif", "AVIF": ".avif"}


def originals() -> list[tuple[str, bytes]]:
    files = []
    for kind, suffix in KINDS.items():
        for mode in ("RGB", "L"):
            image = Image.fromarray(noise(12, 14, 3)).convert(mode)
            for frames in ([], [image.rotate(90)]):
                file = io.BytesIO()
                several = kind in ("PNG", "GIF", "WEBP", "TIFF") and frames
                image.save(file, kind, **({"save_all": True, "append_images": frames} if several else {}))
                files.append((suffix, file.getvalue()))
    return files


def test_no_damage_ends_a_run(tmp_path: Path, weights: Path, share: float) -> None:
    folder, chance, files = tmp_path / "in", random.Random(2), originals()
    folder.mkdir()
    count = round(10_000 * share)
    for number in range(count):
        suffix, data = files[number % len(files)]
        (folder / f"{number:05}{suffix}").write_bytes(mutated(data, chance))
    (tmp_path / "list.txt").write_text("\n".join(str(path) for path in sorted(folder.iterdir())))  # none passed over
    command = [sys.executable, "-m", "hatcli", "upscale", f"@{tmp_path / 'list.txt'}", "-o", str(tmp_path / "out")]
    options = ["-n", str(weights), "--json", "--cpu", "--threads", "1", "--format", "png", "--name", "{stem}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    told, longest, last = [], 0.0, None
    with subprocess.Popen(
        [*command, *options, "--max-megapixels", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment, bufsize=1,
    ) as process, open(tmp_path / "stderr", "w", encoding="utf-8") as errors:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        copying = threading.Thread(target=lambda source: errors.writelines(source), args=(process.stderr,))
        copying.start()
        for line in process.stdout:
            event = json.loads(line)
            told.append(event)
            if last is not None:
                longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
        copying.join()
    assert process.wait() == 1
    text = (tmp_path / "stderr").read_text(encoding="utf-8")
    assert "Traceback" not in text
    ended = [event for event in told if event["event"] in ("done", "failed", "skipped")]
    assert len({event["input"] for event in ended}) == count
    failed = [event for event in ended if event["event"] == "failed"]
    assert told[-1]["failed"] == len(failed) == text.count("error: ") == len(told[-1]["failures"])
    assert longest < 10
    odd = sorted({event["error"].split(": ", 1)[1] for event in failed if "decoder" in event["error"]})
    print(f"{count} files, {len(failed)} failed, longest pause {longest:.2f} s; caught at the last: {odd}")  # noqa: T201
