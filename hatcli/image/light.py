"""What samples mean where neither sRGB nor an ICC profile says it: high dynamic range, and linear light of a scene."""

from __future__ import annotations

from dataclasses import dataclass

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
_NAMES = {PQ: "PQ", HLG: "HLG"}
_USUAL = 9  # primaries of high dynamic range, where a file leaves them open
_PRIMARIES = {1: "BT.709", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}


@dataclass(frozen=True)
class Light:
    """Codes of ITU-T H.273 for RGB samples, and what is known of a scene in linear light.

    Attributes:
        primaries: colour primaries.
        transfer: transfer characteristics: PQ or HLG.
        peak: linear light of a scene, as in OpenEXR: what the highest sample stands for, 1 being white; the samples are
            encoded by PQ in between, so that a network sees them as it sees photographs. None: high dynamic range.
        chromaticities: x and y of red, green, blue and white, where a scene has others than sRGB's.
    """

    primaries: int
    transfer: int
    peak: float | None = None
    chromaticities: tuple[float, ...] | None = None

    @property
    def is_scene(self) -> bool:
        """Whether it is linear light of a scene; else it is high dynamic range, ready for a display."""
        return self.peak is not None

    @property
    def name(self) -> str:
        """How people call it."""
        if self.is_scene:
            return "linear light"
        gamut = _PRIMARIES.get(self.primaries, f"primaries {self.primaries}")
        return f"HDR ({_NAMES.get(self.transfer, 'transfer')}, {gamut})"


def of_codes(primaries: int, transfer: int) -> Light | None:
    """What these codes mean if it is high dynamic range, else None."""
    if transfer not in _NAMES:
        return None
    return Light(primaries if primaries in _PRIMARIES else _USUAL, transfer)


def hdr_note(light: Light) -> str:
    """What to say of a picture of high dynamic range."""
    return f"it is {light.name}: enlarged as it is encoded, and marked so in the result"
