"""An Upscaler as a plain function from pixels to pixels, its tiles shown in bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatcli.cli.shared.console import Bars

if TYPE_CHECKING:
    from hatcli.evaluation.evaluate import Enlarge
    from hatcli.upscaling.upscaler import Upscaler


def through_upscaler(upscaler: Upscaler, label: str, scale: int, bars: Bars) -> Enlarge:
    """What evaluation and comparison call to enlarge 8-bit pixels `[h, w, C]` by `scale`."""
    import numpy as np

    from hatcli.evaluation.datasets import Pixels
    from hatcli.image.picture import Picture
    from hatcli.upscaling.size import Target

    def enlarge(low: Pixels) -> Pixels:
        bars.picture(label)
        result = upscaler.upscale(
            Picture(low),
            Target(scale=float(scale)),
            on_progress=lambda progress: bars.tiles(progress.done, progress.tile, progress.tiles),
        )
        return np.asarray(result.pixels, dtype=np.uint8)

    return enlarge
