"""What the steps of a picture take on a worker: pieces of the very pictures are read, enlarged, encoded and stored.

In an object store nothing is stored to find out: what that takes is told from how the pictures came.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hatcli.batch.decoder import Decoder
from hatcli.batch.inputs import InputFile
from hatcli.cluster.simulation import Service, Stage
from hatcli.errors import HatError
from hatcli.image import encode
from hatcli.image.options import EncodeOptions
from hatcli.image.picture import Picture
from hatcli.upscaling.size import Target
from hatcli.upscaling.upscaler import Upscaler

MOST_PICTURES = 12
MOST_BYTES = 256 << 20  # of all that are fetched from stores
_LONGEST = 20.0  # seconds for all of them
_LARGEST_PIECE = 192  # pixels a side of what goes through the network
_SENT_A_SECOND = 50e6  # bytes, where no picture was fetched that could tell
_ROUND_TRIPS = 2  # of a result that goes to a store: it is sent, and looked at


@dataclass(frozen=True)
class Trial:
    """What one picture took, in seconds, as if its piece were all of it; its pixels and bytes.

    Attributes:
        ending: of its name.
        pixels: of the picture.
        piece: pixels of what was enlarged of it.
        read, network, encode, store: seconds: of the whole file, and of the piece.
        file_bytes, result_bytes: of the whole file, and of what the piece became.
        fetch: seconds that the object took to come; 0 for a file.
        round_trip: seconds of a question to the store that results go to; None: they go to a folder.
    """

    ending: str
    pixels: int
    piece: int
    read: float
    network: float
    encode: float
    store: float
    file_bytes: int
    result_bytes: int
    fetch: float = 0.0
    round_trip: float | None = None


@dataclass(frozen=True)
class Tried:
    """What a worker has tried out, and why it could not read the last one of those that it could not."""

    trials: list[Trial]
    refused: HatError | None = None


@dataclass(frozen=True)
class Attempt:
    """How a worker tries pictures out.

    Attributes:
        ask: a question to the store that results go to; None: they go to a folder.
    """

    upscaler: Upscaler
    decoder: Decoder
    target: Target
    options: EncodeOptions
    ask: Callable[[], object] | None = None

    def all(self, files: Sequence[InputFile], containers: Sequence[str]) -> Tried:
        """What a few pictures take here; those that cannot be read are left out."""
        trials: list[Trial] = []
        refused: HatError | None = None
        began = time.monotonic()
        for number, (file, container) in enumerate(zip(files, containers, strict=True)):
            if number and time.monotonic() - began > _LONGEST:
                break
            try:
                content, seconds = _fetched(file)
                if not trials:  # the first one warms up
                    self._one(file, content, container)
                trial = self._one(file, content, container)
                round_trip = None if self.ask is None else _seconds(self.ask)
            except (HatError, OSError) as error:  # the run will report it
                refused = error if isinstance(error, HatError) else refused
                continue
            trials.append(replace(trial, fetch=seconds, round_trip=round_trip))
        return Tried(trials, refused)

    def _one(self, file: InputFile, content: bytes | None, container: str) -> Trial:
        return _try(file, content, container, self.upscaler, self.decoder, self.target, self.options)


def _fetched(file: InputFile) -> tuple[bytes | None, float]:
    """An object, and the seconds it took to come; None: it is a file, which whoever decodes it reads.

    Raises:
        InputError: it cannot be read.
    """
    if file.stored is None:
        return None, 0.0
    began = time.monotonic()
    content, _ = file.stored.holder.read(file.stored.key, most=MOST_BYTES)
    return content, time.monotonic() - began


def _seconds(question: Callable[[], object]) -> float:
    began = time.monotonic()
    question()
    return time.monotonic() - began


def _try(
    file: InputFile, content: bytes | None, container: str, upscaler: Upscaler, decoder: Decoder, target: Target,
    options: EncodeOptions,
) -> Trial:  # fmt: skip
    times = [time.monotonic()]
    source = content if file.path is None else file.path
    assert source is not None, "a picture is a file, or was fetched"
    picture = decoder.load(source, name=file.label).picture
    times.append(time.monotonic())
    piece = _piece(picture)
    factor = target.factor(picture.width, picture.height)
    wanted = Target(scale=factor) if factor is not None and factor > 1 else target
    result = upscaler.upscale(piece, wanted)
    times.append(time.monotonic())
    made = io.BytesIO()
    encode.write_into(made, result, format=container, options=options)
    times.append(time.monotonic())
    with tempfile.TemporaryFile() as written:
        written.write(made.getbuffer())
        written.flush()
        os.fsync(written.fileno())
    times.append(time.monotonic())
    read, network, encoded, stored = np.diff(times).tolist()
    return Trial(
        ending=file.relative.suffix.lower(),
        pixels=picture.width * picture.height,
        piece=piece.width * piece.height,
        read=read,
        network=network,
        encode=encoded,
        store=stored,
        file_bytes=file.bytes if content is None else len(content),
        result_bytes=len(made.getbuffer()),
    )


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
        fetch=stage(whole, [trial.fetch for trial in trials]),
        send=_sending(trials),
        start=start,
        shares_cores=shares_cores,
        writers=writers,
        read_bytes=sum(trial.file_bytes for trial in trials) / float(whole.sum()),
        stored_bytes=sum(trial.result_bytes for trial in trials) / float(pieces.sum()),
    )


def _sending(trials: Sequence[Trial]) -> Stage:
    """What sending a result to a store takes: round trips, and its bytes as fast as those of the pictures came."""
    trips = [trial.round_trip for trial in trials if trial.round_trip is not None]
    if not trips:
        return Stage(0.0, 0.0)
    trip = sum(trips) / len(trips)
    fetched = [trial for trial in trials if trial.fetch > 0]
    seconds = sum(max(0.0, trial.fetch - trip) for trial in fetched)
    a_byte = seconds / sum(trial.file_bytes for trial in fetched) if fetched else 1 / _SENT_A_SECOND
    result_bytes = sum(trial.result_bytes for trial in trials) / sum(trial.piece for trial in trials)
    return Stage(_ROUND_TRIPS * trip, a_byte * result_bytes)


def _line(
    pixels: np.ndarray[tuple[int], np.dtype[np.float64]], seconds: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[float, float]:
    """Seconds a picture and seconds a pixel, neither below 0; all to the pixels where sizes do not differ."""
    if np.ptp(pixels) > 0.25 * pixels.mean():
        slope, fixed = np.polyfit(pixels, seconds, 1)
        if slope >= 0 and fixed >= 0:
            return float(fixed), float(slope)
    return 0.0, float(seconds.sum() / pixels.sum())
