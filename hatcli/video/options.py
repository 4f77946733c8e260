"""What can be wished of a film's result, and times as people type them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from hatcli.errors import UsageError

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)")
_UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "": Fraction(1), "min": Fraction(60), "m": Fraction(60)}
_WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|)")


@dataclass(frozen=True)
class FilmOptions:
    """How films are written.

    Attributes:
        codec: `h264`, `hevc`, `av1`, `ffv1`, `prores`, or an encoder of the machine's; None: by depth and container.
        crf: the encoder's constant quality, lower is better; None: nearly transparent.
        pixel_format: libav's name; None: as the source, as far as the encoder can.
        deinterlace: whether woven fields are taken apart.
        start, duration: seconds; what part is enlarged.
        preview: seconds from the middle instead.
    """

    codec: str | None = None
    crf: float | None = None
    pixel_format: str | None = None
    deinterlace: bool = False
    start: Fraction | None = None
    duration: Fraction | None = None
    preview: Fraction | None = None

    def __post_init__(self) -> None:
        if self.preview is not None and (self.start is not None or self.duration is not None):
            raise UsageError("--preview takes its part from the middle", hint="leave out --start and --duration")

    def span(self, seconds: float) -> tuple[Fraction, Fraction | None]:
        """From where and for how long a film of this length is enlarged; None: to its end."""
        if self.preview is None:
            return self.start or Fraction(0), self.duration
        middle = Fraction(seconds).limit_denominator(1000) / 2
        return max(Fraction(0), middle - self.preview / 2), self.preview


def seconds_of(text: str, option: str) -> Fraction:
    """`3s`, `90`, `1:30` or `0:01:30.5` to seconds.

    Raises:
        UsageError: it is no time.
    """
    if match := _WITH_UNIT.fullmatch(text.strip().lower()):
        value = Fraction(match[1]) * _UNITS[match[2]]
    elif match := _CLOCK.fullmatch(text.strip()):
        value = int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + Fraction(match[3])
    else:
        value = Fraction(-1)
    if value < 0 or (value == 0 and option != "--start"):
        raise UsageError(f"{option} {text} is no time", hint=f"try {option} 3s, {option} 90 or {option} 1:30")
    return value
