"""Programs nobody here wrote, asked what is in a picture file; a test is skipped where one is not installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16}


def said_by(program: str, *arguments: str | Path) -> bytes:
    """What a program prints; the test fails where it reports an error."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *map(str, arguments)], capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout


def ffmpeg_frames(path: Path, *, width: int, height: int) -> NDArray[np.uint8]:
    """Every frame as ffmpeg shows it, composed: `[N, H, W, 4]`, RGB and alpha."""
    raw = said_by(
        "ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgba", "-"
    )
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 4)


def ffmpeg_frames_of_16_bits(path: Path, *, width: int, height: int) -> NDArray[np.uint16]:
    """The same with 16 bits a sample."""
    raw = said_by(
        "ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgba64le", "-"
    )
    return np.frombuffer(raw, "<u2").reshape(-1, height, width, 4).astype(np.uint16)


def ffprobe_durations(path: Path) -> list[float]:
    """Seconds each packet of the first video stream is shown."""
    said = said_by("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_packets", "-of", "json", path)
    return [float(packet["duration_time"]) for packet in json.loads(said)["packets"]]


def vips_samples(path: Path, folder: Path, *, options: str = "") -> NDArray[Any]:
    """The samples as libvips reads them `[H, W, bands]`, neither turned nor converted.

    With the option `n=-1` all frames stand below each other.
    """
    raw = folder / "samples.raw"
    said_by("vips", "rawsave", f"{path}[{options}]", raw)
    fields = vips_header(path)
    size = (-1, int(fields["width"]), int(fields["bands"]))
    return np.fromfile(raw, _DTYPES[fields["format"]]).reshape(size)


def vips_header(path: Path) -> dict[str, str]:
    """What libvips says of a file: `width`, `bands`, `format`, `interpretation`, ...; nothing if it cannot read it."""
    found = shutil.which("vipsheader")
    if found is None:
        pytest.skip("vipsheader is not installed")
    said = subprocess.run([found, "-a", path], capture_output=True, check=False, timeout=120).stdout.decode(
        errors="replace"
    )
    return dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)


def exiftool_tags(path: Path) -> dict[str, Any]:
    """Every tag by its name, numbers as numbers; ExifTool must find no error in the file."""
    checked = json.loads(said_by("exiftool", "-json", "-n", "-validate", path))[0]
    assert str(checked["Validate"]).startswith("0 "), checked  # errors, warnings, minor ones
    tags: dict[str, Any] = json.loads(said_by("exiftool", "-json", "-n", path))[0]
    return tags


def check_png(path: Path) -> None:
    """pngcheck finds nothing wrong."""
    said_by("pngcheck", "-q", path)


def tiff_fields(path: Path) -> str:
    """What tiffinfo prints of a sound file."""
    return said_by("tiffinfo", path).decode(errors="replace")
