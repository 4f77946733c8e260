"""Gain maps, which make a standard picture brighter on some displays: found, told, and their marks taken away."""

from __future__ import annotations

import re

NOTE = "it has an HDR gain map, which is left out: the result is the standard picture, without the extra brightness"
_MARKS = (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"urn:iso:std:iso:ts:21496:-1", b"http://ns.apple.com/HDRGainMap/")
_VERSION = re.compile(rb"\s(?:hdrgm|HDRGainMap):[A-Za-z]{1,40}\s*=\s*(?:\"[^\"<]{0,99}\"|'[^'<]{0,99}')")
_ITEMS = re.compile(rb"<(?:Container|GContainer):Directory>.{0,8192}?</(?:Container|GContainer):Directory>", re.DOTALL)


def in_jpeg(data: bytes) -> bool:
    """Whether a JPEG says that it has one: Ultra HDR, ISO 21496-1 or Apple's."""
    return any(mark in data for mark in _MARKS)


def without_marks(xmp: bytes) -> bytes:
    """The packet saying nothing of a gain map, which is not in the result."""
    if not any(mark in xmp for mark in _MARKS):
        return xmp
    return _VERSION.sub(b"", _ITEMS.sub(b"", xmp))
