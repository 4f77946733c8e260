"""Formats whose library is missing: told by name with the line that installs it, on reading and on writing."""

from __future__ import annotations

import sys

import pytest
from support.pictures import picture, tiff_file

from hatcli.errors import InputError, OutputError
from hatcli.image import decode, encode, extras

RAW = tiff_file([bytes(4)], {256: (2,), 257: (2,), 258: (8,), 262: (1,), 277: (1,), 278: (2,), 50706: (1,)})
STARTS = {
    "HEIF": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "JXL": b"\0\0\0\x0cJXL \r\n\x87\n",
    "RAW": RAW,
    "EXR": b"v/1\x01\2\0\0\0",
}


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "has_module", lambda name: False)


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize("format", STARTS)
def test_reading_names_the_line_that_installs_it(format: str) -> None:
    with pytest.raises(InputError, match=f"needs {extras.LIBRARIES[format]}, which is not installed") as caught:
        decode.decode(STARTS[format], name="a.bin")
    assert caught.value.hint == "pip install 'hatcli[formats]'"


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize("format", ["HEIF", "JXL", "EXR"])
def test_writing_names_it_before_any_work(format: str) -> None:
    with pytest.raises(OutputError, match="not installed") as caught:
        encode.check_format(format, width=9, height=9, bits=8, alpha=False, gray=False)
    assert "pip install 'hatcli[formats]'" in (caught.value.hint or "")


@pytest.mark.usefixtures("_nothing_installed")
def test_the_core_formats_need_nothing() -> None:
    assert encode.encode(picture(), format="PNG")
    assert set(extras.missing()) == set(STARTS)


@pytest.mark.parametrize("format", STARTS)
def test_a_library_that_cannot_be_loaded_is_no_damage(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pillow_heif", "opencodecs", "opencodecs.codecs", "rawpy", "OpenEXR"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(extras, "has_module", lambda name: True)
    with pytest.raises(InputError, match="cannot be loaded"):
        decode.decode(STARTS[format])


def test_dicom_is_called_by_its_name_and_refused() -> None:
    with pytest.raises(InputError, match="DICOM") as caught:
        decode.decode(bytes(128) + b"DICM" + bytes(400), name="scan.dcm")
    assert caught.value.hint
