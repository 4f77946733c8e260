"""Two thousand damaged files of each format of the extra, through the decoder process: each a picture or one line."""

from __future__ import annotations

import io
import random
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from support.mutations import mutated
from support.pictures import noise, picture, ramp
from support.psds import psd
from support.raws import dng, linear_dng

from hatcli.batch.decoder import DecoderProcess
from hatcli.errors import InputError
from hatcli.image import encode
from hatcli.image.light import PQ, Light
from hatcli.image.options import DecodeOptions, EncodeOptions
from hatcli.image.picture import Picture

for module in ("pillow_heif", "opencodecs", "rawpy", "OpenEXR", "psd_tools"):
    pytest.importorskip(module)
pytestmark = pytest.mark.stress
COUNT = 2_000


def _heic() -> list[bytes]:
    deep = encode.encode(picture(bits=16, alpha=True), format="HEIF")
    return [encode.encode(Picture(ramp()), format="HEIF"), deep, encode.encode(picture(gray=True), format="HEIF")]


def _jxl() -> list[bytes]:
    lossy = encode.encode(Picture(ramp()), format="JXL", options=EncodeOptions(quality=80))
    hdr = Picture(noise(9, 11, 3, bits=16), light=Light(9, PQ))
    return [encode.encode(picture(bits=16, alpha=True), format="JXL"), lossy, encode.encode(hdr, format="JXL")]


def _raw() -> list[bytes]:
    linear = linear_dng(np.full((24, 32, 3), 0.3), channels=3)
    turned = dng(np.full((24, 32, 3), 0.2), orientation=6)
    return [dng(np.full((24, 32, 3), 0.4), samples_last=True), turned, linear]


def _exr() -> list[bytes]:
    return [
        encode.encode(Picture(ramp(16, 16)), format="EXR"),
        encode.encode(picture(gray=True, alpha=True), format="EXR"),
    ]


def _psd() -> list[bytes]:
    return [
        psd(noise(12, 14, 3, bits=16)),
        psd(noise(12, 14, 1)),
        psd(noise(12, 14, 4, bits=16)),
        psd(noise(12, 14, 3), large=True),
    ]


def _pages() -> list[bytes]:
    file = io.BytesIO()
    first, *others = (Image.fromarray(noise(12, 14, 3, seed=seed)) for seed in range(3))
    first.save(file, "TIFF", save_all=True, append_images=others)
    return [file.getvalue()]


@pytest.mark.parametrize("originals", [_heic, _jxl, _raw, _exr, _psd, _pages], ids=lambda made: made.__name__)
def test_no_damage_ends_the_decoder(originals: Callable[[], list[bytes]], share: float) -> None:
    files, chance, ends, longest = originals(), random.Random(7), Counter[str](), 0.0
    decoder = DecoderProcess(max_pixels=1_000_000, options=DecodeOptions(pages=(1, None)))
    try:
        for number in range(round(COUNT * share)):
            began = time.monotonic()
            try:
                decoder.load(mutated(files[number % len(files)], chance), name="damaged")
                ends["read"] += 1
            except InputError as error:
                ends[error.message.removeprefix("cannot read damaged: ").split(":")[0][:60]] += 1
            longest = max(longest, time.monotonic() - began)
        last = decoder.load(files[0], name="sound")
        assert last.picture.width > 0, "it still reads sound files"
    finally:
        decoder.close()
    print(f"{originals.__name__}: longest {longest:.1f} s; {dict(ends.most_common())}")  # noqa: T201
    assert ends["read"] > 0
    assert not any("\n" in end for end in ends)
    assert sum(ends.values()) == round(COUNT * share)
