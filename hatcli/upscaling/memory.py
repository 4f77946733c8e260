"""How much memory a run of the network needs, and the largest tile that a budget allows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hatcli.errors import HatError
from hatcli.network.config import HATConfig
from hatcli.network.hat import HAT, HEAD_PIXELS_PER_CHUNK_PIXEL

SMALLEST_TILE = 32  # pixels a side; below this the overlap is all there is
LARGEST_WHOLE = 5 << 19  # pixels a CPU runs whole: 1920 x 1080 is; beyond, all it buys is gigabytes
EASY_BYTES = 750_000_000  # what tiles of a larger picture may take there
SHARE_OF_FREE = 0.8  # of the free memory that a run may plan with
OUT_OF_MEMORY = (  # in lower case; found in the texts of
    "out of memory",  # CUDA, MPS
    "not enough memory",  # PyTorch's allocator on Windows
    "can't allocate memory",  # the same elsewhere
    "could not allocate",
    "_alloc_failed",  # cuBLAS, cuDNN, cuSOLVER, hipBLAS: their handles and workspaces
    "unable to find an engine",  # cuDNN, whose engines all wanted more workspace than there was
    "bad_alloc",  # C++
    "bad allocation",  # C++ of Microsoft
)
FIXED = 8 << 20  # bytes of small tensors and workspaces; measured peaks from 512 x 512 up are within 10% of the count


def window_of(network: nn.Module) -> int:
    """Input pixels whose multiples tiles should start at: a HAT's window; for other networks 16, which most divide."""
    return network.config.window_size if isinstance(network, HAT) else 16


def run_bytes(
    network: nn.Module, height: int, width: int, *, device: torch.device, dtype: torch.dtype, ensemble: bool = False
) -> int:
    """Bytes one run on `height` x `width` pixels takes beyond what is loaded already, its result included.

    A self-ensemble holds the turned picture beside it, the sum so far, and a result turned back.
    """
    once = _bytes_of_one(network, height, width, device=device, dtype=dtype)
    scale = int(getattr(network, "scale", 1)) if not isinstance(network, HAT) else network.config.upscale
    return once + 12 * height * width * (1 + 2 * scale**2) if ensemble else once


def _bytes_of_one(network: nn.Module, height: int, width: int, *, device: torch.device, dtype: torch.dtype) -> int:
    """Bytes of a single forward pass.

    For HAT a count of what is alive at its worst instant: in a block two feature maps, what its convolutions add and
    their bottleneck's, in the head one feature map, a band of the widest layer and the result. Feature maps and the
    head are in float32 whatever the precision. Other networks are taken for 32 maps of 64 channels
    and 3 at the result's size (an ESRGAN x4 measured two thirds of that).
    """
    size = 2 if dtype == torch.bfloat16 else 4
    if not isinstance(network, HAT):
        scale = int(getattr(network, "scale", 1))
        return height * width * 4 * 64 * (32 + 3 * scale**2) + FIXED
    config, crew = network.config, network.crew(device)
    padded_height, padded_width = (-(-side // config.window_size) * config.window_size for side in (height, width))
    pixels = padded_height * padded_width
    image = 12 * pixels
    feature_map = pixels * config.embed_dim * 4
    added = pixels * config.embed_dim * size
    squeezed = added // config.compress_ratio if config.cab else 0
    self_attention, cross_attention = band_bytes(config, padded_width, crew.chunk, size)
    convolution = 6 * (config.window_size + 2) * padded_width * config.embed_dim * 4
    body = max(
        2 * feature_map + added + squeezed + crew.workers * convolution,
        2 * feature_map + added + crew.workers * self_attention,
        2 * feature_map + crew.workers * cross_attention,
    )
    head_band = crew.spans(padded_height, max(8, crew.chunk // padded_width * HEAD_PIXELS_PER_CHUNK_PIXEL))[0][1]
    scale = config.upscale
    widest = (head_band + 2) * padded_width * scale**2 * config.num_feat * 4
    head = feature_map + 3 * crew.workers * widest
    result = 12 * height * width * scale**2
    return int(max(body, head + result) + image + FIXED)


def band_bytes(config: HATConfig, width: int, chunk: int, size: int) -> tuple[int, int]:
    """Temporaries of a worker on one band of windows, in self-attention and in overlapping cross-attention.

    Normalised rows, the same by windows, what becomes of them; a chunk's projections and products; and for
    cross-attention keys and values of the band and of the larger windows.
    """
    rows = max(1, chunk // (width * config.window_size)) * config.window_size
    band = rows * width * config.embed_dim * 4
    part = chunk * config.embed_dim * size
    keys = (config.overlap_window / config.window_size) ** 2
    return 4 * band + 8 * part, int((4 + 2 * keys) * band + (8 + 4 * keys) * part)


def largest_tile(bytes_for: Callable[[int, int], int], budget: int, *, row_bytes: int = 0) -> int:
    """The largest square tile, a multiple of 16, whose run fits the budget; never below `SMALLEST_TILE`.

    Args:
        bytes_for: height and width to what a run takes.
        row_bytes: what a row of tiles takes beside, for each input row of it.
    """
    side = SMALLEST_TILE
    while side < 1 << 15:
        more = side + 16
        if bytes_for(more, more) + row_bytes * more > budget:
            break
        side = more
    return side


def parse_bytes(text: str) -> int:
    """`4GB`, `800 MB`, `2GiB` or a bare number of bytes.

    Raises:
        HatError: it is none of these.
    """
    from hatcli.errors import UsageError

    units = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
    stripped = text.strip().upper()
    number = stripped.rstrip("BKMGI ")
    unit = stripped[len(number) :].strip()
    try:
        value = float(number) * units[unit if unit in units else f"{unit}B"]
    except (ValueError, KeyError):
        raise UsageError(f"{text!r} is not an amount of memory", hint="write it as 4GB or 800MB") from None
    if not 0 < value < float("inf"):
        raise UsageError(f"{text!r} is not an amount of memory", hint="write it as 4GB or 800MB")
    return int(value)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception is one of the ways in which PyTorch, its libraries or Python say that memory ran out."""
    if isinstance(error, HatError):
        return False
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in OUT_OF_MEMORY)
    )
