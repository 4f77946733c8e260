"""JPEG 2000 keeps all its bits, and its brightest samples are not taken for the darkest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.pictures import noise
from support.readers import vips_samples

from hatcli.errors import InputError
from hatcli.image import decode
from hatcli.image.picture import Samples

START = b"\xff\x4f\xff\x51"


def jpeg2000(samples: Samples, *, bits: int = 16) -> bytes:
    """16-bit RGB or RGB with alpha, nearly kept; or, with fewer bits, samples of these in a codestream that says so."""
    shift = 2**15 - 2 ** (bits - 1)  # of gray in the middle, which is all that differs
    order = [2, 1, 0] if samples.shape[2] == 3 else [2, 1, 0, 3]
    done, data = cv2.imencode(".jp2", (samples + shift).astype(np.uint16)[..., order])
    assert done
    coded = bytearray(data.tobytes())
    start = coded.find(START)
    for channel in range(samples.shape[2]):
        coded[start + 42 + 3 * channel] = bits - 1
    coded[coded.find(b"ihdr") + 14] = bits - 1
    return bytes(coded)


def smooth(channels: int, *, bits: int) -> Samples:
    """A picture that a lossy codec keeps nearly, its top white."""
    rows, columns = np.mgrid[0:80, 0:70]
    planes = [rows / 79, columns / 69, 1 - rows / 79, 1 - columns / 69][:channels]
    samples: NDArray[np.uint16] = np.rint(np.stack(planes, axis=2) * (2**bits - 1)).astype(np.uint16)
    samples[:16] = 2**bits - 1
    return samples


def furthest(got: Samples, wanted: NDArray[Any]) -> float:
    return float(np.abs(got.astype(np.float64) - wanted).max())


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_stay_and_white_stays_white(channels: int, tmp_path: Path) -> None:
    samples = smooth(channels, bits=16)
    data = jpeg2000(samples)
    got = decode.decode(data)
    assert furthest(got.to_numpy(), samples) < 2500
    assert got.notes == ()
    told = decode.describe(data)
    assert (told.bits, told.channels, told.alpha) == (16, 3, channels == 4)
    (tmp_path / "a.jp2").write_bytes(data)
    assert np.array_equal(vips_samples(tmp_path / "a.jp2", tmp_path), got.to_numpy())


@pytest.mark.parametrize("bits", [10, 12])
def test_fewer_bits_are_stretched_over_sixteen(bits: int) -> None:
    samples = smooth(3, bits=bits)
    got = decode.decode(jpeg2000(samples, bits=bits))
    assert got.bits == 16
    assert furthest(got.pixels, samples * (65535 / (2**bits - 1))) < 2500


def test_channels_of_several_depths_are_refused() -> None:
    data = bytearray(jpeg2000(noise(80, 70, 4, bits=16)))
    data[data.find(START) + 42 + 9] = 7
    with pytest.raises(InputError, match="this kind of JPEG 2000 is not supported"):
        decode.decode(bytes(data))


def test_deep_colours_of_video_are_refused_and_not_taken_for_rgb() -> None:
    data = jpeg2000(noise(80, 70, 3, bits=16))
    at = data.find(b"colr\x01")
    with pytest.raises(InputError, match="this kind of JPEG 2000 is not supported"):
        decode.decode(data[: at + 7] + b"\0\0\0\x12" + data[at + 11 :])


def test_a_deep_file_that_is_cut_off_is_refused() -> None:
    data = jpeg2000(noise(80, 70, 3, bits=16))
    with pytest.raises(InputError, match="cannot read the picture"):
        decode.decode(data[: len(data) // 2])
