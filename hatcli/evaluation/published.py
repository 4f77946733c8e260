"""Published PSNR and SSIM to set ours beside; only numbers that were read in a public source, with that source.

HAT's own numbers stand in the catalogue of models; here are those of bicubic, which every paper repeats. All are on
the luma with a border of `scale` pixels cut off. Bicubic's come out exactly for Set5 when the luma alone is resized,
without rounding in between; enlarging the same 8-bit colour picture that models get, as here, differs by 0.01 dB.
"""

from __future__ import annotations

from dataclasses import dataclass

from hatcli.errors import UsageError
from hatcli.models import catalog

BICUBIC = "bicubic"
BICUBIC_SOURCE = "result tables of EDSR (arXiv 1707.02921)"
BICUBIC_SCORES = {  # scale: {set: (PSNR in dB, SSIM)}
    2: {"Set5": (33.66, 0.9299), "Set14": (30.24, 0.8688), "BSD100": (29.56, 0.8431), "Urban100": (26.88, 0.8403)},
    3: {"Set5": (30.39, 0.8682), "Set14": (27.55, 0.7742), "BSD100": (27.21, 0.7385), "Urban100": (24.46, 0.7349)},
    4: {"Set5": (28.42, 0.8104), "Set14": (26.00, 0.7027), "BSD100": (25.96, 0.6675), "Urban100": (23.14, 0.6577)},
}


@dataclass(frozen=True)
class Published:
    """One published result; `ssim` is None where none was verified."""

    psnr: float  # dB
    ssim: float | None
    source: str


def published(model: str, *, dataset: str, scale: int) -> Published | None:
    """What was published for a model's name on a set at a scale, or None where nothing verified is known."""
    if model == BICUBIC:
        pair = BICUBIC_SCORES.get(scale, {}).get(dataset)
        return Published(pair[0], pair[1], BICUBIC_SOURCE) if pair else None
    try:
        entry = catalog.resolve(model, scale=scale)
    except UsageError:  # a file or a model of one's own: nobody published anything about it
        return None
    if entry.scale != scale or entry.scores_source is None:
        return None
    scores = (score for score in entry.scores if score.dataset == dataset)
    return next((Published(score.psnr, score.ssim, entry.scores_source) for score in scores), None)
