"""How far a picture is: the progress of tiles, passes and planes put together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Work finished on one picture: a share of it, 0..1, and the tile of the current pass (counted from 1)."""

    done: float
    tile: int
    tiles: int


class Report:
    """Progress of several passes as progress of the picture they make together."""

    def __init__(self, shares: list[float]) -> None:
        self._shares = shares
        self._done = [0.0] * len(shares)

    def at(self, number: int, progress: Progress) -> Progress:
        """A pass's own progress as the picture's."""
        self._done[number] = progress.done
        done = sum(share * done for share, done in zip(self._shares, self._done, strict=True))
        return Progress(min(done, 1.0), progress.tile, progress.tiles)


def pass_shares(passes: tuple[int, ...]) -> list[float]:
    """Each pass's share of the work, which grows with the pixels it gets."""
    pixels, area = [], 1
    for scale in passes:
        pixels.append(area)
        area *= scale**2
    return [count / sum(pixels) for count in pixels]
