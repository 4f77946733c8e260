"""What happens to a picture before people enlarge it: blur, noise, JPEG; made anew for every patch in training."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from hatcli.training.lossy import Pixels, avif, jpeg, webp
from hatcli.training.real_world import real_world

# The reduced patch [h, w, 3] and the patch it is of, [s*h, s*w, 3], both uint8, to a degraded reduced patch [h, w, 3],
# made from whichever of the two it needs.
Degradation = Callable[[Pixels, Pixels, np.random.Generator], Pixels]

JPEG_BLOCK = 8
MARGIN = 2 * JPEG_BLOCK  # a patch is cut this much larger, so that the block grid may lie anywhere in it
CLEAN_SHARE = 0.15  # of the patches, so that a clean picture is still enlarged well
BLUR_SHARE, NOISE_SHARE = 0.15, 0.15  # more of either makes a network smooth what is detail
LARGEST_BLUR = 0.4  # standard deviation in pixels
LARGEST_NOISE = 1.5  # standard deviation in 8-bit steps
QUALITIES = (30, 96)  # of JPEG
NEWER_QUALITIES = (40, 91)  # of WebP and AVIF, whose numbers mean more
WEBP_SHARE, AVIF_SHARE = 0.1, 0.05  # of the patches; the rest go through JPEG


def photo(low: Pixels, high: Pixels, random: np.random.Generator) -> Pixels:
    """A camera's or a website's picture, made from the reduced patch; some patches are left clean.

    Slight blur and noise come first, as before a camera's encoder, then JPEG at quality 30 to 95, its colour at half
    resolution in two of three, or now and then WebP or AVIF at quality 40 to 90.
    """
    if random.random() < CLEAN_SHARE:
        return low
    values = low.astype(np.float32)
    if random.random() < BLUR_SHARE:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), random.uniform(0.2, LARGEST_BLUR)), np.float32)
    if random.random() < NOISE_SHARE:
        channels = 1 if random.random() < 0.5 else 3  # gray noise or coloured
        spread = random.uniform(0.5, LARGEST_NOISE)
        values = values + random.normal(0, spread, (*low.shape[:2], channels)).astype(np.float32)
    noisy = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    codec = random.random()
    if codec < WEBP_SHARE:
        return webp(noisy, quality=int(random.integers(*NEWER_QUALITIES)))
    if codec < WEBP_SHARE + AVIF_SHARE:
        return avif(noisy, quality=int(random.integers(*NEWER_QUALITIES)))
    return jpeg(noisy, quality=int(random.integers(*QUALITIES)), subsampling=int(random.choice([0, 2, 2])))


DEGRADATIONS: dict[str, Degradation | None] = {"none": None, "photo": photo, "real-world": real_world}
