"""What the steps of a picture take on a worker: pieces of the very pictures are read, enlarged, encoded and stored."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hatcli.batch.decoder import Decoder
from hatcli.cluster.simulation import Service, Stage
from hatcli.errors import HatError
from hatcli.image import encode
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

MOST_PICTURES = 12
_LONGEST = 20.0  # seconds for all of them
_LARGEST_PIECE = 192  # pixels a side of what goes through the network


@dataclass(frozen=True)
class Trial:
    """What one picture took, in seconds, as if its piece were all of it; its pixels and bytes.

    Attributes:
        pixels: of the picture.
        piece: pixels of what was enlarged of it.
        read, network, encode, store: seconds: of the whole file, and of the piece.
        file_bytes, result_bytes: of the whole file, and of what the piece became.
    """

    pixels: int
    piece: int
    read: float
    network: float
    encode: float
    store: float
    file_bytes: int
    result_bytes: int


def try_out(
    paths: Sequence[Path], containers: Sequence[str], upscaler: Upscaler, decoder: Decoder, target: Target,
    options: EncodeOptions,
) -> list[Trial]:  # fmt: skip
    """What a few pictures take here; those that cannot be read are left out."""
    trials: list[Trial] = []
    began = time.monotonic()
    for number, (path, container) in enumerate(zip(paths, containers, strict=True)):
        if number and time.monotonic() - began > _LONGEST:
            break
        for _ in range(1 if trials else 2):  # the first one warms up
            try:
                trial = _try(path, container, upscaler, decoder, target, options)
            except (HatError, OSError):  # the run will report it
                continue
        trials.append(trial)
    return trials


def _try(
    path: Path, container: str, upscaler: Upscaler, decoder: Decoder, target: Target, options: EncodeOptions
) -> Trial:
    times = [time.monotonic()]
    picture = decoder.load(path, name=str(path)).picture
    times.append(time.monotonic())
    piece = _piece(picture)
    factor = target.factor(picture.width, picture.height)
    wanted = Target(scale=factor) if factor is not None and factor > 1 else target
    result = upscaler.upscale(piece, wanted)
    times.append(time.monotonic())
    content = io.BytesIO()
    encode.write_into(content, result, format=container, options=options)
    times.append(time.monotonic())
    with tempfile.TemporaryFile() as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    times.append(time.monotonic())
    read, network, encoded, stored = np.diff(times).tolist()
    pixels = (picture.width * picture.height, piece.width * piece.height)
    return Trial(*pixels, read, network, encoded, stored, path.stat().st_size, len(content.getbuffer()))


def _piece(picture: Picture) -> Picture:
    """The middle of a picture, if it is large."""
    top, left = (max(0, (side - _LARGEST_PIECE) // 2) for side in (picture.height, picture.width))
    rows, columns = slice(top, top + _LARGEST_PIECE), slice(left, left + _LARGEST_PIECE)
    alpha = None if picture.alpha is None else picture.alpha[rows, columns]
    return replace(picture, pixels=picture.pixels[rows, columns], alpha=alpha)


def service_of(trials: Sequence[Trial], *, shares_cores: bool, writers: int, start: float) -> Service:
    """Service times that these trials stand for.

    Args:
        shares_cores: see `Service`.
        start: seconds until a worker has its network.
    """
    whole = np.array([trial.pixels for trial in trials], dtype=np.float64)
    pieces = np.array([trial.piece for trial in trials], dtype=np.float64)

    def stage(pixels: np.ndarray[tuple[int], np.dtype[np.float64]], seconds: list[float]) -> Stage:
        return Stage(*_line(pixels, np.array(seconds)))

    return Service(
        read=stage(whole, [trial.read for trial in trials]),
        network=stage(pieces, [trial.network for trial in trials]),
        encode=stage(pieces, [trial.encode for trial in trials]),
        store=stage(pieces, [trial.store for trial in trials]),
        start=start,
        shares_cores=shares_cores,
        writers=writers,
        read_bytes=sum(trial.file_bytes for trial in trials) / float(whole.sum()),
        stored_bytes=sum(trial.result_bytes for trial in trials) / float(pieces.sum()),
    )


def _line(
    pixels: np.ndarray[tuple[int], np.dtype[np.float64]], seconds: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[float, float]:
    """Seconds a picture and seconds a pixel, neither below 0; all to the pixels where sizes do not differ."""
    if np.ptp(pixels) > 0.25 * pixels.mean():
        slope, fixed = np.polyfit(pixels, seconds, 1)
        if slope >= 0 and fixed >= 0:
            return float(fixed), float(slope)
    return 0.0, float(seconds.sum() / pixels.sum())
