"""PAM of every depth and number of channels, and PFM in colour, are read exactly, or refused in plain words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.pictures import noise
from support.readers import ffmpeg_frames

from hatcli.errors import InputError
from hatcli.image import decode


def pam(width: int, height: int, depth: int, peak: int, body: bytes, *, kind: str = "RGB") -> bytes:
    head = f"P7\n# made\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {peak}\nTUPLTYPE {kind}\nENDHDR\n"
    return head.encode() + body


@pytest.mark.parametrize("peak", [1, 15, 255, 1000, 65535])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_pam_is_stretched_over_the_full_range(channels: int, peak: int) -> None:
    stored = np.random.default_rng(0).integers(0, peak + 1, (5, 7, channels))
    full = 255 if peak < 256 else 65535
    data = pam(7, 5, channels, peak, stored.astype("u1" if peak < 256 else ">u2").tobytes())
    got, told = decode.decode(data), decode.describe(data)
    wanted = np.rint(stored * (full / peak))
    has_alpha = channels in (2, 4)
    assert np.array_equal(got.to_numpy().reshape(wanted.shape), wanted)
    assert (told.width, told.height, told.bits, told.alpha) == (7, 5, got.bits, has_alpha)
    assert told.channels == got.pixels.shape[2] == channels - has_alpha


def test_ffmpeg_sees_the_same_in_a_pam(tmp_path: Path) -> None:
    samples = noise(5, 7, 4)
    (tmp_path / "a.pam").write_bytes(pam(7, 5, 4, 255, samples.tobytes(), kind="RGB_ALPHA"))
    assert decode.sniff(tmp_path / "a.pam") == "PPM"
    shown = ffmpeg_frames(tmp_path / "a.pam", width=7, height=5)[0]
    assert np.array_equal(decode.read(tmp_path / "a.pam").to_numpy(), shown)


@pytest.mark.parametrize(("scale", "kind"), [("-1.0", "<f4"), ("1", ">f4")])
def test_a_pfm_in_colour_begins_at_the_bottom(scale: str, kind: str) -> None:
    values = np.random.default_rng(0).random((5, 7, 3)).astype(np.float32)
    got = decode.decode(f"PF\n7 5\n{scale}\n".encode() + values[::-1].astype(kind).tobytes())
    assert np.array_equal(got.pixels, np.rint(values.astype(np.float64) * 65535))
    assert got.notes == ("floating-point samples read with white at 1",)


@pytest.mark.parametrize(("data", "reason"), [
    (pam(7, 5, 3, 255, bytes(100)), "the file is cut off"),
    (pam(7, 5, 0, 255, b""), "its header is damaged"),
    (pam(7, 5, 3, 70000, bytes(999)), "its header is damaged"),
    (b"P7\nWIDTH 7\nHEIGHT 5\n" + bytes(200), "its header is damaged"),
    (b"P7 332\n", "its header is damaged"),
    (pam(7, 5, 5, 255, bytes(200)), "this kind of PPM is not supported"),
    (pam(7, 5, 4, 255, bytes(200), kind="CMYK"), "this kind of PPM is not supported"),
    (pam(70000, 70000, 3, 255, b""), "over the limit"),
    (b"PF\n7 5\n-1.0\n" + bytes(10), "the file is cut off"),
    (b"PF\n7 x\n-1.0\n" + bytes(10), "its header is damaged"),
])  # fmt: skip
def test_other_pams_are_refused_in_plain_words(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        decode.decode(data)
    if "cut off" not in reason:
        with pytest.raises(InputError, match=reason):
            decode.describe(data)
