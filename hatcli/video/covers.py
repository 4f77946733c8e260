"""Cover pictures: in Matroska they are attached files, elsewhere streams of one packet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatcli.video.opening import opened

if TYPE_CHECKING:
    from av.container import OutputContainer

_KINDS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png"), "bmp": ("cover.bmp", "image/bmp"),
          "webp": ("cover.webp", "image/webp"), "gif": ("cover.gif", "image/gif")}  # fmt: skip


def is_cover(stream: Any) -> bool:
    """Whether a stream is a picture that belongs to the film as a whole."""
    from av.stream import Disposition

    return bool(stream.type == "video" and stream.disposition & Disposition.attached_pic)


def attach(made: OutputContainer, path: Path, stream: Any) -> None:
    """Put the cover that is a stream of this file into a Matroska file, byte for byte."""
    codec = stream.codec_context.name if stream.codec_context is not None else ""
    name, kind = _KINDS.get(codec, ("cover", "application/octet-stream"))
    said = {key.lower(): value for key, value in stream.metadata.items()}
    with opened(path) as source:
        for packet in source.demux(source.streams[stream.index]):
            if packet.size:
                made.add_attachment(said.get("filename") or name, said.get("mimetype") or kind, bytes(packet))
                return
