"""How much memory a run of HAT in bands takes: a count of what is alive at its worst instant."""

from __future__ import annotations

import torch

from hatcli.engine.workers import Workers
from hatcli.network.config import HATConfig

HEAD_PIXELS_PER_CHUNK_PIXEL = 4  # the reconstruction head's bands: fewer, larger
WIDE = 4  # bytes of a float32
FIXED = 8 << 20  # bytes of small tensors and workspaces; measured peaks from 512 x 512 up are within 10% of the count


def head_rows(workers: Workers, width: int) -> int:
    """Input rows that the reconstruction head makes in one band."""
    return max(8, workers.chunk // width * HEAD_PIXELS_PER_CHUNK_PIXEL)


def peak_bytes(config: HATConfig, height: int, width: int, *, workers: Workers, dtype: torch.dtype) -> int:
    """Bytes one run on `height` x `width` pixels takes beyond what is loaded already, its result included.

    In a block two feature maps, what its convolutions add and their bottleneck's, in the head one feature map, a band
    of the widest layer and the result. Feature maps and the head are in float32 whatever the precision.
    """
    size = 2 if dtype == torch.bfloat16 else WIDE
    padded_height, padded_width = (-(-side // config.window_size) * config.window_size for side in (height, width))
    pixels = padded_height * padded_width
    image = 3 * WIDE * pixels
    feature_map = pixels * config.embed_dim * WIDE
    added = pixels * config.embed_dim * size
    squeezed = added // config.compress_ratio if config.cab else 0
    self_attention, cross_attention = band_bytes(config, padded_width, workers.chunk, size)
    convolution = 6 * (config.window_size + 2) * padded_width * config.embed_dim * WIDE
    body = max(
        2 * feature_map + added + squeezed + workers.count * convolution,
        2 * feature_map + added + workers.count * self_attention,
        2 * feature_map + workers.count * cross_attention,
    )
    head_band = workers.spans(padded_height, head_rows(workers, padded_width))[0][1]
    scale = config.upscale
    widest = (head_band + 2) * padded_width * scale**2 * config.num_feat * WIDE
    head = feature_map + 3 * workers.count * widest
    result = 3 * WIDE * height * width * scale**2
    return int(max(body, head + result) + image + FIXED)


def band_bytes(config: HATConfig, width: int, chunk: int, size: int) -> tuple[int, int]:
    """Temporaries of a worker on one band of windows, in self-attention and in overlapping cross-attention.

    Normalised rows, the same by windows, what becomes of them; a chunk's projections and products; and for
    cross-attention keys and values of the band and of the larger windows.
    """
    rows = max(1, chunk // (width * config.window_size)) * config.window_size
    band = rows * width * config.embed_dim * WIDE
    part = chunk * config.embed_dim * size
    keys = (config.overlap_window / config.window_size) ** 2
    return 4 * band + 8 * part, int((4 + 2 * keys) * band + (8 + 4 * keys) * part)
