"""Picture formats: their names, suffixes and first bytes; decodes and encodes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

READABLE = (
    "PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "JPEG2000", "PPM", "ICO", "TGA", "QOI", "SGI", "PSD",
    "HEIF", "JXL", "RAW", "EXR",
)  # fmt: skip
WRITABLE = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "HEIF", "JXL", "EXR")
UNREADABLE = ("Radiance HDR", "DDS", "ICNS", "DICOM")  # pictures all the same
RAW_SUFFIXES = (
    ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".srw", ".raf", ".rw2", ".orf", ".ori",
    ".pef", ".3fr", ".fff", ".iiq", ".mef", ".mos", ".mrw", ".erf", ".kdc", ".dcr", ".rwl", ".x3f", ".gpr",
)  # fmt: skip
SUFFIXES = {
    ".png": "PNG", ".apng": "PNG",
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".mpo": "JPEG",
    ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".avif": "AVIF", ".gif": "GIF", ".bmp": "BMP", ".dib": "BMP",
    ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".jpx": "JPEG2000", ".j2c": "JPEG2000",
    ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM", ".pam": "PPM", ".pfm": "PPM",
    ".ico": "ICO", ".tga": "TGA", ".qoi": "QOI", ".sgi": "SGI", ".rgb": "SGI", ".psd": "PSD",
    ".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF", ".jxl": "JXL", ".exr": "EXR",
    **dict.fromkeys(RAW_SUFFIXES, "RAW"),
}  # fmt: skip
SUFFIX_OF = {
    "PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif", "GIF": ".gif", "BMP": ".bmp",
    "HEIF": ".heic", "JXL": ".jxl", "EXR": ".exr",
}  # fmt: skip
TITLES = {
    "WEBP": "WebP", "JPEG2000": "JPEG 2000", "TGA": "Targa", "PSD": "Photoshop", "HEIF": "HEIC", "JXL": "JPEG XL",
    "RAW": "camera raw", "EXR": "OpenEXR",
}  # fmt: skip
MOST_PIXELS = 178_956_970  # of a picture, unless more are asked for: where Pillow refuses, too: 13,377 squared
HEAD = 512  # bytes `identify` wants to see
TGA_FOOTER = b"TRUEVISION-XFILE.\0"

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"qoif", "QOI"),
    (b"8BPS", "PSD"),
    (b"\x01\xda", "SGI"),
    (b"\0\0\x01\0", "ICO"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    (b"v/1\x01", "EXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"DDS ", "DDS"),
    (b"BLP", "BLP"),
    (b"icns", "ICNS"),
    (b"SIMPLE  =", "FITS"),
    (b"FUJIFILMCCD-RAW", "RAW"),
    (b"IIRO", "RAW"),  # Olympus
    (b"IIRS", "RAW"),
    (b"MMOR", "RAW"),
    (b"IIU\0", "RAW"),  # Panasonic, Leica
    (b"\0MRM", "RAW"),  # Minolta
    (b"FOVb", "RAW"),  # Sigma
    (b"II\x1a\0\0\0HEAPCCDR", "RAW"),  # Canon's oldest
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"version https://git-lfs", "Git LFS pointer"),
    (b"\x1aE\xdf\xa3", "video"),  # Matroska, WebM
    (b"\0\0\x01\xba", "video"),  # MPEG
    (b"FLV\x01", "video"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_RAW_BRANDS = {b"crx "}
_RIFF = {b"WEBP": "WEBP", b"AVI ": "video", b"AVIX": "video", b"AVI\x19": "video"}


class DamageError(ValueError):
    """A file that contradicts itself; the text is fit for an error line, after `cannot read x.png: `."""


@dataclass(frozen=True)
class Refusal:
    """Why a file of a kind that is recognised, but not read, is refused, and what to do about it."""

    reason: str
    hint: str | None


_REFUSALS = {
    "Git LFS pointer": Refusal(
        "it is a Git LFS pointer, not the picture itself", "fetch the picture with: git lfs pull"
    ),
    "web page": Refusal("it is a web page, not a picture", "download the picture itself again"),
    "video": Refusal(
        "it is a video, not a picture",
        "a film ends in .mp4, .mkv, .mov or .webm: rename it, then hat enlarges it as one",
    ),
    "RAW": Refusal("it is a camera raw file of a kind that cannot be developed here", "develop it to TIFF first"),
    "DICOM": Refusal(
        "it is a DICOM file: medical pictures are not enlarged, since invented detail could be taken for a finding",
        "if it is no patient's, export it as PNG from a DICOM viewer first",
    ),
    **{
        name: Refusal(f"{name} holds drawings, not pixels", "render it to a PNG of the wanted size instead")
        for name in ("SVG", "PDF", "PostScript")
    },
}


def title(name: str) -> str:
    """How people write the format: `WebP` for `WEBP`."""
    return TITLES.get(name, name)


def identify(head: bytes) -> str | None:
    """The format by its first bytes (`HEAD` of them are enough), or None; also names kinds that are not `READABLE`."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _iso_brand(head)
    if re.match(rb"P[1-7fF]\s", head):
        return "PPM"
    if head[128:132] == b"DICM":
        return "DICOM"
    return _text_kind(head)


def _text_kind(head: bytes) -> str | None:
    """What a file that is text would be."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "web page"
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--")) and b"<svg" in text):
        return "SVG"
    return None


def identify_targa(head: bytes, tail: bytes, *, suffix: str) -> bool:
    """Whether it is Targa, which has no first bytes of its own: by its footer, or by its suffix and a sane header."""
    if len(head) < 18:
        return False
    map_kind, kind, depth = head[1], head[2], head[16]
    sane = map_kind in (0, 1) and kind in (1, 2, 3, 9, 10, 11) and depth in (1, 8, 15, 16, 24, 32)
    return sane and (tail.endswith(TGA_FOOTER) or suffix.lower() == ".tga")


def refusal(name: str | None) -> Refusal:
    """Why a file that `identify` calls `name` is not read."""
    if name is None:
        readable = ", ".join(title(known) for known in READABLE)
        return Refusal("it is not a picture in a known format", f"readable are {readable}")
    other = Refusal(f"{title(name)} pictures cannot be read", "convert it to PNG or JPEG first")
    return _REFUSALS.get(name, other)


def _iso_brand(head: bytes) -> str | None:
    """The format of an ISO media file, by the brands in its `ftyp` box."""
    length = max(16, min(int.from_bytes(head[:4], "big"), len(head)))
    brands = {head[at : at + 4] for at in (8, *range(16, length - 3, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEIF_BRANDS or brands & {b"mif1", b"msf1", b"miaf"}:
        return "HEIF"
    if brands & _RAW_BRANDS:
        return "RAW"
    return "video"
