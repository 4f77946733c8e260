"""One decoder process for run after run: each gets it lent, and ends it only in the middle of a picture of its own."""

from __future__ import annotations

from pathlib import Path

from hatcli.batch.decoder import DecoderProcess
from hatcli.batch.reading import Original
from hatcli.image.decode import PictureInfo
from hatcli.image.options import DecodeOptions


class LastingDecoder:
    """A decoder process that serves one run after the other; started at once."""

    def __init__(self, *, max_pixels: int, options: DecodeOptions | None = None) -> None:
        self._max_pixels, self._options, self._is_closed = max_pixels, options, False
        self.process = DecoderProcess(max_pixels=max_pixels, options=options)
        self.process.start()

    def lend(self) -> LentDecoder:
        """For one run."""
        return LentDecoder(self)

    def begin_anew(self) -> None:
        """Leave what is being read."""
        self.process.close()
        if not self._is_closed:
            self.process = DecoderProcess(max_pixels=self._max_pixels, options=self._options)

    def close(self) -> None:
        """Let go of it for good, even in the middle of a picture."""
        self._is_closed = True
        self.process.close()


class LentDecoder:
    """A lasting decoder as one run sees it, whose end ends the process only in the middle of the run's own picture.

    See `batch.decoder.Decoder`.
    """

    def __init__(self, lasting: LastingDecoder) -> None:
        self._lasting, self._is_busy = lasting, False

    def look(self, path: Path) -> PictureInfo:
        """See `Decoder.look`."""
        return self._lasting.process.look(path)

    def load(self, source: Path | bytes, *, name: str, all_frames: bool = False) -> Original:
        """See `Decoder.load`."""
        self._is_busy = True
        try:
            return self._lasting.process.load(source, name=name, all_frames=all_frames)
        finally:
            self._is_busy = False

    def close(self) -> None:
        """See `Decoder.close`."""
        if self._is_busy:
            self._lasting.begin_anew()
