"""Tiny films made by the distribution's ffmpeg, and what its ffprobe says of films."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


def ffmpeg(*arguments: str | Path) -> None:
    """Run it; the test is skipped where it is not installed."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed")
    done = subprocess.run([program, "-v", "error", "-y", *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def film(path: Path, *options: str, size: str = "32x24", rate: str = "24000/1001", frames: int = 24) -> Path:
    """A moving test picture, encoded with these options."""
    source = f"testsrc2=size={size}:rate={rate}"
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", str(frames), *(options or ("-c:v", "libx264", "-bf", "2")), path)
    return path


def probed(path: Path, *entries: str) -> dict[str, Any]:
    """What ffprobe says."""
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("ffprobe is not installed")
    done = subprocess.run(
        [program, "-v", "error", *entries, "-of", "json", str(path)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def streams(path: Path) -> list[dict[str, Any]]:
    return list(probed(path, "-show_streams", "-count_packets")["streams"])


def times(path: Path) -> list[float]:
    """When each frame is shown, in seconds."""
    frames = probed(path, "-select_streams", "v:0", "-show_entries", "frame=pts_time")["frames"]
    return [float(frame["pts_time"]) for frame in frames]


def packets_hash(path: Path, stream: str) -> list[tuple[str, str]]:
    """Times and checksums of a stream's packets."""
    said = probed(
        path, "-select_streams", stream, "-show_data_hash", "MD5", "-show_entries", "packet=pts_time,data_hash"
    )
    return [(packet["pts_time"], packet["data_hash"]) for packet in said["packets"]]
