"""Film files opened for reading by PyAV: plain files only, known containers only, its errors as lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatcli.errors import HatError, InputError, UsageError
from hatcli.outside import open_plain

if TYPE_CHECKING:
    from av.container import InputContainer

# Containers that refer to nothing outside themselves: no playlists, no scripts, no devices.
_CONTAINERS = (
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,nut,mxf,gif,apng,ivf,obu,av1,"
    "h264,hevc,m4v,mjpeg,dv,rm,vob,wtv,y4m,yuv4mpegpipe,swf,live_flv"
)
_BUFFER = 1 << 18  # bytes read at once


def library() -> Any:
    """PyAV.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise UsageError("films need PyAV, which is not installed", hint="pip install 'hatcli[video]'") from None
    return av  # its logging stays off: it would take the interpreter lock in threads that others wait for with it


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A film open for reading.

    Raises:
        InputError: it cannot be read, also from inside the block.
    """
    av = library()
    try:
        file = open_plain(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    with file, explained(path):
        container = av.open(
            file,
            "r",
            options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
            metadata_errors="replace",
            buffer_size=_BUFFER,
        )
        try:
            yield container
        finally:
            container.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """PyAV's errors while a film is read, as lines."""
    av = library()
    try:
        yield
    except HatError:
        raise
    except av.error.FFmpegError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"cannot read {path}: {reason}", hint="the file is damaged, cut off or no film") from error
